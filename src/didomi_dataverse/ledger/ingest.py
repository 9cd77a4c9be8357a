"""Log notifications and fold their choices: the transaction behind every 2xx that is answered to Didomi."""

import json
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, update

from didomi_dataverse.clock import Clock
from didomi_dataverse.consent.model import Choice
from didomi_dataverse.consent.tombstones import NO_TOMBSTONES, Tombstones
from didomi_dataverse.didomi.interpreted import DeletionScope, Disposition, InterpretedNotification, Reason
from didomi_dataverse.ledger import tables
from didomi_dataverse.ledger.contact_rows import load_contacts, load_contacts_by_id, store_contacts
from didomi_dataverse.ledger.contact_update import NOTHING_NEW, ContactUpdate, FoldResult
from didomi_dataverse.ledger.database.bulk_sql import insert_rows, select_rows
from didomi_dataverse.ledger.database.statements import has_other_writers, lock_deletions
from didomi_dataverse.ledger.database.transactions import Database
from didomi_dataverse.ledger.deletions import (
    DeletionTarget,
    Reinterpret,
    find_concerned_keys,
    find_deletion_target,
    find_tombstones,
    read_history,
    store_tombstones,
    tombstones_of,
)
from didomi_dataverse.ledger.tables import clip_text


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of one notification."""

    digest: str
    """The notification's, which identifies it."""

    disposition: Disposition
    """Of a duplicate: what became of it the first time."""

    reason: Reason | None
    """Why it was skipped or parked. None otherwise."""

    duplicate: bool
    """Whether it had been logged before. Then nothing was changed but the count of its arrivals."""

    contact_id: int | None
    """The contact it is about. None when it names no person."""

    withdrawal: bool
    """Whether some item of the contact became more restrictive by it. False of a duplicate."""


class Inbox:
    """Takes notifications into the ledger."""

    def __init__(self, database: Database, *, clock: Clock, reinterpret: Reinterpret) -> None:
        self._database = database
        self._clock = clock
        self._reinterpret = reinterpret

    async def ingest(self, notifications: Sequence[InterpretedNotification]) -> list[Ingested]:
        """Log the notifications and fold their choices into their contacts: all of them, or none.

        Returns one `Ingested` for each, in order. A notification on which the fold itself fails is logged as
        parked, and the others go through. Raises StoreUnavailableError when nothing could be committed.
        """
        if not notifications:
            return []
        return await self._database.write(_ingest, notifications, self._clock.now(), self._reinterpret)

    async def ingest_again(self, notifications: Sequence[InterpretedNotification]) -> list[Ingested]:
        """Fold notifications that are logged already, as they are interpreted today: all of them, or none.

        The log says afterwards what became of them today, and their contacts are delivered again. Folding is
        idempotent, so that doing it twice changes nothing. Returns and raises as `ingest`.
        """
        if not notifications:
            return []
        return await self._database.write(_ingest_again, notifications, self._clock.now(), self._reinterpret)


@dataclass(slots=True, kw_only=True)
class _Group:
    """The notifications of one call, and everything that is needed to ingest them one by one."""

    known: dict[str, Ingested]
    """What is logged, by digest. Those of this call are added as they are ingested."""

    by_key: dict[str, ContactUpdate]
    """The contacts that the notifications name, by the key of their identity."""

    by_id: dict[int, ContactUpdate]
    """The same contacts, and those that only deletions concern, by their id."""

    reinterpret: Reinterpret
    tombstones: Tombstones = NO_TOMBSTONES
    """Everything deleted that concerns the choices of this call."""

    received: dict[str, list[InterpretedNotification]] = field(default_factory=dict)
    """The new notifications by the key of their identity, '' without one. Empty without a deletion."""

    targets: dict[str, DeletionTarget] = field(default_factory=dict)
    """What each deletion concerns, by the digest of the deletion."""

    new_rows: list[dict[str, Any]] = field(default_factory=list)
    """The rows to log."""

    repeats: dict[str, int] = field(default_factory=dict)
    """How often each duplicate arrived in this call, by digest."""


def _ingest(
    connection: Connection,
    notifications: Sequence[InterpretedNotification],
    now: datetime,
    reinterpret: Reinterpret,
) -> list[Ingested]:
    # First of all locks: a notification that arrives while something is deleted would miss the tombstone.
    lock_deletions(connection, exclusive=any(one.deletes for one in notifications))
    known = _find_logged(connection, notifications)
    contacts = load_contacts(connection, [one for one in notifications if one.digest not in known], now)
    # Looked up again under the locks of the contacts: another replica may have logged one of them meanwhile.
    if contacts and has_other_writers(connection):
        known = _find_logged(connection, notifications)
    group = _prepare(connection, notifications, known, contacts, reinterpret)
    ingested = [_ingest_one(connection, one, group) for one in notifications]
    store_contacts(connection, group.by_id.values(), now)
    insert_rows(connection, tables.notifications, sorted(group.new_rows, key=lambda row: str(row["digest"])))
    _count_repeats(connection, group.repeats, now)
    return ingested


