"""`contacts show|retry|resync`: one person, and setting delivery going again."""

from pathlib import Path

import click

from didomi_dataverse.app import find_contact
from didomi_dataverse.cli_options import Failure, config_option, configuration_of, json_option, run, show
from didomi_dataverse.clock import SystemClock
from didomi_dataverse.desk import open_desk
from didomi_dataverse.operate.contact_view import readable

_IDS_HELP = "ID is an organization user id as Didomi has it, or a number from `parked list`: '#12'."


@click.group()
def contacts() -> None:
    """What is known of people, and what Dataverse was told."""


@contacts.command("show")
@click.argument("organization_user_id")
@config_option
@json_option
def show_contact(organization_user_id: str, config: Path, *, as_json: bool) -> None:
    """Show one person's choices, columns, notifications and attempts."""
    configuration = configuration_of(config)
    view = run(find_contact(configuration, organization_user_id, clock=SystemClock()))
    if view is None:
        raise Failure(
            "No notification about this person was ever applied. Is the identifier spelt as in Didomi?"
        )
    show(view, readable(view), as_json=as_json)


@contacts.command("retry", epilog=_IDS_HELP)
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@config_option
@json_option
def retry_contacts(ids: tuple[str, ...], config: Path, *, as_json: bool) -> None:
    """Deliver parked people, and look for those without a row, now rather than later."""
    configuration = configuration_of(config)

    async def retry() -> int:
        async with open_desk(configuration, clock=SystemClock()) as desk:
            return await desk.ledger.retry(await desk.contact_ids(ids), now=desk.clock.now())

    retried = run(retry())
    text = f"{retried} of {len(ids)} are due now; the others were neither parked nor without a row."
    show({"due": retried}, text, as_json=as_json)


@contacts.command("resync", epilog=_IDS_HELP)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="Everybody: one write for each contact there is.")
@config_option
@json_option
def resync_contacts(ids: tuple[str, ...], config: Path, *, is_all: bool, as_json: bool) -> None:
    """Send every mapped column again, as if Dataverse had never been told."""
    if is_all == bool(ids):
        raise click.UsageError("Name people, or say --all.")
    configuration = configuration_of(config)

    async def resync() -> tuple[int, int]:
        async with open_desk(configuration, clock=SystemClock()) as desk:
            if is_all:
                return await desk.ledger.resync_all(now=desk.clock.now())
            return await desk.ledger.resync(await desk.contact_ids(ids), now=desk.clock.now())

    done, held = run(resync())
    show({"due": done, "being_written": held}, f"{done} will be sent again.", as_json=as_json)
    if held:
        raise Failure(f"{held} are being written at this moment, and were left alone. Try again.")
