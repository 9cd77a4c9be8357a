"""The command `didomi-dataverse`. Exit status: 0 fine, 1 a finding or a failure, 2 usage or configuration."""

import json
import sys
from pathlib import Path

import click
import httpx

from didomi_dataverse import __version__
from didomi_dataverse.cli_options import Failure, config_option, configuration_of, json_option, run
from didomi_dataverse.clock import SystemClock
from didomi_dataverse.errors import DidomiDataverseError, NotJsonError


class _Commands(click.Group):
    """The commands below, and those that are imported only when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "contacts", "notifications", "parked"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        match cmd_name:
            case "contacts":
                from didomi_dataverse.cli_contacts import contacts  # noqa: PLC0415 - as in `serve`

                return contacts
            case "notifications":
                from didomi_dataverse.cli_notifications import notifications  # noqa: PLC0415 - as in `serve`

                return notifications
            case "parked":
                from didomi_dataverse.cli_parked import parked  # noqa: PLC0415 - as in `serve`

                return parked
            case _:
                return super().get_command(ctx, cmd_name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="didomi-dataverse")
def main() -> None:
    """Writes what people chose in Didomi to the columns of their Contact row in Dataverse."""


@main.command()
@config_option
def serve(config: Path) -> None:
    """Receive notifications and deliver them until told to stop."""
    from didomi_dataverse.serve import serve_until_stopped  # noqa: PLC0415 - the web stack is slow to import

    configuration = configuration_of(config)
    try:
        is_served = serve_until_stopped(configuration, clock=SystemClock())
    except DidomiDataverseError as error:
        raise Failure(str(error)) from error
    if not is_served:
        raise Failure("The service could not start; the log above says why.")


@main.command()
@click.option("--keep", is_flag=True, help="Leave the sandbox and the service running until Ctrl-C.")
def demo(*, keep: bool) -> None:
    """Play a story against a local Dataverse and show what it did to the Contact table."""
    from didomi_dataverse.demo import run_demo  # noqa: PLC0415 - as in `serve`

    if not run(run_demo(keep=keep)):
        raise Failure("A column is not as it must be; see the rows marked WRONG above.")


@main.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8443, show_default=True, help="0: any free port."
)
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default="sandbox",
    show_default=True,
    help="Where ca.pem and config.yaml are written.",
)
@click.option(
    "--service-port",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    help="The port that the written config.yaml gives to `serve`.",
)
def sandbox(port: int, directory: Path, service_port: int) -> None:
    """Run a local Microsoft Entra and Dataverse Web API over TLS."""
    from didomi_dataverse.sandbox.server import run_sandbox  # noqa: PLC0415 - as in `serve`

    run(run_sandbox(port, directory, service_port=service_port, announce=click.echo))


@main.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@config_option
@click.option("--url", help="The service's address. Default: where the configuration makes it listen.")
@json_option
def send(files: tuple[Path, ...], config: Path, url: str | None, *, as_json: bool) -> None:
    """Act as Didomi: authenticate as the configuration says, and post notification FILES."""
    from didomi_dataverse.sandbox.sender import TokenRefusedError  # noqa: PLC0415 - as in `serve`
    from didomi_dataverse.send import send_files  # noqa: PLC0415 - as in `serve`

    configuration = configuration_of(config)
    try:
        answers = run(send_files(configuration.settings, files, url=url))
    except TokenRefusedError as error:
        raise Failure(str(error)) from error
    except httpx.HTTPError as error:
        raise Failure(
            f"The service did not answer: {type(error).__name__}. Is `serve` running there?"
        ) from error
    for answer in answers:
        click.echo(json.dumps(answer.view()) if as_json else answer.text())
    if not all(answer.is_stored for answer in answers):
        sys.exit(1)


@main.command()
@click.argument("body", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@config_option
@json_option
def explain(body: Path, config: Path, *, as_json: bool) -> None:
    """Say what the notification in BODY would do, without storing or sending anything."""
    from didomi_dataverse.app import read_body  # noqa: PLC0415 - as in `serve`
    from didomi_dataverse.operate import explain as explaining  # noqa: PLC0415 - as in `serve`

    configuration = configuration_of(config)
    try:
        readings = read_body(configuration, body.read_bytes(), now=SystemClock().now())
    except NotJsonError as error:
        raise Failure(f"{body}: {error}") from error
    explained = [explaining.explain(reading, configuration.mapping) for reading in readings]
    if as_json:
        click.echo(json.dumps(explained, indent=2))
    else:
        click.echo("\n\n".join(map(explaining.readable, explained)))
