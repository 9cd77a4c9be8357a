"""The command `didomi-dataverse`: a table of commands, each imported only when it is asked for.

Exit status: 0 fine, 1 a finding or a failure, 2 usage or configuration.
"""

from collections.abc import Mapping
from pkgutil import resolve_name

import click

from didomi_dataverse import __version__

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
"""Each command's name, and the place that holds it (`module:object`)."""


class _Commands(click.Group):
    """The commands of the table. A call of one does not wait for the imports of the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = resolve_name(COMMANDS[cmd_name])
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="didomi-dataverse")
def main() -> None:
    """Writes what people chose in Didomi to the columns of their Contact row in Dataverse."""
