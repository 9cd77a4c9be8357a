"""`send`: act as Didomi."""

import json
import sys
from pathlib import Path

import click
import httpx

from didomi_dataverse.cli.options import Failure, config_option, configuration_of, json_option, run


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@config_option
@click.option("--url", help="The service's address. Default: where the configuration makes it listen.")
@json_option
def send(files: tuple[Path, ...], config: Path, url: str | None, *, as_json: bool) -> None:
    """Act as Didomi: authenticate as the configuration says, and post notification FILES."""
    from didomi_dataverse.admin.send import send_files
    from didomi_sandbox.webhook_client import WebhookLoginError

    configuration = configuration_of(config)
    try:
        answers = run(send_files(configuration.settings, files, url=url))
    except WebhookLoginError as error:
        raise Failure(str(error)) from error
    except httpx.HTTPError as error:
        raise Failure(
            f"The service did not answer: {type(error).__name__}. Is `serve` running there?"
        ) from error
    for answer in answers:
        click.echo(json.dumps(answer.view()) if as_json else answer.text())
    if not all(answer.is_stored for answer in answers):
        sys.exit(1)