def _ingest_again(
    connection: Connection,
    notifications: Sequence[InterpretedNotification],
    now: datetime,
    reinterpret: Reinterpret,
) -> list[Ingested]:
    lock_deletions(connection, exclusive=any(one.deletes for one in notifications))
    logged = _find_logged(connection, notifications)
    contacts = load_contacts(connection, notifications, now)
    group = _prepare(connection, notifications, {}, contacts, reinterpret)
    ingested = [_ingest_one(connection, one, group) for one in notifications]
    for row in group.new_rows:
        earlier = logged.get(row["digest"])
        if (
            earlier is not None
            and earlier.disposition is Disposition.APPLIED
            and row["disposition"] == Disposition.UNCHANGED.value
        ):
            # It changed something when it arrived, and that is what the log says of it.
            row["disposition"] = Disposition.APPLIED.value
        if row["contact_id"] is not None:
            group.by_id[row["contact_id"]].deliver_again()
    store_contacts(connection, group.by_id.values(), now)
    if group.new_rows:
        connection.execute(
            _UPDATE_INTERPRETATION,
            [
                {"logged": row["digest"], **{name: row[name] for name in _INTERPRETED}}
                for row in group.new_rows
            ],
        )
    return ingested


def _prepare(
    connection: Connection,
    notifications: Sequence[InterpretedNotification],
    known: dict[str, Ingested],
    contacts: dict[str, ContactUpdate],
    reinterpret: Reinterpret,
) -> _Group:
    """Load what the new notifications need: tombstones, and for deletions the contacts that they concern."""
    new = [one for one in notifications if one.digest not in known]
    group = _Group(
        known=known,
        by_key=contacts,
        by_id={contact.contact_id: contact for contact in contacts.values()},
        reinterpret=reinterpret,
        tombstones=find_tombstones(connection, [choice for one in new for choice in one.choices], new),
    )
    deletions = [one for one in new if one.deletes is not None]
    if not deletions:
        return group
    for one in new:
        key = "" if one.identity is None else one.identity.key
        group.received.setdefault(key, []).append(one)
    for deletion in deletions:
        target = find_deletion_target(connection, deletion, group.received)
        concerned_keys = find_concerned_keys(deletion, group.received)
        arrived_together = {contacts[key].contact_id for key in concerned_keys if key in contacts}
        group.targets[deletion.digest] = replace(target, contact_ids=target.contact_ids | arrived_together)
    wanted = {contact_id for target in group.targets.values() for contact_id in target.contact_ids}
    for contact in load_contacts_by_id(connection, wanted - set(group.by_id)):
        group.by_id[contact.contact_id] = contact
    store_tombstones(connection, deletions)
    return group


def _ingest_one(connection: Connection, notification: InterpretedNotification, group: _Group) -> Ingested:
    before = group.known.get(notification.digest)
    if before is not None:
        group.repeats[notification.digest] = group.repeats.get(notification.digest, 0) + 1
        return before
    disposition, reason, notes = notification.disposition, notification.reason, notification.warnings
    contact: ContactUpdate | None = None
    result = NOTHING_NEW
    try:
        if notification.deletes is not None:
            contact, result = _apply_deletion(connection, notification, group)
        elif notification.identity is not None:
            contact = group.by_key.get(notification.identity.key)
            if contact is None:
                raise _IdentityNotStorableError  # noqa: TRY301 - as any other failure on this notification
            result = contact.fold(notification, group.tombstones)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not delay the others (promise 4)
        disposition, reason = Disposition.PARKED, Reason.INTERNAL_ERROR
        notes = (*notes, _locate(error))
    else:
        if result.problem is not None:
            reason = result.problem
            disposition = Disposition.SKIPPED if reason is Reason.ANONYMOUS else Disposition.PARKED
        elif disposition in {Disposition.APPLIED, Disposition.UNCHANGED}:
            disposition = Disposition.APPLIED if result.changed else Disposition.UNCHANGED
    contact_id = None if contact is None else contact.contact_id
    group.new_rows.append(_new_row(notification, disposition, reason, notes, contact_id))
    group.known[notification.digest] = Ingested(
        notification.digest, disposition, reason, duplicate=True, contact_id=contact_id, withdrawal=False
    )
    return Ingested(
        notification.digest,
        disposition,
        reason,
        duplicate=False,
        contact_id=contact_id,
        withdrawal=result.withdrawal,
    )


