"""The ledger as people and metrics read it. Nothing here writes, and nothing here is on the hot path."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, and_, func, select

from didomi_dataverse.didomi.interpreted import Disposition, NotificationType, Reason
from didomi_dataverse.ledger.claims import CONTACT_COLUMNS, contact_of
from didomi_dataverse.ledger.codec import decode_evidence
from didomi_dataverse.ledger.delivery_state import Attempt, Contact, DeliveryState, Priority
from didomi_dataverse.ledger.tables import attempts, contacts, notifications, storable_text


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredNotification:
    """A notification as the ledger holds it. `body` is personal: never logged."""

    notification_id: int
    digest: str
    received_at: datetime
    last_received_at: datetime
    times_received: int
    type: str
    regulation: str
    organization_id: str
    didomi_user: str
    source_id: str
    effective_at: datetime | None
    caller: str
    disposition: Disposition
    reason: Reason | None
    notes: tuple[str, ...]
    body: bytes = field(repr=False)
    contact_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many of everything there are. A state or disposition that nothing is in is 0 or absent.

    `parked_contacts` is by reason, '' where none was given. `oldest_due_at` is since when the contact that
    waits longest has been due, None when none is.
    """

    contacts: Mapping[DeliveryState, int]
    parked_contacts: Mapping[str, int]
    notifications: Mapping[tuple[Disposition, Reason | None], int]
    oldest_due_at: datetime | None


def contact(connection: Connection, key: str) -> Contact | None:
    """The contact of this key. Raises ValueError when its stored state is not readable."""
    row = connection.execute(select(*CONTACT_COLUMNS).where(contacts.c.key == key)).mappings().one_or_none()
    return None if row is None else contact_of(row)


def notification(connection: Connection, digest: str) -> StoredNotification | None:
    """The notification of this digest."""
    row = (
        connection.execute(select(notifications).where(notifications.c.digest == digest))
        .mappings()
        .one_or_none()
    )
    return None if row is None else stored_notification(row)


def notifications_of(
    connection: Connection, contact_id: int, limit: int, didomi_users: Collection[str] = ()
) -> list[StoredNotification]:
    """What was received about a contact, the latest first; with it, what deleted one of the Didomi users."""
    columns = notifications.c
    found = {
        row["id"]: stored_notification(row)
        for row in connection.execute(_latest(columns.contact_id == contact_id, limit)).mappings()
    }
    if didomi_users:
        # A row names one contact, and a Didomi user that is deleted may have spoken for several.
        deletions = and_(
            columns.didomi_user != "",
            columns.didomi_user.in_(sorted(map(storable_text, didomi_users))),
            columns.type == NotificationType.USER_DELETED.value,
        )
        for row in connection.execute(_latest(deletions, limit)).mappings():
            logged = stored_notification(row)
            if logged.disposition in {Disposition.APPLIED, Disposition.UNCHANGED}:
                found[row["id"]] = logged
    return [found[number] for number in sorted(found, reverse=True)[:limit]]


def _latest(wanted: ColumnElement[bool], limit: int) -> Select[Any]:
    return select(notifications).where(wanted).order_by(notifications.c.id.desc()).limit(limit)


def attempts_of(connection: Connection, contact_id: int, limit: int) -> list[Attempt]:
    """What was sent for a contact, the latest first."""
    wanted = (
        select(attempts)
        .where(attempts.c.contact_id == contact_id)
        .order_by(attempts.c.id.desc())
        .limit(limit)
    )
    return [_attempt(row) for row in connection.execute(wanted).mappings()]


_CONFIRMING = ("written", "created", "parked")
_ATTEMPTS_PER_STATEMENT = 100


