"""`parked list|retry|discard`: what was set aside with a reason until a person acts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from didomi_dataverse.admin.lookup import find_notification
from didomi_dataverse.admin.notification_view import NotificationLine
from didomi_dataverse.admin.notifications import DEFAULT_LIMIT, list_notifications
from didomi_dataverse.admin.replay import ReplayedNotification, replay_parked
from didomi_dataverse.admin.session import AdminSession
from didomi_dataverse.admin.view import View
from didomi_dataverse.didomi.interpreted import Disposition, Reason
from didomi_dataverse.ledger.read_models import ParkedContact
from didomi_dataverse.privacy.mask import mask


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedContactLine(View):
    """One parked contact of a list."""

    id: str
    """Its number, as `contacts retry` takes it: `#12`."""

    parked_at: datetime | None
    """When it was parked; None when the attempt that parked it is no longer kept."""

    changed_at: datetime
    """When its choices last changed."""

    reason: str
    """Why it was parked; empty when that is not known."""

    person: str
    """The masked identifier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedList(View):
    """Everything that waits for a person."""

    notifications: list[NotificationLine]
    """Parked notifications, the latest first."""

    contacts: list[ParkedContactLine]
    """Parked contacts, the latest change first; empty when a reason was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedRetry(View):
    """What a retry of everything parked changed."""

    replayed: list[ReplayedNotification]
    """Every notification that was parked, and what became of it."""

    due: int | None
    """Contacts that were parked and are due now; None when contacts were left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardResult(View):
    """What a discard changed."""

    discarded: int
    """Notifications that were parked and are skipped now."""

    requested: int
    """Notifications that were named, each counted once."""

    def to_json(self) -> dict[str, int]:
        """The members that programs read."""
        return {"discarded": self.discarded}


async def list_parked(
    session: AdminSession, *, reason: Reason | None = None, limit: int = DEFAULT_LIMIT
) -> ParkedList:
    """Parked notifications and contacts, at most `limit` of each. With `reason`: notifications parked for it,
    and no contacts.
    """
    contacts = [] if reason is not None else await session.ledger.reader.parked_contacts(limit)
    return ParkedList(
        notifications=await list_notifications(
            session, disposition=Disposition.PARKED, reason=reason, limit=limit
        ),
        contacts=[_build_contact_line(contact) for contact in contacts],
    )


async def retry_parked(session: AdminSession, *, reason: Reason | None = None) -> ParkedRetry:
    """Replay every parked notification, and make every parked contact due. With `reason`: the notifications
    parked for it, and no contacts.
    """
    replayed = await replay_parked(session, reason)
    due = None if reason is not None else await session.ledger.commands.retry_parked(now=session.clock.now())
    return ParkedRetry(replayed=replayed, due=due)


async def discard_notifications(session: AdminSession, prefixes: Sequence[str]) -> DiscardResult:
    """Skip these notifications if they are parked; retention then deletes them like all others.

    Raises NotFoundError, and changes nothing, when one of them is not found.
    """
    digests = {(await find_notification(session, prefix)).digest for prefix in prefixes}
    return DiscardResult(discarded=await session.ledger.commands.discard(digests), requested=len(digests))


def _build_contact_line(parked: ParkedContact) -> ParkedContactLine:
    return ParkedContactLine(
        id=f"#{parked.contact_id}",
        parked_at=parked.parked_at,
        changed_at=parked.changed_at,
        reason=parked.reason,
        person=mask(parked.identifier),
    )
