"""`serve`: receive notifications and deliver them."""

from pathlib import Path

import click

from didomi_dataverse.cli.help import example
from didomi_dataverse.cli.options import Failure, config_option, read_configuration
from didomi_dataverse.clock import SystemClock
from didomi_dataverse.errors import DidomiDataverseError


@click.command(epilog=example("serve --config config.yaml"))
@config_option
def serve(config: Path) -> None:
    """Receive notifications and deliver them.

    Runs until SIGTERM or Ctrl-C, and then settles what is in flight.
    """
    from didomi_dataverse.service.server import serve_until_stopped

    configuration = read_configuration(config)
    try:
        is_served = serve_until_stopped(configuration, clock=SystemClock())
    except DidomiDataverseError as error:
        raise Failure(str(error)) from error
    if not is_served:
        raise Failure("The service could not start; the log above says why.")
