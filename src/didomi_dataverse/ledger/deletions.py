"""Deletions by Didomi, in the transaction that ingests them (docs/how-choices-are-decided.md, "Deletions";
didomi.md 3.2).

The tombstones of a deletion are stored before anything else is looked up, so that the order in which a
deletion and what it deletes arrive makes no difference.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, and_, bindparam, or_, select, update

from didomi_dataverse.consent.model import Choice
from didomi_dataverse.consent.tombstones import Tombstones
from didomi_dataverse.didomi.interpreted import (
    DeletionScope,
    Disposition,
    InterpretedNotification,
    NotificationType,
    Reason,
)
from didomi_dataverse.ledger import tables
from didomi_dataverse.ledger.database.bulk_sql import insert_rows, select_rows
from didomi_dataverse.ledger.tables import clip_text, deleted_events, deleted_users

Reinterpret = Callable[[bytes, datetime, str], Iterable[Choice]]
"""The choices of a stored notification: from its body, the time of its arrival, and how its caller was
authenticated. The same arguments must always give the same choices."""

_DELETION_TYPES = tuple(known.value for known in NotificationType if known.is_deletion)


@dataclass(frozen=True, slots=True)
class DeletionTarget:
    """What a deletion concerns, as far as the ledger knows."""

    contact_ids: frozenset[int]
    """The contacts about which something arrived that is deleted. Empty when none is known."""

    is_known: bool
    """Whether what it deletes has arrived, even without a person."""


def is_folded() -> ColumnElement[bool]:
    """The condition on notifications whose choices are in the registers of their contact."""
    columns = tables.notifications.c
    return or_(
        columns.disposition.in_((Disposition.APPLIED.value, Disposition.UNCHANGED.value)),
        and_(
            columns.disposition == Disposition.SKIPPED.value,
            columns.reason == Reason.REGULATION_NOT_MAPPED.value,
        ),
    )


def tombstones_of(notification: InterpretedNotification) -> Tombstones:
    """What a notification deletes; empty when it is not a deletion."""
    match notification.deletes:
        case DeletionScope.EVENT:
            return Tombstones(events=frozenset({notification.source_id}))
        case DeletionScope.USER:
            return Tombstones(users={notification.didomi_user: notification.received_at})
        case None:
            return Tombstones()


def find_tombstones(
    connection: Connection, choices: Collection[Choice], notifications: Iterable[InterpretedNotification]
) -> Tombstones:
    """Every tombstone that concerns one of the choices, and those that the notifications set."""
    events = _find_deleted(connection, deleted_events, "source_id", {choice.source_id for choice in choices})
    users = _find_deleted(
        connection, deleted_users, "didomi_user", {choice.didomi_user for choice in choices}
    )
    for new in map(tombstones_of, notifications):
        events |= dict.fromkeys(new.events)
        for user, deleted_at in new.users.items():
            known = users.get(user)
            users[user] = deleted_at if known is None else max(known, deleted_at)
    return Tombstones(events=frozenset(events), users={user: at for user, at in users.items() if at})


def _find_deleted(
    connection: Connection, table: Table, name: str, ids: set[str]
) -> dict[str, datetime | None]:
    return dict(select_rows(connection, table, (name, "deleted_at"), where=name, wanted=ids - {""}))


def find_deletion_target(
    connection: Connection,
    deletion: InterpretedNotification,
    received: Mapping[str, Sequence[InterpretedNotification]],
) -> DeletionTarget:
    """The contacts that our own log connects with what is deleted.

    `received` holds the notifications that arrived together with the deletion, by the key of their identity
    ('' without one). They count for `is_known`; `find_concerned_keys` names their contacts.
    """
    columns = tables.notifications.c
    is_event = deletion.deletes is DeletionScope.EVENT
    wanted = (
        columns.source_id == clip_text(deletion.source_id)
        if is_event
        else columns.didomi_user == clip_text(deletion.didomi_user)
    )
    named = columns.source_id != "" if is_event else columns.didomi_user != ""
    rows = connection.execute(
        select(columns.contact_id)
        # Another deletion of the same is no sign that what it deletes has arrived.
        .where(wanted, named, columns.type.not_in(_DELETION_TYPES))
        .distinct()
    ).scalars()
    found = set(rows)
    arrived_together = any(_is_deleted_by(one, deletion) for some in received.values() for one in some)
    return DeletionTarget(
        contact_ids=frozenset(contact_id for contact_id in found if contact_id is not None),
        is_known=bool(found) or arrived_together,
    )


def find_concerned_keys(
    deletion: InterpretedNotification, received: Mapping[str, Sequence[InterpretedNotification]]
) -> set[str]:
    """The identities that the deletion concerns, of those that arrived together with it and its own."""
    keys = {
        key for key, some in received.items() if key and any(_is_deleted_by(one, deletion) for one in some)
    }
    return keys if deletion.identity is None else keys | {deletion.identity.key}


def _is_deleted_by(notification: InterpretedNotification, deletion: InterpretedNotification) -> bool:
    if notification.deletes is not None:
        return False
    if deletion.deletes is DeletionScope.EVENT:
        return notification.source_id == deletion.source_id
    return notification.didomi_user == deletion.didomi_user


def read_history(connection: Connection, contact_id: int, reinterpret: Reinterpret) -> Iterator[Choice]:
    """The choices of every stored notification that is folded into the contact, in the order of arrival.

    Raises whatever `reinterpret` raises.
    """
    columns = tables.notifications.c
    rows = connection.execute(
        select(columns.body, columns.received_at, columns.caller)
        .where(columns.contact_id == contact_id, is_folded())
        .order_by(columns.id)
    )
    for body, received_at, caller in rows:
        yield from reinterpret(bytes(body), received_at, caller)


def store_tombstones(connection: Connection, deletions: Sequence[InterpretedNotification]) -> None:
    """Store what these notifications delete. A user that is deleted again keeps the later time."""
    events = [
        _row("source_id", one.source_id, one) for one in deletions if one.deletes is DeletionScope.EVENT
    ]
    users = [
        _row("didomi_user", one.didomi_user, one) for one in deletions if one.deletes is DeletionScope.USER
    ]
    insert_rows(connection, deleted_events, events, skip_known=True)
    insert_rows(connection, deleted_users, users, skip_known=True)
    if users:
        connection.execute(
            _KEEP_LATER_TIME,
            [{"deleted_user": row["didomi_user"], "at": row["deleted_at"]} for row in users],
        )


_KEEP_LATER_TIME = (
    update(deleted_users)
    .where(
        deleted_users.c.didomi_user == bindparam("deleted_user"), deleted_users.c.deleted_at < bindparam("at")
    )
    .values(deleted_at=bindparam("at"))
)


def _row(name: str, value: str, deletion: InterpretedNotification) -> dict[str, object]:
    return {name: value, "deleted_at": deletion.received_at, "digest": deletion.digest}
