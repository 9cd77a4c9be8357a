"""What people look for in the ledger, and what they set going again. Short transactions, off the hot path."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Select, and_, func, or_, select, update

from didomi_dataverse.didomi.interpreted import Disposition, Reason
from didomi_dataverse.ledger.codec import EMPTY_WRITTEN
from didomi_dataverse.ledger.delivery_state import DeliveryState, Move, moved
from didomi_dataverse.ledger.queries import StoredNotification, stored_notification
from didomi_dataverse.ledger.tables import attempts, contacts, notifications

_DIGEST_CHARACTERS = 64
_IDS_PER_STATEMENT = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationFilter:
    """Which notifications, the latest first. What is None does not matter."""

    limit: int
    key: str | None = field(default=None, repr=False)
    disposition: Disposition | None = None
    reason: Reason | None = None
    type: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationSummary:
    """A notification without its body. `identifier` is None when it names nobody."""

    digest: str
    received_at: datetime
    times_received: int
    type: str
    regulation: str
    disposition: Disposition
    reason: Reason | None
    identifier: str | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedContact:
    """A contact that waits for a person. `changed_at` is when its choices last did. `parked_at` is None when
    the attempt that parked it is not kept any more.
    """

    contact_id: int
    identifier: str = field(repr=False)
    reason: str
    changed_at: datetime
    parked_at: datetime | None


def list_notifications(connection: Connection, wanted: NotificationFilter) -> list[NotificationSummary]:
    """The notifications that fit, the latest first."""
    columns = notifications.c
    found = (
        select(
            columns.digest,
            columns.received_at,
            columns.times_received,
            columns.type,
            columns.regulation,
            columns.disposition,
            columns.reason,
            contacts.c.identifier,
        )
        .select_from(notifications.outerjoin(contacts))
        .order_by(columns.id.desc())
        .limit(wanted.limit)
    )
    conditions = (
        (contacts.c.key, wanted.key),
        (columns.disposition, wanted.disposition),
        (columns.reason, wanted.reason),
        (columns.type, wanted.type),
    )
    for column, value in conditions:
        if value is not None:
            found = found.where(column == str(value))
    if wanted.since is not None:
        found = found.where(columns.received_at >= wanted.since)
    return [
        NotificationSummary(
            digest=row["digest"],
            received_at=row["received_at"],
            times_received=row["times_received"],
            type=row["type"],
            regulation=row["regulation"],
            disposition=Disposition(row["disposition"]),
            reason=None if row["reason"] is None else Reason(row["reason"]),
            identifier=row["identifier"],
        )
        for row in connection.execute(found).mappings()
    ]


def by_prefix(connection: Connection, prefix: str) -> list[StoredNotification]:
    """At most two notifications whose digest begins like this: the one, or proof that there are more."""
    column = notifications.c.digest
    rows = connection.execute(
        select(notifications)
        .where(column >= prefix, column <= prefix.ljust(_DIGEST_CHARACTERS, "f"))
        .order_by(column)
        .limit(2)
    )
    return [stored_notification(row) for row in rows.mappings()]


def parked_after(
    connection: Connection, after: int, limit: int, reason: Reason | None
) -> list[StoredNotification]:
    """The next parked notifications in the order of their arrival, after that row."""
    columns = notifications.c
    found = select(notifications).where(columns.disposition == Disposition.PARKED.value, columns.id > after)
    if reason is not None:
        found = found.where(columns.reason == reason.value)
    return [
        stored_notification(row)
        for row in connection.execute(found.order_by(columns.id).limit(limit)).mappings()
    ]


def parked_contacts(connection: Connection, limit: int) -> list[ParkedContact]:
    """Contacts that wait for a person, the latest change first."""
    columns = contacts.c
    # Nothing is tried for a parked contact, so the attempt that parked it is its last.
    parked_at = (
        select(func.max(attempts.c.attempted_at)).where(attempts.c.contact_id == columns.id).scalar_subquery()
    )
    rows = connection.execute(
        select(
            columns.id, columns.identifier, columns.reason, columns.changed_at, parked_at.label("parked_at")
        )
        .where(columns.state == DeliveryState.PARKED.value)
        .order_by(columns.changed_at.desc(), columns.id)
        .limit(limit)
    ).mappings()
    return [
        ParkedContact(
            contact_id=row["id"],
            identifier=row["identifier"],
            reason=row["reason"] or "",
            changed_at=row["changed_at"],
            parked_at=row["parked_at"],
        )
        for row in rows
    ]


def discard(connection: Connection, digests: Collection[str]) -> int:
    """Parked notifications that nobody will act on are skipped, for the reason they were parked for; how
    many. Retention then takes them like all others.
    """
    columns = notifications.c
    return connection.execute(
        update(notifications)
        .where(columns.digest.in_(sorted(digests)), columns.disposition == Disposition.PARKED.value)
        .values(disposition=Disposition.SKIPPED.value)
    ).rowcount


def contact_ids(connection: Connection, keys: Collection[str], numbers: Collection[int]) -> list[int]:
    """The contacts with these keys or numbers that there are."""
    columns = contacts.c
    return list(
        connection.execute(
            select(columns.id)
            .where(or_(columns.key.in_(sorted(keys)), columns.id.in_(sorted(numbers))))
            .order_by(columns.id)
        ).scalars()
    )


def key_of(connection: Connection, number: int) -> str | None:
    """The key of the contact with this number."""
    return connection.execute(select(contacts.c.key).where(contacts.c.id == number)).scalar_one_or_none()


def parked_contact_ids(connection: Connection, after: int, limit: int) -> list[int]:
    """The next parked contacts after that number."""
    columns = contacts.c
    return _next_ids(
        connection, select(columns.id).where(columns.state == DeliveryState.PARKED.value), after, limit
    )


def all_contact_ids(connection: Connection, after: int, limit: int) -> list[int]:
    """The next contacts after that number."""
    return _next_ids(connection, select(contacts.c.id), after, limit)


def _next_ids(connection: Connection, found: Select[int], after: int, limit: int) -> list[int]:
    column = contacts.c.id
    return list(connection.execute(found.where(column > after).order_by(column).limit(limit)).scalars())


_WAITING = (DeliveryState.PARKED, DeliveryState.UNMATCHED)


def retry(connection: Connection, ids: Sequence[int], now: datetime) -> int:
    """Make contacts that are parked or have no row due now; how many. The patience for a missing row begins
    anew where it had ended.
    """
    columns = contacts.c
    return connection.execute(
        update(contacts)
        .where(
            columns.id.in_(ids),
            columns.state.in_([state.value for state in _WAITING]),
        )
        .values(
            state=moved(DeliveryState.PARKED, Move.CHANGED).value,
            due_at=now,
            reason=None,
            attempts=0,
            unmatched_since=None,
        )
    ).rowcount


def resync(connection: Connection, ids: Sequence[int], now: datetime) -> tuple[int, int]:
    """Forget what Dataverse confirmed, so that every column is sent again; how many contacts, and how many
    not because they are being written at this moment.
    """
    columns = contacts.c
    chosen = and_(columns.id.in_(ids), columns.revision > 0)
    is_held = columns.state == DeliveryState.DELIVERING.value
    held = connection.execute(select(func.count()).select_from(contacts).where(chosen, is_held)).scalar_one()
    done = connection.execute(
        update(contacts)
        .where(chosen, ~is_held)
        .values(
            state=moved(DeliveryState.SETTLED, Move.CHANGED).value,
            due_at=now,
            reason=None,
            written=EMPTY_WRITTEN,
            revision=columns.revision + 1,
        )
    ).rowcount
    return done, held
