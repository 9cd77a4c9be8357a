"""`explain`: what a notification would do."""

from pathlib import Path

import click

from didomi_dataverse.admin.explain import explain_body
from didomi_dataverse.admin.render import render_explanation
from didomi_dataverse.cli.help import example
from didomi_dataverse.cli.options import Failure, config_option, json_option, read_configuration
from didomi_dataverse.cli.output import print_view
from didomi_dataverse.clock import SystemClock
from didomi_dataverse.errors import NotJsonError


@click.command(epilog=example("explain notification.example.json"))
@click.argument("body", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@config_option
@json_option
def explain(body: Path, config: Path, *, as_json: bool) -> None:
    """Show what a notification would do.

    BODY is a file with a webhook body. Nothing is stored or sent.
    """
    configuration = read_configuration(config)
    try:
        explained = explain_body(configuration, body.read_bytes(), now=SystemClock().now())
    except NotJsonError as error:
        raise Failure(f"{body}: {error}") from error
    print_view(explained, "\n\n".join(map(render_explanation, explained)), as_json=as_json)
