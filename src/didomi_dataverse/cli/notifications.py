"""`notifications list|show|replay`: what was received, and letting it count again."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from didomi_dataverse.admin.notification_view import (
    listed_view,
    notification_view,
    readable,
    readable_line,
)
from didomi_dataverse.admin.replay import Replayed, read_again, replay, replay_parked
from didomi_dataverse.admin.session import open_admin_session
from didomi_dataverse.cli.options import REASONS, config_option, configuration_of, json_option, run
from didomi_dataverse.cli.output import show, tell_replayed
from didomi_dataverse.clock import SystemClock
from didomi_dataverse.config.types import DURATION_UNITS
from didomi_dataverse.didomi.interpreted import Disposition, Reason
from didomi_dataverse.didomi.payload.timestamps import parse_timestamp
from didomi_dataverse.ledger.read_models import NotificationFilter
from didomi_dataverse.wiring.configuration import Configuration


def _since(_ctx: click.Context, _param: click.Parameter, value: str | None) -> datetime | None:
    """A time, or how long ago: 90m, 12h, 7d, 2w."""
    if value is None:
        return None
    count, unit = value[:-1], value[-1:]
    try:
        if unit in DURATION_UNITS and count.isdecimal():
            return datetime.now(UTC) - int(count) * DURATION_UNITS[unit]
    except OverflowError:
        raise click.BadParameter(f"{value} is longer ago than any calendar knows.") from None
    moment = parse_timestamp(value)
    if not isinstance(moment, datetime):
        raise click.BadParameter(
            f"{value} is no time. Write 2026-10-05T12:00:00Z, or 12h for twelve hours ago."
        )
    return moment


@click.group()
def notifications() -> None:
    """What was received, what became of it, and letting it count again."""


@notifications.command("list")
@click.option("--person", metavar="ID", help="Of this organization user id only.")
@click.option("--disposition", type=click.Choice([one.value for one in Disposition]))
@click.option("--reason", type=REASONS)
@click.option("--type", "kind", metavar="TYPE", help="As Didomi names it, e.g. event.created.")
@click.option(
    "--since",
    metavar="TIME",
    callback=_since,
    help="Received since then: a time, or 12h for twelve hours ago.",
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@config_option
@json_option
def list_notifications(
    *,
    config: Path,
    person: str | None,
    disposition: str | None,
    reason: str | None,
    kind: str | None,
    since: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """List what was received, the latest first. People are masked."""
    configuration = configuration_of(config)

    async def find() -> list[dict[str, Any]]:
        async with open_admin_session(configuration, clock=SystemClock()) as desk:
            wanted = NotificationFilter(
                limit=limit,
                key=None if person is None else desk.key_of(person),
                disposition=None if disposition is None else Disposition(disposition),
                reason=None if reason is None else Reason(reason),
                type=kind,
                since=since,
            )
            return [listed_view(one) for one in await desk.ledger.reader.list_notifications(wanted)]

    views = run(find())
    show(views, "\n".join(map(readable_line, views)) or "Nothing was received that fits.", as_json=as_json)


@notifications.command("show")
@click.argument("notification_id", metavar="ID")
@click.option("--raw", is_flag=True, help="Print the body as it was received. It is personal.")
@config_option
@json_option
def show_notification(notification_id: str, config: Path, *, raw: bool, as_json: bool) -> None:
    """Show a notification, its choices, and what they would be in columns by today's configuration."""
    configuration = configuration_of(config)

    async def find() -> tuple[dict[str, Any], bytes]:
        async with open_admin_session(configuration, clock=SystemClock()) as desk:
            logged = await desk.notification(notification_id)
            reading = read_again(logged, desk.policy)
            return notification_view(logged, reading, configuration.mapping), logged.body

    view, body = run(find())
    if raw:
        click.echo("The body below is personal: it says who chose what.", err=True)
        view["body"] = body.decode("utf-8", "backslashreplace")
    body_text = view["body"] if raw else _body_text(view)
    show(view, f"{readable(view)}\n  body, {view['body_bytes']} bytes:\n{body_text}", as_json=as_json)


def _body_text(view: dict[str, Any]) -> str:
    if view["body"] is None:
        return "  (not JSON; --raw prints it)"
    return json.dumps(view["body"], indent=2)


@notifications.command("replay")
@click.argument("notification_ids", metavar="[ID]...", nargs=-1)
@click.option("--all-parked", is_flag=True, help="Every parked notification.")
@click.option("--reason", type=REASONS, help="With --all-parked: only those parked for this reason.")
@config_option
@json_option
def replay_notifications(
    notification_ids: tuple[str, ...], config: Path, reason: str | None, *, all_parked: bool, as_json: bool
) -> None:
    """Read notifications again with today's code and configuration, and deliver whom they are about.

    Harmless at any time: what is known already changes nothing. Exit status 1 when some are still parked.
    """
    if all_parked == bool(notification_ids) or (reason is not None and not all_parked):
        raise click.UsageError("Name notifications, or say --all-parked, possibly with --reason.")
    configuration = configuration_of(config)
    wanted = None if reason is None else Reason(reason)
    replayed = run(_replay(configuration, notification_ids, wanted, all_parked=all_parked))
    tell_replayed(replayed, as_json=as_json)


async def _replay(
    configuration: Configuration, ids: tuple[str, ...], reason: Reason | None, *, all_parked: bool
) -> list[Replayed]:
    async with open_admin_session(configuration, clock=SystemClock()) as desk:
        if all_parked:
            return await replay_parked(desk.ledger, desk.policy, reason)
        # All are looked up before anything is changed.
        found = {logged.digest: logged for logged in [await desk.notification(one) for one in ids]}
        return [
            replayed
            for logged in found.values()
            for replayed in await replay(desk.ledger, desk.policy, [logged])
        ]
