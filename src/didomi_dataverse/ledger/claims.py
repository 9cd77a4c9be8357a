"""Hand out contacts that are due, and take back what became of them. The lease is the fence between the
two.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, RowMapping, Select, bindparam, func, literal, or_, select, true, update

from didomi_dataverse.ledger.codec import (
    EMPTY_WRITTEN,
    decode_registers,
    decode_written,
    encode_evidence,
    encode_written,
)
from didomi_dataverse.ledger.database.bulk_sql import insert_rows, select_rows, update_rows
from didomi_dataverse.ledger.database.statements import lock_rows
from didomi_dataverse.ledger.delivery_state import (
    Attempt,
    Claim,
    Contact,
    DeliveryState,
    Move,
    Priority,
    Settlement,
    moved,
)
from didomi_dataverse.ledger.tables import attempts, contacts, meta, storable_text

HOLDER_PREFIX = "replica/"
"""What the keys of `meta` begin with that name the replicas at work (`presence`)."""

_HOLDER_CHARACTERS = 16
"""The beginning of a lease is the name of whoever holds it."""

UNREADABLE = "unreadable_state"
"""Why a contact is parked whose stored state this version cannot read."""

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

_PARK_UNREADABLE = (
    update(contacts)
    .where(contacts.c.id == bindparam("contact_id"))
    .values(state=DeliveryState.PARKED.value, due_at=None, lease=None, reason=UNREADABLE)
)
_FORGET = update(contacts).where(contacts.c.id == bindparam("contact_id")).values(written=EMPTY_WRITTEN)
_GIVEN_BACK: Mapping[str, object] = {
    "state": moved(DeliveryState.DELIVERING, Move.POSTPONED).value,
    "lease": None,
    # Something may have been written that was never settled, so nothing is known of the row.
    "written": EMPTY_WRITTEN,
}
_RELEASE = (
    update(contacts)
    .where(contacts.c.id == bindparam("contact_id"), contacts.c.lease == bindparam("held"))
    .values(due_at=bindparam("due_at"), **_GIVEN_BACK)
)


_IS_FREE = or_(
    contacts.c.lease.is_(None),
    select(func.count())
    .select_from(meta)
    .where(meta.c.key == literal(HOLDER_PREFIX) + func.substr(contacts.c.lease, 1, _HOLDER_CHARACTERS))
    .scalar_subquery()
    == 0,
)


def contact_of(row: RowMapping) -> Contact:
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


def new_holder() -> str:
    """A name for a replica, never used before."""
    return secrets.token_hex(_HOLDER_CHARACTERS // 2)


def claim(
    connection: Connection, now: datetime, limit: int, lease: timedelta, holder: str | None = None
) -> list[Claim]:
    """Contacts whose time has come, withdrawals first, each leased to the caller until `now + lease`.

    `due_at <= now` covers all three: due, unmatched and to be looked for again, and delivering under a lease
    that ended. A lease whose holder is at work (`presence`) does not end: a clock that jumps must not make
    two write at once. What another replica is claiming at the same moment is passed over.
    """
    token = (holder or new_holder()) + secrets.token_hex(8)
    until = now + lease
    claims: list[Claim] = []
    taken: list[dict[str, Any]] = []
    taken_over: list[dict[str, Any]] = []
    unreadable: list[dict[str, Any]] = []
    for priority in Priority:
        wanted = _due(priority, now, limit - len(claims))
        for row in connection.execute(lock_rows(connection, wanted, skip_locked=True)).mappings().all():
            try:
                contact = contact_of(row)
                state = moved(contact.state, Move.CLAIMED)
            except (ValueError, KeyError):
                # It would stop everybody behind it, every time (promise 4).
                unreadable.append({"contact_id": row["id"]})
                continue
            written = contact.written
            if contact.state is DeliveryState.DELIVERING:
                # Whoever held the lease may have written without settling: nothing is known of the row.
                written = {}
                taken_over.append({"contact_id": row["id"]})
            claimed = replace(contact, state=state, due_at=until, written=written)
            claims.append(Claim(contact=claimed, lease=token))
            taken.append({"id": row["id"], "state": state.value, "due_at": until, "lease": token})
        if len(claims) >= limit:
            break
    if unreadable:
        connection.execute(_PARK_UNREADABLE, unreadable)
    update_rows(connection, contacts, taken)
    if taken_over:
        connection.execute(_FORGET, taken_over)
    return claims


def _due(priority: Priority, now: datetime, limit: int) -> Select[Any]:
    """One range of the index `ix_contacts_claim`, read in its own order."""
    return (
        select(*CONTACT_COLUMNS)
        .where(contacts.c.priority == int(priority), contacts.c.due_at <= now, _IS_FREE)
        .order_by(contacts.c.due_at)
        .limit(limit)
    )


def settle(connection: Connection, settlements: Sequence[Settlement], now: datetime) -> list[bool]:
    """Store what became of claims, with the attempt of each. False: the lease was no longer the caller's, and
    nothing was changed for that contact.

    Raises ValueError for a move that needs `due_at` and has none, and for one that is not a worker's.
    """
    held = _held(connection, {settlement.contact_id for settlement in settlements})
    answers: list[bool] = []
    confirmed: list[dict[str, Any]] = []
    unconfirmed: list[dict[str, Any]] = []
    evidence: list[dict[str, Any]] = []
    for settlement in settlements:
        row = held.get(settlement.contact_id)
        if row is None or row.lease != settlement.lease:
            answers.append(False)
            continue
        # One claim is settled once, whatever the caller passes.
        del held[settlement.contact_id]
        answers.append(True)
        settled = _settled_row(settlement, row, now)
        if settlement.written is None:
            unconfirmed.append(settled)
        else:
            confirmed.append(settled | {"written": encode_written(settlement.written)})
        if settlement.attempt is not None:
            evidence.append(_attempt_row(settlement.contact_id, settlement.attempt))
    update_rows(connection, contacts, confirmed)
    update_rows(connection, contacts, unconfirmed)
    insert_rows(connection, attempts, evidence)
    return answers


def release(connection: Connection, claims: Sequence[Claim], now: datetime) -> None:
    """Give claims back: due at `now`. Those whose lease somebody else has by now are left alone."""
    if not claims:
        return
    connection.execute(
        _RELEASE,
        [
            {"contact_id": claim.contact.contact_id, "held": claim.lease, "due_at": now}
            for claim in sorted(claims, key=lambda claim: claim.contact.contact_id)
        ],
    )


def release_all(connection: Connection, now: datetime, *, holder: str | None = None) -> int:
    """Give every claim of a holder back that is known to be gone; without a name everybody's, for a process
    that knows itself to be alone. How many.
    """
    delivering = contacts.c.state == DeliveryState.DELIVERING.value
    theirs = true() if holder is None else func.substr(contacts.c.lease, 1, _HOLDER_CHARACTERS) == holder
    return connection.execute(
        update(contacts).where(delivering, theirs).values(due_at=now, **_GIVEN_BACK)
    ).rowcount


class _Held(NamedTuple):
    """What of a contact decides how its claim is settled."""

    contact_id: int
    lease: str | None
    revision: int
    priority: int


def _held(connection: Connection, contact_ids: set[int]) -> dict[int, _Held]:
    names = ("id", "lease", "revision", "priority")
    rows = select_rows(connection, contacts, names, where="id", wanted=contact_ids, lock=True)
    return {row[0]: _Held(*row) for row in rows}


def _settled_row(settlement: Settlement, row: _Held, now: datetime) -> dict[str, Any]:
    if settlement.move in {Move.CHANGED, Move.CLAIMED}:
        raise ValueError(f"{settlement.move} is no way to settle a claim.")
    state = moved(DeliveryState.DELIVERING, settlement.move)
    due_at = settlement.due_at
    reason = settlement.reason
    priority = row.priority
    if row.revision != settlement.revision:
        # Somebody chose again while this was on its way: whatever became of it, there is more to tell.
        state, due_at, reason = DeliveryState.DUE, now, None
    elif state in {DeliveryState.SETTLED, DeliveryState.PARKED}:
        due_at = None
        priority = int(Priority.NORMAL) if state is DeliveryState.SETTLED else priority
    elif due_at is None:
        raise ValueError(f"A settlement by {settlement.move} must say when the contact is due again.")
    return {
        "id": settlement.contact_id,
        "state": state.value,
        "due_at": due_at,
        "priority": priority,
        "lease": None,
        "row_id": settlement.row_id,
        "attempts": settlement.attempts,
        "unmatched_since": settlement.unmatched_since,
        "reason": reason,
    }


def _attempt_row(contact_id: int, attempt: Attempt) -> dict[str, Any]:
    return {
        "contact_id": contact_id,
        "attempted_at": attempt.attempted_at,
        "outcome": attempt.outcome,
        "status": attempt.status,
        "code": storable_text(attempt.code),
        "message": storable_text(attempt.message),
        "request_id": storable_text(attempt.request_id),
        "columns": encode_evidence(attempt.columns),
    }
