"""`demo`: a story against a local Dataverse."""

import click

from didomi_dataverse.cli.help import example
from didomi_dataverse.cli.options import Failure, run


@click.command(epilog=example("demo", "demo --keep"))
@click.option("--keep", is_flag=True, help="Leave the sandbox and the service running until Ctrl-C.")
def demo(*, keep: bool) -> None:
    """Play a story against a local Dataverse.

    Shows what it did to the Contact table. Needs no network and no configuration. The exit status is 0 only
    if every column is as it must be.
    """
    from didomi_dataverse.demo.run import run_demo

    if not run(run_demo(keep=keep)):
        raise Failure("A column is not as it must be; see the rows marked WRONG above.")
