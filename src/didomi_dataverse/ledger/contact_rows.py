"""The rows of contacts into which readings are folded: found or made, locked, and stored again."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from didomi_dataverse.didomi.interpreted import Identity, InterpretedNotification
from didomi_dataverse.ledger.codec import EMPTY_REGISTERS, EMPTY_WRITTEN
from didomi_dataverse.ledger.contact_update import ContactUpdate
from didomi_dataverse.ledger.database.bulk_sql import insert_rows, select_rows, update_rows
from didomi_dataverse.ledger.database.statements import has_other_writers
from didomi_dataverse.ledger.delivery_state import DeliveryState, Priority
from didomi_dataverse.ledger.tables import contacts

# PostgreSQL refuses index entries of more than 2,704 bytes. Nothing that Dataverse can match is near this: a
# text column that can be a key holds 450 characters, and an identifier that is longer cannot name anybody.
_MAX_IDENTITY_BYTES = 2_000


def contacts_for(
    connection: Connection, readings: Sequence[InterpretedNotification], now: datetime
) -> dict[str, ContactUpdate]:
    """The contacts that the readings are about, by key; locked, and created where they are new.

    Every notification that names a person gets a contact, choices or not, so that all of them are found when
    the person asks what we hold or wants it erased. An empty contact is settled: there is nothing to tell
    Dataverse.

    Locks are taken in one order by everybody: first new keys in the order of their text, then rows by id.
    """
    identities: dict[str, Identity] = {}
    for reading in readings:
        if reading.identity is not None and _is_storable(reading.identity):
            identities.setdefault(reading.identity.key, reading.identity)
    if not identities:
        return {}
    if has_other_writers(connection):
        known = {
            key for (key,) in select_rows(connection, contacts, ("key",), where="key", wanted=identities)
        }
        _create(connection, [identities[key] for key in sorted(identities.keys() - known)], now)
        return _by_key(connection, identities)
    folding = _by_key(connection, identities)
    if missing := identities.keys() - folding.keys():
        _create(connection, [identities[key] for key in sorted(missing)], now)
        folding |= _by_key(connection, missing)
    return folding


def _create(connection: Connection, identities: Iterable[Identity], now: datetime) -> None:
    insert_rows(connection, contacts, [_new_contact(one, now) for one in identities], skip_known=True)


def _by_key(connection: Connection, keys: Collection[str]) -> dict[str, ContactUpdate]:
    """Locked in the order of their ids."""
    if has_other_writers(connection):
        ids = [found for (found,) in select_rows(connection, contacts, ("id",), where="key", wanted=keys)]
        rows = select_rows(connection, contacts, _FOLDING_COLUMNS, where="id", wanted=ids, lock=True)
    else:
        rows = select_rows(connection, contacts, _FOLDING_COLUMNS, where="key", wanted=keys)
    return {row[0]: _folding(row) for row in rows}


def contacts_by_id(connection: Connection, contact_ids: Collection[int]) -> list[ContactUpdate]:
    """The contacts with these ids, locked in their order."""
    rows = select_rows(connection, contacts, _FOLDING_COLUMNS, where="id", wanted=contact_ids, lock=True)
    return [_folding(row) for row in rows]


_FOLDING_COLUMNS = (
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


def _folding(row: tuple[Any, ...]) -> ContactUpdate:
    _, contact_id, registers, revision, state, due_at, priority, reason, history_cut_at = row
    return ContactUpdate(
        contact_id=contact_id,
        state=DeliveryState(state),
        due_at=due_at,
        priority=Priority(priority),
        revision=revision,
        reason=reason,
        stored=registers,
        history_cut_at=history_cut_at,
    )


def store_contacts(connection: Connection, folded: Collection[ContactUpdate], now: datetime) -> None:
    """Store those that changed, or say the same in other words."""
    changed = [contact.changed_row(now) for contact in folded if contact.changed]
    refined = [{"id": contact.contact_id, "registers": contact.text} for contact in folded if contact.refined]
    update_rows(connection, contacts, changed)
    update_rows(connection, contacts, refined)


def _is_storable(identity: Identity) -> bool:
    for spelling in (identity.key, identity.identifier):
        try:
            encoded = spelling.encode("utf-8")
        except UnicodeEncodeError:
            return False
        if b"\0" in encoded or len(encoded) > _MAX_IDENTITY_BYTES:
            return False
    return True


def _new_contact(identity: Identity, now: datetime) -> dict[str, Any]:
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
