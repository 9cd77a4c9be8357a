"""The command `didomi-dataverse`: a table of commands, each imported only when it is called.

The exit status of every command: 0 fine, 1 a finding or a failure, 2 wrong usage or configuration.
"""

from collections.abc import Mapping
from pkgutil import resolve_name

import click

from didomi_dataverse import __version__
from didomi_dataverse.cli.help import EXIT_STATUS, example

COMMANDS: Mapping[str, str] = {
    "contacts": "didomi_dataverse.cli.contacts:contacts",
    "demo": "didomi_dataverse.cli.demo:demo",
    "explain": "didomi_dataverse.cli.explain:explain",
    "notifications": "didomi_dataverse.cli.notifications:notifications",
    "parked": "didomi_dataverse.cli.parked:parked",
    "sandbox": "didomi_dataverse.cli.sandbox:sandbox",
    "send": "didomi_dataverse.cli.send:send",
    "serve": "didomi_dataverse.cli.serve:serve",
}
"""By the name of each command, the object that holds it: `module:object`."""


class _Commands(click.Group):
    """The commands of the table. Calling one does not import the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = resolve_name(COMMANDS[cmd_name])
        return command


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=example("demo", "serve --config config.yaml", "contacts show --help", note=EXIT_STATUS),
)
@click.version_option(__version__, prog_name="didomi-dataverse")
def main() -> None:
    """Writes what people chose in Didomi to the columns of their Contact row in Dataverse."""
