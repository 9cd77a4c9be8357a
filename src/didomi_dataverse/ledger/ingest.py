"""Log notifications and fold their choices: the transaction behind every 2xx that is answered to Didomi."""

import json
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, update

from didomi_dataverse.consent.tombstones import NO_TOMBSTONES, Tombstones
from didomi_dataverse.didomi.interpreted import DeletionScope, Disposition, InterpretedNotification, Reason
from didomi_dataverse.ledger import deletions
from didomi_dataverse.ledger.contact_rows import contacts_by_id, contacts_for, store_contacts
from didomi_dataverse.ledger.contact_update import NOTHING_NEW, ContactUpdate, FoldResult
from didomi_dataverse.ledger.database import dialect
from didomi_dataverse.ledger.database.bulk_sql import insert_rows, rows_in
from didomi_dataverse.ledger.tables import notifications, storable_text


@dataclass(frozen=True, slots=True)
class Ingested:
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
    known: dict[str, Ingested] = field(default_factory=dict)
    by_key: dict[str, ContactUpdate] = field(default_factory=dict)
    by_id: dict[int, ContactUpdate] = field(default_factory=dict)
    received: dict[str, list[InterpretedNotification]] = field(default_factory=dict)
    targets: dict[str, deletions.DeletionTarget] = field(default_factory=dict)
    tombstones: Tombstones = NO_TOMBSTONES


def ingest(
    connection: Connection, readings: Sequence[InterpretedNotification], now: datetime
) -> list[Ingested]:
    """Log and fold all of them, in order. One `Ingested` for each reading."""
    # First of all locks: whoever records while something is deleted would miss the tombstone.
    dialect.lock_deletions(connection, exclusive=any(reading.deletes for reading in readings))
    known = _logged_before(connection, readings)
    folding = contacts_for(connection, [reading for reading in readings if reading.digest not in known], now)
    # Looked up again under the locks of the contacts: another replica may have logged one of them meanwhile.
    if folding and dialect.has_other_writers(connection):
        known = _logged_before(connection, readings)
    group = _group(connection, readings, known, folding)
    recorded = [_record_one(connection, reading, group) for reading in readings]
    store_contacts(connection, group.by_id.values(), now)
    insert_rows(connection, notifications, sorted(group.fresh, key=lambda row: str(row["digest"])))
    _count_repeated(connection, group.repeated, now)
    return recorded


def ingest_again(
    connection: Connection, readings: Sequence[InterpretedNotification], now: datetime
) -> list[Ingested]:
    """Fold notifications that are logged already, as they are read today, and say in the log what became of
    them. Their contacts are delivered again. One `Ingested` for each reading.
    """
    dialect.lock_deletions(connection, exclusive=any(reading.deletes for reading in readings))
    before = _logged_before(connection, readings)
    group = _group(connection, readings, {}, contacts_for(connection, readings, now))
    recorded = [_record_one(connection, reading, group) for reading in readings]
    for row in group.fresh:
        earlier = before.get(row["digest"])
        if (
            earlier is not None
            and earlier.disposition is Disposition.APPLIED
            and row["disposition"] == Disposition.UNCHANGED.value
        ):
            # It changed something when it came, and that is what the log tells of it.
            row["disposition"] = Disposition.APPLIED.value
        if row["contact_id"] is not None:
            group.by_id[row["contact_id"]].deliver_again()
    store_contacts(connection, group.by_id.values(), now)
    if group.fresh:
        connection.execute(
            _READ_AGAIN,
            [{"logged": row["digest"], **{name: row[name] for name in _READ}} for row in group.fresh],
        )
    return recorded


def _group(
    connection: Connection,
    readings: Sequence[InterpretedNotification],
    known: dict[str, Ingested],
    folding: dict[str, ContactUpdate],
) -> _Group:
    """What is to be done, with everything that deletions concern."""
    fresh = [reading for reading in readings if reading.digest not in known]
    group = _Group(
        known=known,
        by_key=folding,
        by_id={contact.contact_id: contact for contact in folding.values()},
        tombstones=deletions.tombstones_for(connection, fresh),
    )
    deleting = [reading for reading in fresh if reading.deletes is not None]
    if not deleting:
        return group
    for reading in fresh:
        key = "" if reading.identity is None else reading.identity.key
        group.received.setdefault(key, []).append(reading)
    for reading in deleting:
        target = deletions.find_deletion_target(connection, reading, group.received)
        together = {
            folding[key].contact_id
            for key in deletions.keys_together(reading, group.received)
            if key in folding
        }
        group.targets[reading.digest] = replace(target, contact_ids=target.contact_ids | together)
    wanted = {contact_id for target in group.targets.values() for contact_id in target.contact_ids}
    for contact in contacts_by_id(connection, wanted - set(group.by_id)):
        group.by_id[contact.contact_id] = contact
    deletions.remember(connection, deleting)
    return group


