"""`contacts show|retry|resync`: one person, and setting delivery going again."""

from pathlib import Path
from typing import Any

import click

from didomi_dataverse.admin.contact_view import SHOWN, contact_view, readable
from didomi_dataverse.admin.session import open_admin_session
from didomi_dataverse.cli.options import Failure, config_option, configuration_of, json_option, run
from didomi_dataverse.cli.output import show
from didomi_dataverse.clock import SystemClock

_IDS_HELP = "ID is an organization user id as Didomi has it, or a number from `parked list`: '#12'."


@click.group()
def contacts() -> None:
    """What is known of people, and what Dataverse was told."""


@contacts.command("show", epilog=_IDS_HELP)
@click.argument("name", metavar="ID")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=SHOWN,
    show_default=True,
    help="How many notifications, and how many attempts.",
)
@config_option
@json_option
def show_contact(name: str, config: Path, limit: int, *, as_json: bool) -> None:
    """Show one person's choices, columns, notifications and attempts."""
    configuration = configuration_of(config)

    async def find() -> dict[str, Any] | None:
        async with open_admin_session(configuration, clock=SystemClock()) as desk:
            key = await desk.contact_key(name)
            return await contact_view(desk.ledger.reader, configuration.mapping, key, limit=limit)

    view = run(find())
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

    async def retry() -> tuple[int, int]:
        async with open_admin_session(configuration, clock=SystemClock()) as desk:
            found = set(await desk.contact_ids(ids))
            return await desk.ledger.commands.retry(sorted(found), now=desk.clock.now()), len(found)

    due, asked = run(retry())
    show({"due": due}, retried_text(due, asked), as_json=as_json)


def retried_text(due: int, asked: int) -> str:
    """What `contacts retry` says of how many are due now."""
    if due == 0:
        nobody = "it was neither parked nor" if asked == 1 else f"none of the {asked} was parked or"
        return f"Nothing changed: {nobody} without a row."
    are = "is" if due == 1 else "are"
    if due == asked:
        return f"{due} {are} due now."
    others = "the other was" if asked - due == 1 else "the others were"
    return f"{due} of {asked} {are} due now; {others} neither parked nor without a row."


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
        async with open_admin_session(configuration, clock=SystemClock()) as desk:
            if is_all:
                return await desk.ledger.commands.resync_all(now=desk.clock.now())
            return await desk.ledger.commands.resync(await desk.contact_ids(ids), now=desk.clock.now())

    done, held = run(resync())
    show({"due": done, "being_written": held}, f"{done} will be sent again.", as_json=as_json)
    if held:
        raise Failure(f"{held} are being written at this moment, and were left alone. Try again.")
