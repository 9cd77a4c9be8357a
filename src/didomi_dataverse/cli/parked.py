"""`parked list|retry|discard`: everything that waits for a person."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from didomi_dataverse.admin.notification_view import listed_view, parked_contact_view, readable_line
from didomi_dataverse.admin.replay import Replayed, replay_parked
from didomi_dataverse.admin.session import open_admin_session
from didomi_dataverse.cli.options import REASONS, config_option, configuration_of, json_option, run
from didomi_dataverse.cli.output import show, tell_replayed
from didomi_dataverse.clock import SystemClock
from didomi_dataverse.didomi.interpreted import Disposition, Reason
from didomi_dataverse.ledger.read_models import NotificationFilter


@click.group()
def parked() -> None:
    """What was set aside with a reason, and waits for a person."""


@parked.command("list")
@click.option("--reason", type=REASONS, help="Notifications parked for this reason only.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Of each kind.")
@config_option
@json_option
def list_parked(config: Path, reason: str | None, limit: int, *, as_json: bool) -> None:
    """List parked notifications and parked people, the latest first. Exit status 0 even if there are some."""
    configuration = configuration_of(config)

    async def find() -> dict[str, list[dict[str, Any]]]:
        async with open_admin_session(configuration, clock=SystemClock()) as desk:
            wanted = NotificationFilter(
                limit=limit,
                disposition=Disposition.PARKED,
                reason=None if reason is None else Reason(reason),
            )
            people = [] if reason is not None else await desk.ledger.reader.parked_contacts(limit)
            return {
                "notifications": [
                    listed_view(one) for one in await desk.ledger.reader.list_notifications(wanted)
                ],
                "contacts": [parked_contact_view(one) for one in people],
            }

    view = run(find())
    lines = [f"notification  {readable_line(one)}" for one in view["notifications"]]
    lines += [
        f"contact       {_since(one)}  {one['id']}  {one['reason']}, {one['person']}"
        for one in view["contacts"]
    ]
    show(view, "\n".join(lines) or "Nothing is parked.", as_json=as_json)


def _since(contact: Mapping[str, Any]) -> str:
    """When it was parked; if that is not kept any more, when its choices last changed."""
    return f"parked {contact['parked_at']}" if contact["parked_at"] else f"changed {contact['changed_at']}"


@parked.command("retry")
@click.option("--reason", type=REASONS, help="Notifications parked for this reason, and no contacts.")
@config_option
@json_option
def retry_parked(config: Path, reason: str | None, *, as_json: bool) -> None:
    """Replay every parked notification, and deliver every parked contact now."""
    configuration = configuration_of(config)
    wanted = None if reason is None else Reason(reason)

    async def retry() -> tuple[list[Replayed], int]:
        async with open_admin_session(configuration, clock=SystemClock()) as desk:
            replayed = await replay_parked(desk.ledger, desk.policy, wanted)
            due = 0 if wanted is not None else await desk.ledger.commands.retry_parked(now=desk.clock.now())
            return replayed, due

    replayed, due = run(retry())
    if not as_json and wanted is None:
        click.echo(due_text(due))
    tell_replayed(replayed, as_json=as_json)


@parked.command("discard")
@click.argument("notification_ids", metavar="ID...", nargs=-1, required=True)
@config_option
@json_option
def discard_parked(notification_ids: tuple[str, ...], config: Path, *, as_json: bool) -> None:
    """Say that nobody will act on these notifications: they are skipped, and deleted when they are old."""
    configuration = configuration_of(config)

    async def discard() -> tuple[int, int]:
        async with open_admin_session(configuration, clock=SystemClock()) as desk:
            found = {(await desk.notification(one)).digest for one in notification_ids}
            return await desk.ledger.commands.discard(found), len(found)

    discarded, asked = run(discard())
    show({"discarded": discarded}, discarded_text(discarded, asked), as_json=as_json)


def due_text(due: int) -> str:
    """What `parked retry` says of how many contacts are due now."""
    if due == 0:
        return "No contact was parked."
    return "1 parked contact is due now." if due == 1 else f"{due} parked contacts are due now."


def discarded_text(discarded: int, asked: int) -> str:
    """What `parked discard` says of how many notifications are skipped now."""
    if discarded == 0:
        return f"Nothing changed: {'it was not' if asked == 1 else f'none of the {asked} was'} parked."
    were, are = ("was", "is") if discarded == 1 else ("were", "are")
    count = str(discarded) if discarded == asked else f"{discarded} of {asked}"
    text = f"{count} {were} parked, and {are} skipped now"
    if discarded == asked:
        return f"{text}."
    others = "the other stays as it is" if asked - discarded == 1 else "the others stay as they are"
    return f"{text}; {others}."
