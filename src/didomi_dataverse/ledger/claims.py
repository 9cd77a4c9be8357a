"""Hand out contacts that are due, and store what became of them. The lease is the fence between the two."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, func, literal, or_, select, true, update

from didomi_dataverse.ledger.codec import EMPTY_WRITTEN, encode_evidence, encode_written
from didomi_dataverse.ledger.contact_rows import CONTACT_COLUMNS, decode_contact
from didomi_dataverse.ledger.database.bulk_sql import insert_rows, select_rows, update_rows
from didomi_dataverse.ledger.database.statements import lock_rows
from didomi_dataverse.ledger.database.transactions import Database
from didomi_dataverse.ledger.delivery_state import (
    Attempt,
    Claim,
    DeliveryState,
    Move,
    Priority,
    Settlement,
    next_state,
)
from didomi_dataverse.ledger.tables import attempts, clip_text, contacts, meta

HOLDER_PREFIX = "replica/"
"""How the keys of `meta` begin that name the replicas at work (`replicas.py`)."""

UNREADABLE = "unreadable_state"
"""Why a contact is parked whose stored state this version cannot read."""

_HOLDER_CHARACTERS = 16
"""Length of a holder's name, with which each of its leases begins."""

_TOKEN_BYTES = 8
"""Random bytes that tell one lease of a holder from another."""

_PARK_UNREADABLE = (
    update(contacts)
    .where(contacts.c.id == bindparam("contact_id"))
    .values(state=DeliveryState.PARKED.value, due_at=None, lease=None, reason=UNREADABLE)
)
_FORGET_WRITTEN = (
    update(contacts).where(contacts.c.id == bindparam("contact_id")).values(written=EMPTY_WRITTEN)
)
_RELEASED_COLUMNS: Mapping[str, object] = {
    "state": next_state(DeliveryState.DELIVERING, Move.POSTPONED).value,
    "lease": None,
    # Something may have been written that was never settled, so nothing is known of the row.
    "written": EMPTY_WRITTEN,
}
_RELEASE = (
    update(contacts)
    .where(contacts.c.id == bindparam("contact_id"), contacts.c.lease == bindparam("held"))
    .values(due_at=bindparam("due_at"), **_RELEASED_COLUMNS)
)
_HAS_NO_LIVE_HOLDER = or_(
    contacts.c.lease.is_(None),
    select(func.count())
    .select_from(meta)
    .where(meta.c.key == literal(HOLDER_PREFIX) + func.substr(contacts.c.lease, 1, _HOLDER_CHARACTERS))
    .scalar_subquery()
    == 0,
)