def _apply_deletion(
    connection: Connection, deletion: InterpretedNotification, group: _Group
) -> tuple[ContactUpdate | None, FoldResult]:
    """Apply a deletion to every contact it concerns: usually one, more where a device changed hands.

    Returns the first of them, None when it concerns none.
    """
    target = group.targets[deletion.digest]
    if not target.contact_ids:
        is_unknown = deletion.deletes is DeletionScope.EVENT and not target.is_known
        problem = Reason.DELETED_EVENT_UNKNOWN if is_unknown else Reason.ANONYMOUS
        return None, replace(NOTHING_NEW, problem=problem)
    deleted = tombstones_of(deletion)
    results: list[FoldResult] = []
    concerned = [group.by_id[contact_id] for contact_id in sorted(target.contact_ids)]
    keys = {contact.contact_id: key for key, contact in group.by_key.items()}
    for contact in concerned:
        history: list[Choice] = []
        arrived_together: list[InterpretedNotification] = []
        if contact.would_orphan(deleted):
            history += read_history(connection, contact.contact_id, group.reinterpret)
            if contact.contact_id in keys:
                arrived_together = group.received[keys[contact.contact_id]]
            history += [choice for one in arrived_together for choice in one.choices]
        tombstones = find_tombstones(connection, history, [*arrived_together, deletion])
        results.append(contact.retract(deleted, history, tombstones))
    problems = [one.problem for one in results if one.problem is not None]
    return concerned[0], FoldResult(
        changed=any(one.changed for one in results),
        withdrawal=any(one.withdrawal for one in results),
        problem=problems[0] if problems else None,
    )


def _find_logged(
    connection: Connection, notifications: Sequence[InterpretedNotification]
) -> dict[str, Ingested]:
    """Those that are logged already, by digest, as duplicates."""
    names = ("digest", "disposition", "reason", "contact_id")
    digests = {one.digest for one in notifications}
    return {
        digest: Ingested(
            digest,
            Disposition(disposition),
            None if reason is None else Reason(reason),
            duplicate=True,
            contact_id=contact_id,
            withdrawal=False,
        )
        for digest, disposition, reason, contact_id in select_rows(
            connection, tables.notifications, names, where="digest", wanted=digests
        )
    }


_COUNT_REPEATS = (
    update(tables.notifications)
    .where(tables.notifications.c.digest == bindparam("repeated"))
    .values(
        times_received=tables.notifications.c.times_received + bindparam("times"),
        last_received_at=bindparam("at"),
    )
)

# The columns of a logged notification that depend on how it is interpreted.
_INTERPRETED = (
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
_UPDATE_INTERPRETATION = (
    update(tables.notifications)
    .where(tables.notifications.c.digest == bindparam("logged"))
    .values({name: bindparam(name) for name in _INTERPRETED})
)


def _count_repeats(connection: Connection, repeats: dict[str, int], now: datetime) -> None:
    if repeats:
        connection.execute(
            _COUNT_REPEATS,
            [{"repeated": digest, "times": repeats[digest], "at": now} for digest in sorted(repeats)],
        )


class _IdentityNotStorableError(Exception):
    """The identity holds what PostgreSQL cannot store or index, and so cannot name a row in Dataverse."""


def _new_row(
    notification: InterpretedNotification,
    disposition: Disposition,
    reason: Reason | None,
    notes: tuple[str, ...],
    contact_id: int | None,
) -> dict[str, Any]:
    return {
        "digest": notification.digest,
        "received_at": notification.received_at,
        "last_received_at": notification.received_at,
        "times_received": 1,
        "type": clip_text(notification.type),
        "regulation": clip_text(notification.regulation),
        "organization_id": clip_text(notification.organization_id),
        "didomi_user": clip_text(notification.didomi_user),
        "source_id": clip_text(notification.source_id),
        "effective_at": notification.effective_at,
        "caller": clip_text(notification.caller),
        "disposition": disposition.value,
        "reason": None if reason is None else reason.value,
        "notes": json.dumps(notes) if notes else "[]",
        "body": notification.body,
        "contact_id": contact_id,
    }


def _locate(error: Exception) -> str:
    """Which error arose, and where, without its text: that may quote what a person chose."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"internal_error {type(error).__name__}{place}"
