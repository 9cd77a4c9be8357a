"""What all commands share: options, how they find their configuration, and how they fail."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from didomi_dataverse.didomi.interpreted import Reason
from didomi_dataverse.errors import ConfigurationError, DidomiDataverseError
from didomi_dataverse.wiring.configuration import Configuration, load_configuration

CONFIG_VARIABLE = "DIDOMI_DATAVERSE_CONFIG"
DEFAULT_CONFIG = "config.yaml"

REASON = click.Choice([reason.value for reason in Reason])
"""Why a notification was skipped or parked."""

_T = TypeVar("_T")
_Command = TypeVar("_Command", bound=Callable[..., Any])


class Failure(click.ClickException):
    """What was asked for could not be done, or not all of it: exit status 1."""

    exit_code = 1


class ConfigurationFailure(click.ClickException):
    """The configuration cannot be used: exit status 2, each problem on a line of its own."""

    exit_code = 2

    def __init__(self, error: ConfigurationError) -> None:
        count = len(error.problems)
        super().__init__(f"{count} problem{'s' if count > 1 else ''} in the configuration:\n{error}")


def config_option(command: _Command) -> _Command:
    """`--config FILE`."""
    return click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar=CONFIG_VARIABLE,
        default=DEFAULT_CONFIG,
        show_default=f"{CONFIG_VARIABLE}, else ./{DEFAULT_CONFIG}",
        help="The configuration file.",
    )(command)


def json_option(command: _Command) -> _Command:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")(command)


def limit_option(default: int, help_text: str) -> Callable[[_Command], _Command]:
    """`--limit N`."""
    return click.option(
        "--limit", type=click.IntRange(1, 10_000), default=default, show_default=True, help=help_text
    )


def read_configuration(path: Path) -> Configuration:
    """The configuration in a file. Its warnings go to standard error. Raises ConfigurationFailure."""
    try:
        configuration = load_configuration(path, os.environ)
    except ConfigurationError as error:
        raise ConfigurationFailure(error) from error
    for warning in configuration.warnings:
        click.echo(f"warning: {warning}", err=True)
    return configuration


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """What the work returns. Raises Failure, with the message of the error, for an error of ours."""
    try:
        return asyncio.run(work)
    except DidomiDataverseError as error:
        raise Failure(str(error)) from error
