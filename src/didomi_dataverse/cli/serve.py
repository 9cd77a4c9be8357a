"""`serve`: receive notifications and deliver them."""

from pathlib import Path

import click

from didomi_dataverse.cli.options import Failure, config_option, configuration_of
from didomi_dataverse.clock import SystemClock
from didomi_dataverse.errors import DidomiDataverseError


@click.command()
@config_option
def serve(config: Path) -> None:
    """Receive notifications and deliver them until told to stop."""
    from didomi_dataverse.service.server import serve_until_stopped

    configuration = configuration_of(config)
    try:
        is_served = serve_until_stopped(configuration, clock=SystemClock())
    except DidomiDataverseError as error:
        raise Failure(str(error)) from error
    if not is_served:
        raise Failure("The service could not start; the log above says why.")