def _record_one(connection: Connection, reading: InterpretedNotification, group: _Group) -> Ingested:
    before = group.known.get(reading.digest)
    if before is not None:
        group.repeated[reading.digest] = group.repeated.get(reading.digest, 0) + 1
        return before
    disposition, reason, notes = reading.disposition, reading.reason, reading.warnings
    contact: ContactUpdate | None = None
    consequence = NOTHING_NEW
    try:
        if reading.deletes is not None:
            contact, consequence = _delete(connection, reading, group)
        elif reading.identity is not None:
            contact = group.by_key.get(reading.identity.key)
            if contact is None:
                raise _IdentityNotStorableError  # noqa: TRY301 - treated as any other failure on this reading
            consequence = contact.fold(reading, group.tombstones)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not delay the others (promise 4)
        disposition, reason = Disposition.PARKED, Reason.INTERNAL_ERROR
        notes = (*notes, _where(error))
    else:
        if consequence.problem is not None:
            reason = consequence.problem
            disposition = Disposition.SKIPPED if reason is Reason.ANONYMOUS else Disposition.PARKED
        elif disposition in {Disposition.APPLIED, Disposition.UNCHANGED}:
            disposition = Disposition.APPLIED if consequence.changed else Disposition.UNCHANGED
    contact_id = None if contact is None else contact.contact_id
    group.fresh.append(_row(reading, disposition, reason, notes, contact_id))
    group.known[reading.digest] = Ingested(
        reading.digest, disposition, reason, duplicate=True, contact_id=contact_id, withdrawal=False
    )
    return Ingested(
        reading.digest,
        disposition,
        reason,
        duplicate=False,
        contact_id=contact_id,
        withdrawal=consequence.withdrawal,
    )


def _delete(
    connection: Connection, reading: InterpretedNotification, group: _Group
) -> tuple[ContactUpdate | None, FoldResult]:
    """Apply a deletion to everybody it concerns: usually one contact, more where a device changed hands."""
    target = group.targets[reading.digest]
    if not target.contact_ids:
        is_unheard_of = reading.deletes is DeletionScope.EVENT and not target.is_known
        problem = Reason.DELETED_EVENT_UNKNOWN if is_unheard_of else Reason.ANONYMOUS
        return None, replace(NOTHING_NEW, problem=problem)
    deleted = deletions.named_by(reading)
    consequences: list[FoldResult] = []
    concerned = [group.by_id[contact_id] for contact_id in sorted(target.contact_ids)]
    keys = {contact.contact_id: key for key, contact in group.by_key.items()}
    for contact in concerned:
        said: list[InterpretedNotification] = []
        if contact.would_orphan(deleted):
            said += deletions.history(connection, contact.contact_id)
            said += group.received[keys[contact.contact_id]] if contact.contact_id in keys else ()
        tombstones = deletions.tombstones_for(connection, [*said, reading])
        consequences.append(contact.retract(deleted, deletions.choices_of(said), tombstones))
    problems = [one.problem for one in consequences if one.problem is not None]
    return concerned[0], FoldResult(
        changed=any(one.changed for one in consequences),
        withdrawal=any(one.withdrawal for one in consequences),
        problem=problems[0] if problems else None,
    )


def _logged_before(
    connection: Connection, readings: Sequence[InterpretedNotification]
) -> dict[str, Ingested]:
    names = ("digest", "disposition", "reason", "contact_id")
    digests = {reading.digest for reading in readings}
    return {
        digest: Ingested(
            digest,
            Disposition(disposition),
            None if reason is None else Reason(reason),
            duplicate=True,
            contact_id=contact_id,
            withdrawal=False,
        )
        for digest, disposition, reason, contact_id in rows_in(
            connection, notifications, names, where="digest", wanted=digests
        )
    }


_COUNT_REPEATED = (
    update(notifications)
    .where(notifications.c.digest == bindparam("repeated"))
    .values(
        times_received=notifications.c.times_received + bindparam("times"),
        last_received_at=bindparam("at"),
    )
)


# What of a logged notification depends on how it is read.
_READ = (
    "type",
    "regulation",
    "organization_id",
    "didomi_user",
    "source_id",
    "effective_at",
    "disposition",
    "reason",
    "notes",
    "contact_id",
)
_READ_AGAIN = (
    update(notifications)
    .where(notifications.c.digest == bindparam("logged"))
    .values({name: bindparam(name) for name in _READ})
)


def _count_repeated(connection: Connection, repeated: dict[str, int], now: datetime) -> None:
    if repeated:
        connection.execute(
            _COUNT_REPEATED,
            [{"repeated": digest, "times": repeated[digest], "at": now} for digest in sorted(repeated)],
        )


class _IdentityNotStorableError(Exception):
    """The identity holds what PostgreSQL cannot keep or index, and so cannot name a row in Dataverse."""


def _row(
    reading: InterpretedNotification,
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
