"""The ledger as people and metrics read it. Nothing here writes, and nothing here is on the hot path."""

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, and_, func, or_, select

from didomi_dataverse.didomi.interpreted import Disposition, NotificationType, Reason
from didomi_dataverse.ledger.codec import decode_evidence
from didomi_dataverse.ledger.contact_rows import CONTACT_COLUMNS, decode_contact
from didomi_dataverse.ledger.database.transactions import Database
from didomi_dataverse.ledger.delivery_state import Attempt, AttemptOutcome, Contact, DeliveryState
from didomi_dataverse.ledger.read_models import (
    ContactCounts,
    NotificationFilter,
    NotificationSummary,
    ParkedContact,
    StoredNotification,
)
from didomi_dataverse.ledger.tables import attempts, clip_text, contacts, notifications

_DIGEST_CHARACTERS = 64

_CONFIRMING = (AttemptOutcome.WRITTEN, AttemptOutcome.CREATED, AttemptOutcome.PARKED)
"""What an attempt came to in which Dataverse confirmed columns."""

_ATTEMPTS_PER_STATEMENT = 100
"""Attempts read at once while looking for confirmations. Too small: more statements for a contact that
changes often. Too large: attempts are read that are not needed."""


class LedgerReader:
    """Reads contacts, notifications and attempts.

    Every method raises StoreUnavailableError when the store cannot be read.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def contact(self, key: str) -> Contact | None:
        """The contact of this key.

        Raises ValueError when this version cannot read its stored state.
        """
        return await self._database.read(_contact, key)

    async def key_of(self, number: int) -> str | None:
        """The key of the contact with this number. None when there is none."""
        return await self._database.read(_key_of, number)

    async def contact_ids(self, keys: Collection[str], numbers: Collection[int] = ()) -> list[int]:
        """The numbers of the contacts with these keys or numbers, as far as they exist."""
        return await self._database.read(_contact_ids, keys, numbers)

    async def parked_contacts(self, limit: int) -> list[ParkedContact]:
        """At most `limit` contacts that wait for a person, the latest change first."""
        return await self._database.read(_parked_contacts, limit)

    async def count_contacts(self) -> ContactCounts:
        """How many contacts there are in every state. Counted from an index: not for every request."""
        return await self._database.read(_count_contacts)

    async def attempts_of(self, contact_id: int, limit: int) -> list[Attempt]:
        """What was tried for a contact, the latest first."""
        return await self._database.read(_attempts_of, contact_id, limit)

    async def confirmations_of(self, contact_id: int, columns: Collection[str]) -> dict[str, Attempt]:
        """For each of the columns the last stored attempt in which Dataverse confirmed it."""
        return await self._database.read(_confirmations_of, contact_id, columns)

    async def notifications_of(
        self, contact_id: int, limit: int, didomi_users: Collection[str] = ()
    ) -> list[StoredNotification]:
        """What was received about a contact, the latest first.

        Deletions of one of the Didomi users are among them, whichever contact they name.
        """
        return await self._database.read(_notifications_of, contact_id, limit, didomi_users)

    async def list_notifications(self, wanted: NotificationFilter) -> list[NotificationSummary]:
        """The notifications that fit, the latest first."""
        return await self._database.read(_list_notifications, wanted)

    async def notifications_by_prefix(self, prefix: str) -> list[StoredNotification]:
        """At most two notifications whose digest begins with these hex digits.

        One is the one that is meant; two prove that the prefix is too short.
        """
        return await self._database.read(_notifications_by_prefix, prefix)

    async def parked_notifications(
        self, after: int, limit: int, reason: Reason | None = None
    ) -> list[StoredNotification]:
        """The next parked notifications after the row `after`, in the order of their arrival."""
        return await self._database.read(_parked_notifications, after, limit, reason)


# --- Contacts -----------------------------------------------------------------------------------------------


def _contact(connection: Connection, key: str) -> Contact | None:
    row = connection.execute(select(*CONTACT_COLUMNS).where(contacts.c.key == key)).mappings().one_or_none()
    return None if row is None else decode_contact(row)


def _key_of(connection: Connection, number: int) -> str | None:
    return connection.execute(select(contacts.c.key).where(contacts.c.id == number)).scalar_one_or_none()


def _contact_ids(connection: Connection, keys: Collection[str], numbers: Collection[int]) -> list[int]:
    columns = contacts.c
    return list(
        connection.execute(
            select(columns.id)
            .where(or_(columns.key.in_(sorted(keys)), columns.id.in_(sorted(numbers))))
            .order_by(columns.id)
        ).scalars()
    )


def _parked_contacts(connection: Connection, limit: int) -> list[ParkedContact]:
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


def _count_contacts(connection: Connection) -> ContactCounts:
    by_state = dict.fromkeys(DeliveryState, 0)
    for state, count in connection.execute(select(contacts.c.state, func.count()).group_by(contacts.c.state)):
        by_state[DeliveryState(state)] = count
    oldest = connection.execute(
        select(func.min(contacts.c.due_at)).where(contacts.c.state == DeliveryState.DUE.value)
    ).scalar_one()
    return ContactCounts(by_state=by_state, oldest_due_at=oldest)


# --- Attempts -----------------------------------------------------------------------------------------------


def _attempts_of(connection: Connection, contact_id: int, limit: int) -> list[Attempt]:
    wanted = (
        select(attempts)
        .where(attempts.c.contact_id == contact_id)
        .order_by(attempts.c.id.desc())
        .limit(limit)
    )
    return [_decode_attempt(row) for row in connection.execute(wanted).mappings()]


def _confirmations_of(
    connection: Connection, contact_id: int, columns: Collection[str]
) -> dict[str, Attempt]:
    found: dict[str, Attempt] = {}
    wanted = set(columns)
    before: int | None = None
    # In portions, because a person may have chosen often since a column was last written.
    while wanted:
        some = select(attempts).where(
            attempts.c.contact_id == contact_id,
            attempts.c.outcome.in_([outcome.value for outcome in _CONFIRMING]),
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
            attempt = _decode_attempt(row)
            confirmed = wanted & _confirmed_columns(attempt)
            found.update(dict.fromkeys(confirmed, attempt))
            wanted -= confirmed
    return found


def _confirmed_columns(attempt: Attempt) -> frozenset[str]:
    """The columns that Dataverse confirmed in an attempt: all, none, or those that it stored of a row that it
    otherwise rejected.
    """
    if attempt.outcome is AttemptOutcome.PARKED:
        return frozenset(name for name, sent in attempt.columns.items() if sent.get("confirmed"))
    return frozenset(attempt.columns) if attempt.outcome in _CONFIRMING else frozenset()


def _decode_attempt(row: RowMapping) -> Attempt:
    return Attempt(
        attempted_at=row["attempted_at"],
        outcome=AttemptOutcome(row["outcome"]),
        status=row["status"],
        code=row["code"],
        message=row["message"],
        request_id=row["request_id"],
        columns=decode_evidence(row["columns"]),
    )


# --- Notifications ------------------------------------------------------------------------------------------


def _notifications_of(
    connection: Connection, contact_id: int, limit: int, didomi_users: Collection[str]
) -> list[StoredNotification]:
    columns = notifications.c
    found = {
        row["id"]: _decode_notification(row)
        for row in connection.execute(_select_latest(columns.contact_id == contact_id, limit)).mappings()
    }
    if didomi_users:
        # A row names one contact, and a Didomi user that is deleted may have spoken for several.
        deletions = and_(
            columns.didomi_user != "",
            columns.didomi_user.in_(sorted(map(clip_text, didomi_users))),
            columns.type == NotificationType.USER_DELETED.value,
        )
        for row in connection.execute(_select_latest(deletions, limit)).mappings():
            deletion = _decode_notification(row)
            if deletion.disposition in {Disposition.APPLIED, Disposition.UNCHANGED}:
                found[row["id"]] = deletion
    return [found[number] for number in sorted(found, reverse=True)[:limit]]


def _select_latest(wanted: ColumnElement[bool], limit: int) -> Select[Any]:
    return select(notifications).where(wanted).order_by(notifications.c.id.desc()).limit(limit)


def _list_notifications(connection: Connection, wanted: NotificationFilter) -> list[NotificationSummary]:
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


def _notifications_by_prefix(connection: Connection, prefix: str) -> list[StoredNotification]:
    column = notifications.c.digest
    rows = connection.execute(
        select(notifications)
        .where(column >= prefix, column <= prefix.ljust(_DIGEST_CHARACTERS, "f"))
        .order_by(column)
        .limit(2)
    )
    return [_decode_notification(row) for row in rows.mappings()]


def _parked_notifications(
    connection: Connection, after: int, limit: int, reason: Reason | None
) -> list[StoredNotification]:
    columns = notifications.c
    found = select(notifications).where(columns.disposition == Disposition.PARKED.value, columns.id > after)
    if reason is not None:
        found = found.where(columns.reason == reason.value)
    rows = connection.execute(found.order_by(columns.id).limit(limit)).mappings()
    return [_decode_notification(row) for row in rows]


def _decode_notification(row: RowMapping) -> StoredNotification:
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
