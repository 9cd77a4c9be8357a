"""The rows of contacts into which readings are folded: found or made, locked, and stored again."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, select, update

from didomi_dataverse.didomi.reading import Identity, Reading
from didomi_dataverse.ledger import dialect
from didomi_dataverse.ledger.contact import DeliveryState
from didomi_dataverse.ledger.folding import Folding
from didomi_dataverse.ledger.priority import Priority
from didomi_dataverse.ledger.registers_json import EMPTY_REGISTERS, EMPTY_WRITTEN
from didomi_dataverse.ledger.tables import contacts

# PostgreSQL refuses index entries of more than 2,704 bytes. Nothing that Dataverse can match is near this: a
# text column that can be a key holds 450 characters, and an identifier that is longer cannot name anybody.
_MAX_IDENTITY_BYTES = 2_000
# SQLite allows 32,766 parameters in one statement; fewer distinct statements are quicker to prepare.
_KEYS_PER_STATEMENT = 512


def contacts_for(connection: Connection, readings: Sequence[Reading], now: datetime) -> dict[str, Folding]:
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
    missing = set(identities)
    for keys in chunks(missing):
        missing -= set(connection.execute(select(contacts.c.key).where(contacts.c.key.in_(keys))).scalars())
    dialect.insert_missing(
        connection, contacts, [_new_contact(identities[key], now) for key in sorted(missing)]
    )
    folding: dict[str, Folding] = {}
    columns = contacts.c
    for keys in chunks(identities):
        wanted = select(*_FOLDING_COLUMNS).where(columns.key.in_(keys)).order_by(columns.id)
        for row in connection.execute(dialect.locked(connection, wanted)).mappings():
            folding[row["key"]] = _folding(row)
    return folding


def contacts_by_id(connection: Connection, contact_ids: Collection[int]) -> list[Folding]:
    """The contacts with these ids, locked in their order."""
    found: list[Folding] = []
    ordered = sorted(contact_ids)
    for start in range(0, len(ordered), _KEYS_PER_STATEMENT):
        some = ordered[start : start + _KEYS_PER_STATEMENT]
        wanted = select(*_FOLDING_COLUMNS).where(contacts.c.id.in_(some)).order_by(contacts.c.id)
        found += map(_folding, connection.execute(dialect.locked(connection, wanted)).mappings())
    return found


_FOLDING_COLUMNS = (
    contacts.c.id,
    contacts.c.key,
    contacts.c.registers,
    contacts.c.revision,
    contacts.c.state,
    contacts.c.due_at,
    contacts.c.priority,
    contacts.c.reason,
    contacts.c.history_cut_at,
)


def _folding(row: RowMapping) -> Folding:
    return Folding(
        contact_id=row["id"],
        state=DeliveryState(row["state"]),
        due_at=row["due_at"],
        priority=Priority(row["priority"]),
        revision=row["revision"],
        reason=row["reason"],
        stored=row["registers"],
        history_cut_at=row["history_cut_at"],
    )


def store_contacts(connection: Connection, folded: Collection[Folding], now: datetime) -> None:
    """Store those that changed, or say the same in other words."""
    changed = [contact.changed_row(now) for contact in folded if contact.changed]
    refined = [
        {"contact_id": contact.contact_id, "registers": contact.text} for contact in folded if contact.refined
    ]
    if changed:
        connection.execute(_STORE_CHANGED, changed)
    if refined:
        connection.execute(_STORE_REFINED, refined)


_STORE_CHANGED = (
    update(contacts)
    .where(contacts.c.id == bindparam("contact_id"))
    .values(
        {
            name: bindparam(name)
            for name in ("registers", "revision", "state", "due_at", "priority", "reason", "changed_at")
        }
    )
)
_STORE_REFINED = (
    update(contacts).where(contacts.c.id == bindparam("contact_id")).values(registers=bindparam("registers"))
)


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


def chunks(keys: Collection[str]) -> Iterator[list[str]]:
    """In order, so that everybody locks in the same one."""
    ordered = sorted(keys)
    for start in range(0, len(ordered), _KEYS_PER_STATEMENT):
        yield ordered[start : start + _KEYS_PER_STATEMENT]
