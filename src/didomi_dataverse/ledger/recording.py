"""Log notifications and fold their choices: the transaction behind every 2xx that is answered to Didomi."""

import json
import traceback
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update

from didomi_dataverse.didomi.reading import Disposition, Identity, Reading, Reason
from didomi_dataverse.ledger import dialect
from didomi_dataverse.ledger.contact import DeliveryState
from didomi_dataverse.ledger.folding import NOTHING_NEW, Folding
from didomi_dataverse.ledger.priority import Priority
from didomi_dataverse.ledger.registers_json import EMPTY_REGISTERS, EMPTY_WRITTEN
from didomi_dataverse.ledger.tables import contacts, notifications, storable_text

# PostgreSQL refuses index entries of more than 2,704 bytes. Nothing that Dataverse can match is near this: a
# text column that can be a key holds 450 characters, and an identifier that is longer cannot name anybody.
_MAX_IDENTITY_BYTES = 2_000
# SQLite allows 32,766 parameters in one statement; fewer distinct statements are quicker to prepare.
_KEYS_PER_STATEMENT = 512


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of one reading.

    `duplicate`: this notification had been logged before; the rest is then what was said of it the first
    time, and nothing was changed. `withdrawal`: some item of the contact became more restrictive by it.
    """

    digest: str
    disposition: Disposition
    reason: Reason | None
    duplicate: bool
    contact_id: int | None
    withdrawal: bool


@dataclass(slots=True)
class _Group:
    """The readings of one call, sorted by what is to be done with them."""

    fresh: list[dict[str, Any]] = field(default_factory=list)
    repeated: dict[str, int] = field(default_factory=dict)
    known: dict[str, Recorded] = field(default_factory=dict)


def record(connection: Connection, readings: Sequence[Reading], now: datetime) -> list[Recorded]:
    """Log and fold all of them, in order. One `Recorded` for each reading."""
    known = _logged_before(connection, readings)
    folding = _contacts_for(connection, [reading for reading in readings if reading.digest not in known], now)
    # Looked up again under the locks of the contacts: another replica may have logged one of them meanwhile.
    if folding and dialect.has_other_writers(connection):
        known = _logged_before(connection, readings)
    group = _Group(known=known)
    recorded = [_record_one(reading, group, folding) for reading in readings]
    _store_contacts(connection, folding.values(), now)
    if group.fresh:
        connection.execute(insert(notifications), sorted(group.fresh, key=lambda row: str(row["digest"])))
    _count_repeated(connection, group.repeated, now)
    return recorded


def _record_one(reading: Reading, group: _Group, folding: dict[str, Folding]) -> Recorded:
    before = group.known.get(reading.digest)
    if before is not None:
        group.repeated[reading.digest] = group.repeated.get(reading.digest, 0) + 1
        return before
    disposition, reason, notes = reading.disposition, reading.reason, reading.notes
    contact: Folding | None = None
    consequence = NOTHING_NEW
    try:
        if reading.identity is not None:
            contact = folding.get(reading.identity.key)
            if contact is None:
                raise _IdentityNotStorableError  # noqa: TRY301 - treated as any other failure on this reading
            consequence = contact.fold(reading)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not delay the others (promise 4)
        disposition, reason = Disposition.PARKED, Reason.INTERNAL_ERROR
        notes = (*notes, _where(error))
    else:
        if disposition in {Disposition.APPLIED, Disposition.UNCHANGED}:
            disposition = Disposition.APPLIED if consequence.changed else Disposition.UNCHANGED
    contact_id = None if contact is None else contact.contact_id
    group.fresh.append(_row(reading, disposition, reason, notes, contact_id))
    group.known[reading.digest] = Recorded(
        reading.digest, disposition, reason, duplicate=True, contact_id=contact_id, withdrawal=False
    )
    return Recorded(
        reading.digest,
        disposition,
        reason,
        duplicate=False,
        contact_id=contact_id,
        withdrawal=consequence.withdrawal,
    )


def _logged_before(connection: Connection, readings: Sequence[Reading]) -> dict[str, Recorded]:
    found: dict[str, Recorded] = {}
    columns = notifications.c
    for digests in _chunks({reading.digest for reading in readings}):
        rows = connection.execute(
            select(columns.digest, columns.disposition, columns.reason, columns.contact_id).where(
                columns.digest.in_(digests)
            )
        )
        for digest, disposition, reason, contact_id in rows:
            found[digest] = Recorded(
                digest,
                Disposition(disposition),
                None if reason is None else Reason(reason),
                duplicate=True,
                contact_id=contact_id,
                withdrawal=False,
            )
    return found


def _contacts_for(connection: Connection, readings: Sequence[Reading], now: datetime) -> dict[str, Folding]:
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
    for keys in _chunks(missing):
        missing -= set(connection.execute(select(contacts.c.key).where(contacts.c.key.in_(keys))).scalars())
    dialect.insert_missing(
        connection, contacts, [_new_contact(identities[key], now) for key in sorted(missing)]
    )
    folding: dict[str, Folding] = {}
    columns = contacts.c
    for keys in _chunks(identities):
        wanted = select(*_FOLDING_COLUMNS).where(columns.key.in_(keys)).order_by(columns.id)
        for row in connection.execute(dialect.locked(connection, wanted)).mappings():
            folding[row["key"]] = _folding(row)
    return folding


_FOLDING_COLUMNS = (
    contacts.c.id,
    contacts.c.key,
    contacts.c.registers,
    contacts.c.revision,
    contacts.c.state,
    contacts.c.due_at,
    contacts.c.priority,
    contacts.c.reason,
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
    )


def _store_contacts(connection: Connection, folded: Collection[Folding], now: datetime) -> None:
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
_COUNT_REPEATED = (
    update(notifications)
    .where(notifications.c.digest == bindparam("repeated"))
    .values(
        times_received=notifications.c.times_received + bindparam("times"),
        last_received_at=bindparam("at"),
    )
)


def _count_repeated(connection: Connection, repeated: dict[str, int], now: datetime) -> None:
    if repeated:
        connection.execute(
            _COUNT_REPEATED,
            [{"repeated": digest, "times": repeated[digest], "at": now} for digest in sorted(repeated)],
        )


class _IdentityNotStorableError(Exception):
    """The identity holds what PostgreSQL cannot keep or index, and so cannot name a row in Dataverse."""


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


def _row(
    reading: Reading,
    disposition: Disposition,
    reason: Reason | None,
    notes: tuple[str, ...],
    contact_id: int | None,
) -> dict[str, Any]:
    return {
        "digest": reading.digest,
        "received_at": reading.received_at,
        "last_received_at": reading.received_at,
        "times_received": 1,
        "type": storable_text(reading.type),
        "regulation": storable_text(reading.regulation),
        "organization_id": storable_text(reading.organization_id),
        "didomi_user": storable_text(reading.didomi_user),
        "source_id": storable_text(reading.source_id),
        "effective_at": reading.effective_at,
        "caller": storable_text(reading.caller),
        "disposition": disposition.value,
        "reason": None if reason is None else reason.value,
        "notes": json.dumps(notes) if notes else "[]",
        "body": reading.body,
        "contact_id": contact_id,
    }


def _where(error: Exception) -> str:
    """Which error and where it arose, without its text: that may quote what a person chose."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"internal_error {type(error).__name__}{place}"


def _chunks(keys: Collection[str]) -> Iterator[list[str]]:
    """In order, so that everybody locks in the same one."""
    ordered = sorted(keys)
    for start in range(0, len(ordered), _KEYS_PER_STATEMENT):
        yield ordered[start : start + _KEYS_PER_STATEMENT]
