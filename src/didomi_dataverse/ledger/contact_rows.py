"""Rows of contacts: found or created, locked, decoded, and stored again."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, select

from didomi_dataverse.didomi.interpreted import Identity, InterpretedNotification
from didomi_dataverse.ledger.codec import EMPTY_REGISTERS, EMPTY_WRITTEN, decode_registers, decode_written
from didomi_dataverse.ledger.contact_update import ContactUpdate
from didomi_dataverse.ledger.database.bulk_sql import insert_rows, select_rows, update_rows
from didomi_dataverse.ledger.database.statements import has_other_writers
from didomi_dataverse.ledger.delivery_state import Contact, DeliveryState, Priority
from didomi_dataverse.ledger.tables import contacts
from didomi_dataverse.text import is_storable

CONTACTS_PER_STEP = 2_000
"""Contacts that one transaction changes when all are to be changed. Too large: receiving waits for the
transaction. Too small: more transactions for the same work."""

_MAX_IDENTITY_BYTES = 2_000
"""Longest key and identifier. PostgreSQL refuses index entries of more than 2,704 bytes. Nothing that
Dataverse can match is near this: a text column that can be a key holds 450 characters."""

CONTACT_COLUMNS = (
    contacts.c.id,
    contacts.c.key,
    contacts.c.identifier,
    contacts.c.registers,
    contacts.c.revision,
    contacts.c.state,
    contacts.c.due_at,
    contacts.c.written,
    contacts.c.row_id,
    contacts.c.attempts,
    contacts.c.unmatched_since,
    contacts.c.reason,
)
"""What `decode_contact` reads."""


def decode_contact(row: RowMapping) -> Contact:
    """The contact in a row of CONTACT_COLUMNS. Raises ValueError when its state is not readable."""
    return Contact(
        contact_id=row["id"],
        key=row["key"],
        identifier=row["identifier"],
        registers=decode_registers(row["registers"]),
        revision=row["revision"],
        state=DeliveryState(row["state"]),
        due_at=row["due_at"],
        written=decode_written(row["written"]),
        row_id=row["row_id"],
        attempts=row["attempts"],
        unmatched_since=row["unmatched_since"],
        reason=row["reason"],
    )


def next_contact_ids(
    connection: Connection, after: int, limit: int, *, state: DeliveryState | None = None
) -> Sequence[int]:
    """The next `limit` contact ids after `after`, in order; with `state` only of contacts in it."""
    column = contacts.c.id
    wanted: Select[int] = select(column)
    if state is not None:
        wanted = wanted.where(contacts.c.state == state.value)
    return connection.execute(wanted.where(column > after).order_by(column).limit(limit)).scalars().all()


def load_contacts(
    connection: Connection, notifications: Sequence[InterpretedNotification], now: datetime
) -> dict[str, ContactUpdate]:
    """The contacts that the notifications are about, by key; locked, and created where they are new.

    Every notification that names a person gets a contact, choices or not, so that all of them are found when
    the person asks what we hold or wants it erased. An empty contact is settled: there is nothing to tell
    Dataverse. An identity that no database can store gets none.

    Every transaction locks in the same order: first new keys in the order of their text, then rows by id.
    """
    identities: dict[str, Identity] = {}
    for notification in notifications:
        if notification.identity is not None and _is_storable(notification.identity):
            identities.setdefault(notification.identity.key, notification.identity)
    if not identities:
        return {}
    if has_other_writers(connection):
        known = {
            key for (key,) in select_rows(connection, contacts, ("key",), where="key", wanted=identities)
        }
        _create(connection, [identities[key] for key in sorted(identities.keys() - known)], now)
        return _load_by_key(connection, identities)
    loaded = _load_by_key(connection, identities)
    if missing := identities.keys() - loaded.keys():
        _create(connection, [identities[key] for key in sorted(missing)], now)
        loaded |= _load_by_key(connection, missing)
    return loaded


def load_contacts_by_id(connection: Connection, contact_ids: Collection[int]) -> list[ContactUpdate]:
    """The contacts with these ids, locked in their order."""
    rows = select_rows(connection, contacts, _UPDATE_COLUMNS, where="id", wanted=contact_ids, lock=True)
    return [_decode_update(row) for row in rows]


def store_contacts(connection: Connection, updates: Collection[ContactUpdate], now: datetime) -> None:
    """Store the contacts that changed, or whose registers say the same in another way."""
    changed = [update.changed_row(now) for update in updates if update.is_changed]
    refined = [{"id": update.contact_id, "registers": update.text} for update in updates if update.is_refined]
    update_rows(connection, contacts, changed)
    update_rows(connection, contacts, refined)


def _create(connection: Connection, identities: Iterable[Identity], now: datetime) -> None:
    insert_rows(connection, contacts, [_new_row(identity, now) for identity in identities], skip_known=True)


def _load_by_key(connection: Connection, keys: Collection[str]) -> dict[str, ContactUpdate]:
    if has_other_writers(connection):
        # By id, because that is the order in which every transaction locks them.
        ids = [found for (found,) in select_rows(connection, contacts, ("id",), where="key", wanted=keys)]
        rows = select_rows(connection, contacts, _UPDATE_COLUMNS, where="id", wanted=ids, lock=True)
    else:
        rows = select_rows(connection, contacts, _UPDATE_COLUMNS, where="key", wanted=keys)
    return {row[0]: _decode_update(row) for row in rows}


_UPDATE_COLUMNS = (
    "key",
    "id",
    "registers",
    "revision",
    "state",
    "due_at",
    "priority",
    "reason",
    "history_cut_at",
)


def _decode_update(row: tuple[Any, ...]) -> ContactUpdate:
    _, contact_id, registers, revision, state, due_at, priority, reason, history_cut_at = row
    return ContactUpdate(
        contact_id=contact_id,
        state=DeliveryState(state),
        due_at=due_at,
        priority=Priority(priority),
        revision=revision,
        reason=reason,
        stored_text=registers,
        history_cut_at=history_cut_at,
    )


def _is_storable(identity: Identity) -> bool:
    return all(
        is_storable(spelling) and len(spelling.encode("utf-8")) <= _MAX_IDENTITY_BYTES
        for spelling in (identity.key, identity.identifier)
    )


def _new_row(identity: Identity, now: datetime) -> dict[str, Any]:
    return {
        "key": identity.key,
        "identifier": identity.identifier,
        "registers": EMPTY_REGISTERS,
        "revision": 0,
        "state": DeliveryState.SETTLED.value,
        "priority": int(Priority.NORMAL),
        "written": EMPTY_WRITTEN,
        "attempts": 0,
        "created_at": now,
        "changed_at": now,
    }
