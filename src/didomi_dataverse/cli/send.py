"""`send`: act as Didomi."""

import json
import sys
from pathlib import Path

import click
import httpx

from didomi_dataverse.cli.help import example
from didomi_dataverse.cli.options import (
    Failure,
    config_option,
    json_option,
    read_configuration,
    run,
)


@click.command(
    epilog=example(
        "send notification.example.json", "send --url https://webhooks.example.com first.json second.json"
    )
)
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@config_option
@click.option("--url", help="The service's address.  [default: where the configuration makes it listen]")
@json_option
def send(files: tuple[Path, ...], config: Path, url: str | None, *, as_json: bool) -> None:
    """Post notifications as Didomi does.

    Authenticates as the configuration says, and posts each of FILES as one webhook body. The exit status is 1
    when the service did not store one of them.
    """
    from didomi_dataverse.admin.send import send_files
    from didomi_sandbox.webhook_client import WebhookLoginError

    configuration = read_configuration(config)
    try:
        results = run(send_files(configuration.settings, files, url=url))
    except WebhookLoginError as error:
        raise Failure(str(error)) from error
    except httpx.HTTPError as error:
        raise Failure(
            f"The service did not answer: {type(error).__name__}. Is `serve` running there?"
        ) from error
    for result in results:
        text = f"{result.file}: {result.status} {json.dumps(result.answer)}"
        click.echo(json.dumps(result.to_json()) if as_json else text)
    if not all(result.is_stored for result in results):
        sys.exit(1)
