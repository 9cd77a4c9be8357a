"""`explain`: what a notification would do."""

import json
from pathlib import Path

import click

from didomi_dataverse.admin.explain import explain as explain_notification
from didomi_dataverse.admin.explain import read_body, readable
from didomi_dataverse.cli.options import Failure, config_option, configuration_of, json_option
from didomi_dataverse.clock import SystemClock
from didomi_dataverse.errors import NotJsonError


@click.command()
@click.argument("body", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@config_option
@json_option
def explain(body: Path, config: Path, *, as_json: bool) -> None:
    """Say what the notification in BODY would do, without storing or sending anything."""
    configuration = configuration_of(config)
    try:
        readings = read_body(configuration, body.read_bytes(), now=SystemClock().now())
    except NotJsonError as error:
        raise Failure(f"{body}: {error}") from error
    explained = [explain_notification(reading, configuration.mapping) for reading in readings]
    if as_json:
        click.echo(json.dumps(explained, indent=2))
    else:
        click.echo("\n\n".join(map(readable, explained)))
