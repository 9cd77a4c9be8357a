"""`parked list|retry|discard`: everything that waits for a person."""

from pathlib import Path

import click

from didomi_dataverse.admin import parked as use_cases
from didomi_dataverse.admin.notifications import DEFAULT_LIMIT
from didomi_dataverse.admin.render_notification import render_discard, render_due, render_parked
from didomi_dataverse.cli.help import example
from didomi_dataverse.cli.ledger import print_replay, run_use_case
from didomi_dataverse.cli.options import REASON, config_option, json_option, limit_option
from didomi_dataverse.cli.output import print_view
from didomi_dataverse.didomi.interpreted import Reason


@click.group(epilog=example("parked list", "parked retry --reason foreign_organization"))
def parked() -> None:
    """Show what waits for a person, and retry it."""


@parked.command("list", epilog=example("parked list", "parked list --reason malformed --json"))
@click.option("--reason", type=REASON, help="Only notifications parked for this reason, and no contacts.")
@limit_option(DEFAULT_LIMIT, "How many of each kind at most.")
@config_option
@json_option
def list_parked(config: Path, reason: str | None, limit: int, *, as_json: bool) -> None:
    """List parked notifications and people.

    The latest first. The exit status is 0 even if there are some.
    """
    wanted = None if reason is None else Reason(reason)
    found = run_use_case(config, lambda session: use_cases.list_parked(session, reason=wanted, limit=limit))
    print_view(found, render_parked(found), as_json=as_json)


@parked.command("retry", epilog=example("parked retry", "parked retry --reason foreign_organization"))
@click.option("--reason", type=REASON, help="Only notifications parked for this reason, and no contacts.")
@config_option
@json_option
def retry_parked(config: Path, reason: str | None, *, as_json: bool) -> None:
    """Try everything parked again.

    Every parked notification is replayed, and every parked contact is delivered now. The exit status is 1
    when some notifications are still parked.
    """
    wanted = None if reason is None else Reason(reason)
    result = run_use_case(config, lambda session: use_cases.retry_parked(session, reason=wanted))
    if result.due is not None and not as_json:
        click.echo(render_due(result.due))
    print_replay(result.replayed, as_json=as_json)


@parked.command("discard", epilog=example("parked discard 3f9c0d21a7be"))
@click.argument("notification_ids", metavar="ID...", nargs=-1, required=True)
@config_option
@json_option
def discard_parked(notification_ids: tuple[str, ...], config: Path, *, as_json: bool) -> None:
    """Skip parked notifications for good.

    For what is never to be applied. Retention deletes them when they are old, like all others.
    """
    result = run_use_case(config, lambda session: use_cases.discard_notifications(session, notification_ids))
    print_view(result, render_discard(result), as_json=as_json)
