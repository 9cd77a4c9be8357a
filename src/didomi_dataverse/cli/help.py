"""The texts at the end of every `--help`: examples to copy, and what the exit status means."""

EXIT_STATUS = "Exit status: 0 fine, 1 a finding or a failure, 2 wrong usage or configuration."
"""Of every command."""


def example(*commands: str, note: str = "") -> str:
    r"""The end of a command's help: a note, and commands to copy without the program's name.

    >>> example("contacts show '#12'")
    "\x08\nExample:\n  didomi-dataverse contacts show '#12'"
    """
    heading = "Example:" if len(commands) == 1 else "Examples:"
    # click wraps every paragraph except one that begins with a backspace.
    lines = "\n".join(("\b", heading, *(f"  didomi-dataverse {command}" for command in commands)))
    return f"{note}\n\n{lines}" if note else lines