def confirmations_of(connection: Connection, contact_id: int, columns: Collection[str]) -> dict[str, Attempt]:
    """For each of the columns the last attempt, of those still kept, in which Dataverse confirmed it."""
    found: dict[str, Attempt] = {}
    wanted = set(columns)
    before: int | None = None
    # In portions, because somebody may have chosen often since a column was last written.
    while wanted:
        some = select(attempts).where(
            attempts.c.contact_id == contact_id, attempts.c.outcome.in_(_CONFIRMING)
        )
        if before is not None:
            some = some.where(attempts.c.id < before)
        rows = (
            connection.execute(some.order_by(attempts.c.id.desc()).limit(_ATTEMPTS_PER_STATEMENT))
            .mappings()
            .all()
        )
        if not rows:
            break
        before = rows[-1]["id"]
        for row in rows:
            attempt = _attempt(row)
            confirmed = wanted & confirmed_in(attempt)
            found.update(dict.fromkeys(confirmed, attempt))
            wanted -= confirmed
    return found


def confirmed_in(attempt: Attempt) -> frozenset[str]:
    """The columns that Dataverse confirmed in an attempt: all, none, or what a rejected row took all the
    same.
    """
    if attempt.outcome == "parked":
        return frozenset(name for name, sent in attempt.columns.items() if sent.get("confirmed"))
    return frozenset(attempt.columns) if attempt.outcome in _CONFIRMING else frozenset()


def next_due_at(connection: Connection) -> datetime | None:
    """When the next contact is due, None when none ever will be by itself. In the past when one is due
    already.
    """
    earliest = [
        connection.execute(
            select(contacts.c.due_at)
            .where(contacts.c.priority == int(priority), contacts.c.due_at.is_not(None))
            .order_by(contacts.c.due_at)
            .limit(1)
        ).scalar_one_or_none()
        for priority in Priority
    ]
    return min((due_at for due_at in earliest if due_at is not None), default=None)


def counts(connection: Connection) -> Counts:
    """Counted from indexes alone, but counted: not for every request."""
    states = dict.fromkeys(DeliveryState, 0)
    parked: dict[str, int] = {}
    for state, reason, count in connection.execute(
        select(contacts.c.state, contacts.c.reason, func.count()).group_by(
            contacts.c.state, contacts.c.reason
        )
    ):
        states[DeliveryState(state)] += count
        if state == DeliveryState.PARKED.value:
            parked[reason or ""] = parked.get(reason or "", 0) + count
    columns = notifications.c
    received = {
        (Disposition(disposition), None if reason is None else Reason(reason)): count
        for disposition, reason, count in connection.execute(
            select(columns.disposition, columns.reason, func.count()).group_by(
                columns.disposition, columns.reason
            )
        )
    }
    oldest = connection.execute(
        select(func.min(contacts.c.due_at)).where(contacts.c.state == DeliveryState.DUE.value)
    ).scalar_one()
    return Counts(contacts=states, parked_contacts=parked, notifications=received, oldest_due_at=oldest)


def stored_notification(row: RowMapping) -> StoredNotification:
    """The notification in a row of the table."""
    return StoredNotification(
        notification_id=row["id"],
        digest=row["digest"],
        received_at=row["received_at"],
        last_received_at=row["last_received_at"],
        times_received=row["times_received"],
        type=row["type"],
        regulation=row["regulation"],
        organization_id=row["organization_id"],
        didomi_user=row["didomi_user"],
        source_id=row["source_id"],
        effective_at=row["effective_at"],
        caller=row["caller"],
        disposition=Disposition(row["disposition"]),
        reason=None if row["reason"] is None else Reason(row["reason"]),
        notes=tuple(json.loads(row["notes"])),
        body=bytes(row["body"]),
        contact_id=row["contact_id"],
    )


def _attempt(row: RowMapping) -> Attempt:
    return Attempt(
        attempted_at=row["attempted_at"],
        outcome=row["outcome"],
        status=row["status"],
        code=row["code"],
        message=row["message"],
        request_id=row["request_id"],
        columns=decode_evidence(row["columns"]),
    )
