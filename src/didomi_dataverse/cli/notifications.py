"""`notifications list|show|replay`: what was received, and let it count again."""

from datetime import UTC, datetime
from pathlib import Path

import click

from didomi_dataverse.admin import notifications as use_cases
from didomi_dataverse.admin.render_notification import render_notification, render_notifications
from didomi_dataverse.admin.replay import replay_parked
from didomi_dataverse.cli.help import example
from didomi_dataverse.cli.ledger import print_replay, run_use_case
from didomi_dataverse.cli.options import REASON, config_option, json_option, limit_option
from didomi_dataverse.cli.output import print_view
from didomi_dataverse.config.types import parse_duration
from didomi_dataverse.didomi.interpreted import Disposition, Reason
from didomi_dataverse.didomi.payload.timestamps import parse_timestamp


def parse_since(text: str, *, now: datetime) -> datetime:
    """A time, or how long before `now`. Raises ValueError.

    >>> noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    >>> parse_since("12h", now=noon).isoformat(), parse_since("2026-02-01", now=noon).isoformat()
    ('2026-03-01T00:00:00+00:00', '2026-02-01T00:00:00+00:00')
    """
    try:
        age = parse_duration(text)
    except ValueError:
        time = parse_timestamp(text)
        if isinstance(time, datetime):
            return time
        raise ValueError(
            f"{text} is not a valid time. Write 2026-10-05T12:00:00Z, or 12h for twelve hours ago."
        ) from None
    try:
        return now - age
    except OverflowError:
        raise ValueError(f"{text} is out of range.") from None


def _parse_since(_ctx: click.Context, _param: click.Parameter, value: str | None) -> datetime | None:
    try:
        return None if value is None else parse_since(value, now=datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.group(
    epilog=example("notifications list --disposition parked --since 7d", "notifications show 3f9c0d21a7be")
)
def notifications() -> None:
    """Show what was received, and replay it."""


@notifications.command(
    "list",
    epilog=example(
        "notifications list --disposition parked --since 7d", "notifications list --person anna@example.com"
    ),
)
@click.option("--person", metavar="ID", help="Only about this organization user id.")
@click.option(
    "--disposition",
    type=click.Choice([one.value for one in Disposition]),
    help="Only with this disposition.",
)
@click.option("--reason", type=REASON, help="Only skipped or parked for this reason.")
@click.option("--type", "notification_type", metavar="TYPE", help="Only of this type, such as event.created.")
@click.option(
    "--since",
    metavar="TIME",
    callback=_parse_since,
    help="Only received since then: a time, or 12h for twelve hours ago.",
)
@limit_option(use_cases.DEFAULT_LIMIT, "How many at most.")
@config_option
@json_option
def list_notifications(
    *,
    config: Path,
    person: str | None,
    disposition: str | None,
    reason: str | None,
    notification_type: str | None,
    since: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """List what was received, the latest first. People are masked."""
    lines = run_use_case(
        config,
        lambda session: use_cases.list_notifications(
            session,
            person=person,
            disposition=None if disposition is None else Disposition(disposition),
            reason=None if reason is None else Reason(reason),
            notification_type=notification_type,
            since=since,
            limit=limit,
        ),
    )
    print_view(lines, render_notifications(lines), as_json=as_json)


@notifications.command("show", epilog=example("notifications show 3f9c0d21a7be"))
@click.argument("notification_id", metavar="ID")
@click.option("--raw", is_flag=True, help="Print the body as it was received. It is personal.")
@config_option
@json_option
def show_notification(notification_id: str, config: Path, *, raw: bool, as_json: bool) -> None:
    """Show one notification.

    Its choices, and what they mean in columns by today's configuration. What is personal is masked.
    """
    view = run_use_case(
        config, lambda session: use_cases.show_notification(session, notification_id, raw=raw)
    )
    if raw:
        click.echo("The body below is personal: it says who chose what.", err=True)
    print_view(view, render_notification(view, raw=raw), as_json=as_json)


@notifications.command(
    "replay",
    epilog=example(
        "notifications replay 3f9c0d21a7be",
        "notifications replay --all-parked --reason foreign_organization",
    ),
)
@click.argument("notification_ids", metavar="[ID]...", nargs=-1)
@click.option("--all-parked", is_flag=True, help="Every parked notification.")
@click.option("--reason", type=REASON, help="With --all-parked: only those parked for this reason.")
@config_option
@json_option
def replay_notifications(
    notification_ids: tuple[str, ...], config: Path, reason: str | None, *, all_parked: bool, as_json: bool
) -> None:
    """Let notifications count again.

    They are interpreted with today's code and configuration, and their contacts are delivered. Harmless at
    any time: what is already known changes nothing. The exit status is 1 when some are still parked.
    """
    if all_parked == bool(notification_ids) or (reason is not None and not all_parked):
        raise click.UsageError("Pass IDs or --all-parked. --reason goes with --all-parked only.")
    replayed = run_use_case(
        config,
        lambda session: (
            replay_parked(session, None if reason is None else Reason(reason))
            if all_parked
            else use_cases.replay_notifications(session, notification_ids)
        ),
    )
    print_replay(replayed, as_json=as_json)
