"""The command `didomi-dataverse`. Exit status: 0 fine, 1 a finding or a failure, 2 usage or configuration."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click
import httpx

from didomi_dataverse import __version__
from didomi_dataverse.clock import SystemClock
from didomi_dataverse.configuration import Configuration, load_configuration
from didomi_dataverse.errors import ConfigurationError, DidomiDataverseError, NotJsonError

CONFIG_VARIABLE = "DIDOMI_DATAVERSE_CONFIG"
DEFAULT_CONFIG = "config.yaml"

_T = TypeVar("_T")
_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Failure(click.ClickException):
    """Something went wrong that is nobody's usage: exit status 1."""

    exit_code = 1


class _Misconfigured(click.ClickException):
    """The configuration cannot be used: exit status 2, every problem on a line of its own."""

    exit_code = 2

    def __init__(self, error: ConfigurationError) -> None:
        count = len(error.problems)
        super().__init__(f"{count} problem{'s' if count > 1 else ''} in the configuration:\n{error}")


def _config_option(command: _Command) -> _Command:
    return click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar=CONFIG_VARIABLE,
        default=DEFAULT_CONFIG,
        show_default=f"{CONFIG_VARIABLE}, else ./{DEFAULT_CONFIG}",
        help="The configuration file.",
    )(command)


def _json_option(command: _Command) -> _Command:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")(command)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="didomi-dataverse")
def main() -> None:
    """Writes what people chose in Didomi to the columns of their Contact row in Dataverse."""


@main.command()
@_config_option
def serve(config: Path) -> None:
    """Receive notifications and deliver them until told to stop."""
    from didomi_dataverse.serve import serve_until_stopped  # noqa: PLC0415 - the web stack is slow to import

    configuration = _configuration(config)
    try:
        is_served = serve_until_stopped(configuration, clock=SystemClock())
    except DidomiDataverseError as error:
        raise _Failure(str(error)) from error
    if not is_served:
        raise _Failure("The service could not start; the log above says why.")


@main.command()
@click.option("--keep", is_flag=True, help="Leave the sandbox and the service running until Ctrl-C.")
def demo(*, keep: bool) -> None:
    """Play a story against a local Dataverse and show what it did to the Contact table."""
    from didomi_dataverse.demo import run_demo  # noqa: PLC0415 - as in `serve`

    if not _run(run_demo(keep=keep)):
        raise _Failure("A column is not as it must be; see the rows marked WRONG above.")


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

    _run(run_sandbox(port, directory, service_port=service_port, announce=click.echo))


@main.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@_config_option
@click.option("--url", help="The service's address. Default: where the configuration makes it listen.")
@_json_option
def send(files: tuple[Path, ...], config: Path, url: str | None, *, as_json: bool) -> None:
    """Act as Didomi: authenticate as the configuration says, and post notification FILES."""
    from didomi_dataverse.sandbox.sender import TokenRefusedError  # noqa: PLC0415 - as in `serve`
    from didomi_dataverse.send import send_files  # noqa: PLC0415 - as in `serve`

    configuration = _configuration(config)
    try:
        answers = _run(send_files(configuration.settings, files, url=url))
    except TokenRefusedError as error:
        raise _Failure(str(error)) from error
    except httpx.HTTPError as error:
        raise _Failure(
            f"The service did not answer: {type(error).__name__}. Is `serve` running there?"
        ) from error
    for answer in answers:
        click.echo(json.dumps(answer.view()) if as_json else answer.text())
    if not all(answer.is_stored for answer in answers):
        sys.exit(1)


@main.command()
@click.argument("body", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_config_option
@_json_option
def explain(body: Path, config: Path, *, as_json: bool) -> None:
    """Say what the notification in BODY would do, without storing or sending anything."""
    from didomi_dataverse.app import read_body  # noqa: PLC0415 - as in `serve`
    from didomi_dataverse.operate import explain as explaining  # noqa: PLC0415 - as in `serve`

    configuration = _configuration(config)
    try:
        readings = read_body(configuration, body.read_bytes(), now=SystemClock().now())
    except NotJsonError as error:
        raise _Failure(f"{body}: {error}") from error
    explained = [explaining.explain(reading, configuration.mapping) for reading in readings]
    if as_json:
        click.echo(json.dumps(explained, indent=2))
    else:
        click.echo("\n\n".join(map(explaining.readable, explained)))


@main.group()
def contacts() -> None:
    """What is known of people, and what Dataverse was told."""


@contacts.command("show")
@click.argument("organization_user_id")
@_config_option
@_json_option
def show_contact(organization_user_id: str, config: Path, *, as_json: bool) -> None:
    """Show one person's choices, columns, notifications and attempts."""
    from didomi_dataverse.app import find_contact  # noqa: PLC0415 - as in `serve`
    from didomi_dataverse.operate.contact_view import readable  # noqa: PLC0415 - as in `serve`

    configuration = _configuration(config)
    view = _run(find_contact(configuration, organization_user_id, clock=SystemClock()))
    if view is None:
        raise _Failure(
            "No notification about this person was ever applied. Is the identifier spelt as in Didomi?"
        )
    click.echo(json.dumps(view, indent=2) if as_json else readable(view))


def _configuration(path: Path) -> Configuration:
    try:
        configuration = load_configuration(path, os.environ)
    except ConfigurationError as error:
        raise _Misconfigured(error) from error
    for warning in configuration.warnings:
        click.echo(f"warning: {warning}", err=True)
    return configuration


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    try:
        return asyncio.run(work)
    except DidomiDataverseError as error:
        raise _Failure(str(error)) from error