class DeliveryQueue:
    """The contacts that are due, handed out under leases.

    Any number of workers may use it at once, on PostgreSQL those of many processes. Every method raises
    StoreUnavailableError when the store could not commit; then nothing has changed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(
        self, *, now: datetime, limit: int, lease: timedelta, holder: str | None = None
    ) -> list[Claim]:
        """At most `limit` contacts that are due, withdrawals first, each leased until `now + lease`.

        No other worker gets them before the lease ends. The lease of a `holder` that is at work (`Replicas`)
        does not end: a clock that jumps must not make two workers write at once. What another replica is
        claiming at the same moment is passed over.
        """
        return await self._database.write(_claim, now, limit, lease, holder)

    async def settle(self, settlements: Sequence[Settlement], *, now: datetime) -> list[bool]:
        """Store what became of claims, with the attempt of each; one answer for each.

        False: the lease was no longer the caller's, and nothing was changed for that contact. `row_id`,
        `attempts` and `unmatched_since` are stored as they stand in the settlement, empty ones included.
        Raises ValueError for a move that needs `due_at` and has none, and for one that is not a worker's.
        """
        if not settlements:
            return []
        return await self._database.write(_settle, settlements, now)

    async def release(self, claims: Sequence[Claim], *, now: datetime) -> None:
        """Give claims back, due at `now`. What Dataverse holds of them counts as unknown.

        Claims whose lease another worker has by now are left alone.
        """
        if claims:
            await self._database.write(_release, claims, now)

    async def release_held_by(self, holder: str, *, now: datetime) -> int:
        """Give back all that is claimed under a name, due at `now`. Returns how many contacts that were.

        For claims that may have been committed although their answer was lost.
        """
        return await self._database.write(release_all, now, holder=holder)

    async def next_due_at(self) -> datetime | None:
        """The earliest time at which a contact is due or a lease ends. In the past when one is due already.

        None when no contact will be due by itself.
        """
        return await self._database.read(_next_due_at)


def new_holder() -> str:
    """A name for a replica, never used before."""
    return secrets.token_hex(_HOLDER_CHARACTERS // 2)


def release_all(connection: Connection, now: datetime, *, holder: str | None = None) -> int:
    """Release every claim of a holder that is known to be gone. Returns how many contacts that were.

    Without a name it releases every claim there is: for a process that is known to be alone.
    """
    is_delivering = contacts.c.state == DeliveryState.DELIVERING.value
    is_theirs = true() if holder is None else func.substr(contacts.c.lease, 1, _HOLDER_CHARACTERS) == holder
    return connection.execute(
        update(contacts).where(is_delivering, is_theirs).values(due_at=now, **_RELEASED_COLUMNS)
    ).rowcount


def _claim(
    connection: Connection, now: datetime, limit: int, lease: timedelta, holder: str | None
) -> list[Claim]:
    token = (holder or new_holder()) + secrets.token_hex(_TOKEN_BYTES)
    until = now + lease
    claims: list[Claim] = []
    claimed_rows: list[dict[str, Any]] = []
    taken_over: list[dict[str, Any]] = []
    unreadable: list[dict[str, Any]] = []
    for priority in Priority:
        due = lock_rows(connection, _select_due(priority, now, limit - len(claims)), skip_locked=True)
        for row in connection.execute(due).mappings().all():
            try:
                contact = decode_contact(row)
                state = next_state(contact.state, Move.CLAIMED)
            except (ValueError, KeyError):
                # It would stop every contact behind it, every time (promise 4).
                unreadable.append({"contact_id": row["id"]})
                continue
            written = contact.written
            if contact.state is DeliveryState.DELIVERING:
                # The holder of the lease may have written without settling: nothing is known of the row.
                written = {}
                taken_over.append({"contact_id": row["id"]})
            claimed = replace(contact, state=state, due_at=until, written=written)
            claims.append(Claim(contact=claimed, lease=token))
            claimed_rows.append({"id": row["id"], "state": state.value, "due_at": until, "lease": token})
        if len(claims) >= limit:
            break
    if unreadable:
        connection.execute(_PARK_UNREADABLE, unreadable)
    update_rows(connection, contacts, claimed_rows)
    if taken_over:
        connection.execute(_FORGET_WRITTEN, taken_over)
    return claims


def _select_due(priority: Priority, now: datetime, limit: int) -> Select[Any]:
    """One range of the index `ix_contacts_claim`, read in its own order.

    `due_at <= now` covers all three: due, unmatched and to be looked for again, and delivering under a lease
    that ended.
    """
    return (
        select(*CONTACT_COLUMNS)
        .where(contacts.c.priority == int(priority), contacts.c.due_at <= now, _HAS_NO_LIVE_HOLDER)
        .order_by(contacts.c.due_at)
        .limit(limit)
    )


def _settle(connection: Connection, settlements: Sequence[Settlement], now: datetime) -> list[bool]:
    claimed = _lock_claimed(connection, {settlement.contact_id for settlement in settlements})
    answers: list[bool] = []
    confirmed: list[dict[str, Any]] = []
    unconfirmed: list[dict[str, Any]] = []
    evidence: list[dict[str, Any]] = []
    for settlement in settlements:
        row = claimed.get(settlement.contact_id)
        if row is None or row.lease != settlement.lease:
            answers.append(False)
            continue
        # One claim is settled once, whatever the caller passes.
        del claimed[settlement.contact_id]
        answers.append(True)
        changes = _settle_row(settlement, row, now)
        if settlement.written is None:
            unconfirmed.append(changes)
        else:
            confirmed.append(changes | {"written": encode_written(settlement.written)})
        if settlement.attempt is not None:
            evidence.append(_attempt_row(settlement.contact_id, settlement.attempt))
    update_rows(connection, contacts, confirmed)
    update_rows(connection, contacts, unconfirmed)
    insert_rows(connection, attempts, evidence)
    return answers


class _ClaimedRow(NamedTuple):
    """What of a contact decides how its claim is settled."""

    contact_id: int
    lease: str | None
    revision: int
    priority: int


def _lock_claimed(connection: Connection, contact_ids: set[int]) -> dict[int, _ClaimedRow]:
    names = ("id", "lease", "revision", "priority")
    rows = select_rows(connection, contacts, names, where="id", wanted=contact_ids, lock=True)
    return {row[0]: _ClaimedRow(*row) for row in rows}


def _settle_row(settlement: Settlement, row: _ClaimedRow, now: datetime) -> dict[str, Any]:
    """The columns of a contact to change, without `written`."""
    if settlement.move in {Move.CHANGED, Move.CLAIMED}:
        raise ValueError(f"{settlement.move} is not a way to settle a claim.")
    state = next_state(DeliveryState.DELIVERING, settlement.move)
    due_at = settlement.due_at
    reason = settlement.reason
    priority = row.priority
    if row.revision != settlement.revision:
        # The contact changed while this was on its way: whatever became of it, there is more to tell.
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
        "outcome": attempt.outcome.value,
        "status": attempt.status,
        "code": clip_text(attempt.code),
        "message": clip_text(attempt.message),
        "request_id": clip_text(attempt.request_id),
        "columns": encode_evidence(attempt.columns),
    }


def _release(connection: Connection, claims: Sequence[Claim], now: datetime) -> None:
    connection.execute(
        _RELEASE,
        [
            {"contact_id": claim.contact.contact_id, "held": claim.lease, "due_at": now}
            for claim in sorted(claims, key=lambda claim: claim.contact.contact_id)
        ],
    )


def _next_due_at(connection: Connection) -> datetime | None:
    earliest = [
        connection.execute(
            select(contacts.c.due_at)
            .where(contacts.c.priority == int(priority), contacts.c.due_at.is_not(None))
            .order_by(contacts.c.due_at)
            .limit(1)
        ).scalar_one_or_none()
        for priority in Priority
    ]
    return min((due_at for due_at in earliest if due_at is not None), default=None)
