"""`notifications list|show|replay`: what was received, and let it count again."""

from collections.abc import Sequence
from datetime import datetime

from didomi_dataverse.admin.lookup import find_notification, identity_key
from didomi_dataverse.admin.notification_view import (
    NotificationLine,
    NotificationView,
    build_notification_line,
    build_notification_view,
)
from didomi_dataverse.admin.replay import ReplayedNotification, interpret_again, replay
from didomi_dataverse.admin.session import AdminSession
from didomi_dataverse.didomi.interpreted import Disposition, Reason
from didomi_dataverse.ledger.read_models import NotificationFilter

DEFAULT_LIMIT = 50
"""How many notifications, and how many contacts, a list shows unless another number is given."""


async def list_notifications(
    session: AdminSession,
    *,
    person: str | None = None,
    disposition: Disposition | None = None,
    reason: Reason | None = None,
    notification_type: str | None = None,
    since: datetime | None = None,
    limit: int = DEFAULT_LIMIT,
) -> list[NotificationLine]:
    """The notifications that match all of the conditions given, the latest first, at most `limit`.

    `person` is an organization user id, `since` the earliest time of arrival. Raises NotFoundError when
    `person` cannot be an organization user id.
    """
    wanted = NotificationFilter(
        limit=limit,
        key=None if person is None else identity_key(session, person),
        disposition=disposition,
        reason=reason,
        type=notification_type,
        since=since,
    )
    return [
        build_notification_line(summary) for summary in await session.ledger.reader.list_notifications(wanted)
    ]


async def show_notification(session: AdminSession, prefix: str, *, raw: bool = False) -> NotificationView:
    """One notification, and what it says and would write today. `prefix`: the first hex digits of its digest.

    `raw` gives the body as it was received, which is personal. Raises NotFoundError.
    """
    stored = await find_notification(session, prefix)
    interpreted = interpret_again(stored, session.policy)
    return build_notification_view(stored, interpreted, session.configuration.mapping, raw=raw)


async def replay_notifications(session: AdminSession, prefixes: Sequence[str]) -> list[ReplayedNotification]:
    """Replay these notifications, each once and each in a transaction of its own.

    Raises NotFoundError, and changes nothing, when one of them is not found.
    """
    # All are looked up before anything is changed.
    found = {stored.digest: stored for stored in [await find_notification(session, one) for one in prefixes]}
    return [replayed for stored in found.values() for replayed in await replay(session, [stored])]
