"""Deletions by Didomi, in the transaction that records them (docs/how-choices-are-decided.md, "Deletions";
didomi.md 3.2).

What is deleted is remembered as a tombstone before anything else is looked at, so that the order in which a
deletion and what it deletes arrive makes no difference.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, and_, bindparam, or_, select, update

from didomi_dataverse.consent.model import Choice
from didomi_dataverse.consent.tombstones import Tombstones
from didomi_dataverse.didomi.interpret import InterpretationPolicy, interpret
from didomi_dataverse.didomi.interpreted import DeletionScope, Disposition, InterpretedNotification, Reason
from didomi_dataverse.didomi.notification import parse_notifications
from didomi_dataverse.ledger.database import dialect
from didomi_dataverse.ledger.database.bulk_sql import rows_in
from didomi_dataverse.ledger.tables import deleted_events, deleted_users, notifications, storable_text

# The notifications it reads were accepted when they came; what is accepted today does not matter for them.
_AS_ACCEPTED = InterpretationPolicy()


@dataclass(frozen=True, slots=True)
class DeletionTarget:
    """Whom a deletion is about. `is_known`: what it deletes was received, be it without a person."""

    contact_ids: frozenset[int]
    is_known: bool


def was_folded() -> ColumnElement[bool]:
    """Of which notifications the choices are in their contact's registers."""
    columns = notifications.c
    return or_(
        columns.disposition.in_((Disposition.APPLIED.value, Disposition.UNCHANGED.value)),
        and_(
            columns.disposition == Disposition.SKIPPED.value,
            columns.reason == Reason.REGULATION_NOT_MAPPED.value,
        ),
    )


def named_by(reading: InterpretedNotification) -> Tombstones:
    """What one deletion deletes."""
    match reading.deletes:
        case DeletionScope.EVENT:
            return Tombstones(events=frozenset({reading.source_id}))
        case DeletionScope.USER:
            return Tombstones(users={reading.didomi_user: reading.received_at})
        case None:
            return Tombstones()


def tombstones_for(connection: Connection, readings: Iterable[InterpretedNotification]) -> Tombstones:
    """Everything deleted that concerns the choices of the readings, by now or by one of the readings."""
    spoken = list(readings)
    choices = [choice for reading in spoken for choice in reading.choices]
    events = _deleted(connection, deleted_events, "source_id", {choice.source_id for choice in choices})
    users = _deleted(connection, deleted_users, "didomi_user", {choice.didomi_user for choice in choices})
    for named in map(named_by, spoken):
        events |= dict.fromkeys(named.events)
        for user, deleted_at in named.users.items():
            known = users.get(user)
            users[user] = deleted_at if known is None else max(known, deleted_at)
    return Tombstones(events=frozenset(events), users={user: at for user, at in users.items() if at})


def find_deletion_target(
    connection: Connection,
    reading: InterpretedNotification,
    others: Mapping[str, Sequence[InterpretedNotification]],
) -> DeletionTarget:
    """Whom our own log, and the readings received together with it, know of what a deletion deletes.

    `others` are those readings by the key of their identity ('' without one); their contacts are not looked
    up here.
    """
    columns = notifications.c
    wanted = (
        columns.source_id == storable_text(reading.source_id)
        if reading.deletes is DeletionScope.EVENT
        else columns.didomi_user == storable_text(reading.didomi_user)
    )
    named = columns.source_id != "" if reading.deletes is DeletionScope.EVENT else columns.didomi_user != ""
    rows = connection.execute(
        select(columns.contact_id)
        # A deletion that says the same in other words is no trace of what it deletes.
        .where(wanted, named, columns.type.not_in(("event.deleted", "user.deleted")))
        .distinct()
    ).scalars()
    found = set(rows)
    together = any(_speaks_of(one, reading) for some in others.values() for one in some)
    return DeletionTarget(
        contact_ids=frozenset(contact_id for contact_id in found if contact_id is not None),
        is_known=bool(found) or together,
    )


def keys_together(
    reading: InterpretedNotification, others: Mapping[str, Sequence[InterpretedNotification]]
) -> set[str]:
    """The identities, of those received together with a deletion, that it concerns."""
    keys = {key for key, some in others.items() if key and any(_speaks_of(one, reading) for one in some)}
    return keys if reading.identity is None else keys | {reading.identity.key}


def _speaks_of(reading: InterpretedNotification, deletion: InterpretedNotification) -> bool:
    if reading.deletes is not None:
        return False
    if deletion.deletes is DeletionScope.EVENT:
        return reading.source_id == deletion.source_id
    return reading.didomi_user == deletion.didomi_user


def history(connection: Connection, contact_id: int) -> Iterator[InterpretedNotification]:
    """Every notification about a contact whose choices are in its registers, read again.

    The same body read at the same time says the same, so that folding it again changes nothing.
    """
    columns = notifications.c
    rows = connection.execute(
        select(columns.body, columns.received_at, columns.caller)
        .where(columns.contact_id == contact_id, was_folded())
        .order_by(columns.id)
    )
    for body, received_at, caller in rows:
        for notification in parse_notifications(bytes(body)):
            yield interpret(notification, received_at=received_at, caller=caller, policy=_AS_ACCEPTED)


def choices_of(readings: Iterable[InterpretedNotification]) -> Iterator[Choice]:
    """All of their choices."""
    for reading in readings:
        yield from reading.choices


def remember(connection: Connection, readings: Sequence[InterpretedNotification]) -> None:
    """Set the tombstones of these deletions. A user deleted again no longer counts until the later time."""
    dialect.insert_missing(
        connection,
        deleted_events,
        [_stone("source_id", one.source_id, one) for one in readings if one.deletes is DeletionScope.EVENT],
    )
    users = [
        _stone("didomi_user", one.didomi_user, one) for one in readings if one.deletes is DeletionScope.USER
    ]
    dialect.insert_missing(connection, deleted_users, users)
    if users:
        connection.execute(
            _LATER,
            [{"deleted_user": row["didomi_user"], "at": row["deleted_at"]} for row in users],
        )


_LATER = (
    update(deleted_users)
    .where(
        deleted_users.c.didomi_user == bindparam("deleted_user"), deleted_users.c.deleted_at < bindparam("at")
    )
    .values(deleted_at=bindparam("at"))
)


def _stone(name: str, value: str, reading: InterpretedNotification) -> dict[str, object]:
    return {name: value, "deleted_at": reading.received_at, "digest": reading.digest}


def _deleted(connection: Connection, table: Table, name: str, ids: set[str]) -> dict[str, datetime | None]:
    return dict(rows_in(connection, table, (name, "deleted_at"), where=name, wanted=ids - {""}))
