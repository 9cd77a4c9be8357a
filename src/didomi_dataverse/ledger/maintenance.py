"""What the ledger does to itself: a changed mapping or target, retention, the probe, its own secrets."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, case, delete, select, text, update

from didomi_dataverse.clock import Clock
from didomi_dataverse.didomi.interpreted import Disposition
from didomi_dataverse.ledger.codec import EMPTY_WRITTEN
from didomi_dataverse.ledger.contact_rows import CONTACTS_PER_STEP, next_contact_ids
from didomi_dataverse.ledger.database.bulk_sql import insert_rows
from didomi_dataverse.ledger.database.instants import to_microseconds
from didomi_dataverse.ledger.database.transactions import Database
from didomi_dataverse.ledger.deletions import is_folded
from didomi_dataverse.ledger.delivery_state import DeliveryState, Move, Priority, next_state
from didomi_dataverse.ledger.tables import attempts, contacts, meta, notifications

_MAPPING_FINGERPRINT = "mapping_fingerprint"
_TARGET = "target"
_IDENTIFIER_HASH_KEY = "identifier_hash_key"
_PROBED_AT = "probed_at"

_HASH_KEY_BYTES = 32

_PUT_META_VALUE = text(
    "INSERT INTO meta (key, value) VALUES (:key, :value)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)

_Step = tuple[int, int | None]
"""How many contacts one transaction made due, and the last id it looked at; None when there were no more."""


@dataclass(frozen=True, slots=True)
class Purged:
    """How many rows one step of the purge deleted. Both are 0 when there is nothing left to delete."""

    notifications: int
    attempts: int


class Maintenance:
    """Keeps the ledger in step with the configuration, and in size.

    Every method is one transaction, unless it says otherwise. It raises StoreUnavailableError when the store
    could not commit; then nothing has changed.
    """

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def remap(self, fingerprint: str, *, now: datetime) -> int:
        """Make every contact due, at a low priority, if `fingerprint` is not that of the mapping last used.

        Returns how many became due. In steps, each a transaction. The fingerprint is stored last, so that a
        remap that was interrupted starts over; what has been delivered meanwhile is then mapped twice and,
        being the same, not sent again.
        """
        if await self._database.read(_meta_value, _MAPPING_FINGERPRINT) == fingerprint:
            return 0
        became_due = await self._run_steps(_remap_some, now)
        await self._database.write(_put_meta_value, _MAPPING_FINGERPRINT, fingerprint)
        return became_due

    async def retarget(self, target: str, *, now: datetime) -> int:
        """Forget what was confirmed, and make every contact due, if `target` is not the target last used.

        `target` names the environment and how rows are found there. Returns how many became due. In steps, as
        `remap`.
        """
        stored = await self._database.read(_meta_value, _TARGET)
        if stored == target:
            return 0
        became_due = 0 if stored is None else await self._run_steps(_retarget_some, now)
        await self._database.write(_put_meta_value, _TARGET, target)
        return became_due

    async def purge(self, *, notifications_before: datetime, attempts_before: datetime, limit: int) -> Purged:
        """Delete at most `limit` older notifications, parked ones excepted, and at most `limit` older
        attempts.

        To be called again until nothing was deleted. A contact that loses choices this way is marked: a
        deletion by Didomi can then no longer be worked out.
        """
        return await self._database.write(_purge, notifications_before, attempts_before, limit)

    async def probe(self) -> None:
        """Commit something: the only proof that writing works."""
        await self._database.write(_put_meta_value, _PROBED_AT, str(to_microseconds(self._clock.now())))

    async def identifier_hash_key(self) -> bytes:
        """32 random bytes, created once per store: every replica names a person by the same hash
        (`privacy.pseudonym`).
        """
        stored = await self._database.read(_meta_value, _IDENTIFIER_HASH_KEY)
        return bytes.fromhex(await self._database.write(_create_hash_key) if stored is None else stored)

    async def _run_steps(self, step: Callable[[Connection, datetime, int], _Step], now: datetime) -> int:
        became_due = 0
        after: int | None = 0
        while after is not None:
            some, after = await self._database.write(step, now, after)
            became_due += some
        return became_due


def _meta_value(connection: Connection, key: str) -> str | None:
    return connection.execute(select(meta.c.value).where(meta.c.key == key)).scalar_one_or_none()


def _put_meta_value(connection: Connection, key: str, value: str) -> None:
    connection.execute(_PUT_META_VALUE, {"key": key, "value": value})


def _create_hash_key(connection: Connection) -> str:
    # The first replica that asks creates it; the others find it.
    row = {"key": _IDENTIFIER_HASH_KEY, "value": secrets.token_hex(_HASH_KEY_BYTES)}
    insert_rows(connection, meta, [row], skip_known=True)
    wanted = select(meta.c.value).where(meta.c.key == _IDENTIFIER_HASH_KEY)
    key: str = connection.execute(wanted).scalar_one()
    return key


def _remap_some(connection: Connection, now: datetime, after: int) -> _Step:
    """Empty contacts stay as they are: there is nothing to tell of them. A contact that is being delivered
    keeps its state, but its revision changes: what is on its way was made by the other mapping.
    """
    ids = next_contact_ids(connection, after, CONTACTS_PER_STEP)
    if not ids:
        return 0, None
    chosen = contacts.c.id.between(ids[0], ids[-1])
    affected = (DeliveryState.SETTLED, DeliveryState.PARKED)
    became_due = connection.execute(
        update(contacts)
        .where(chosen, contacts.c.state.in_([state.value for state in affected]), contacts.c.revision > 0)
        .values(
            state=next_state(DeliveryState.SETTLED, Move.CHANGED).value,
            due_at=now,
            reason=None,
            # A parked withdrawal is as urgent as it was.
            priority=case(
                (
                    (contacts.c.state == DeliveryState.PARKED.value)
                    & (contacts.c.priority == int(Priority.WITHDRAWAL)),
                    int(Priority.WITHDRAWAL),
                ),
                else_=int(Priority.REMAP),
            ),
        )
    ).rowcount
    connection.execute(
        update(contacts)
        .where(chosen, contacts.c.state == DeliveryState.DELIVERING.value)
        .values(revision=contacts.c.revision + 1)
    )
    return became_due, ids[-1]


def _retarget_some(connection: Connection, now: datetime, after: int) -> _Step:
    """What was confirmed is that of other rows. A worker that is writing one of the contacts to the old
    target can no longer settle it; the contact is claimed again when that lease has ended.
    """
    ids = next_contact_ids(connection, after, CONTACTS_PER_STEP)
    if not ids:
        return 0, None
    chosen = contacts.c.id.between(ids[0], ids[-1])
    connection.execute(update(contacts).where(chosen).values(written=EMPTY_WRITTEN, row_id=None))
    affected = (DeliveryState.SETTLED, DeliveryState.PARKED, DeliveryState.UNMATCHED)
    became_due = connection.execute(
        update(contacts)
        .where(chosen, contacts.c.state.in_([state.value for state in affected]), contacts.c.revision > 0)
        .values(
            state=next_state(DeliveryState.SETTLED, Move.CHANGED).value,
            due_at=now,
            reason=None,
            unmatched_since=None,
        )
    ).rowcount
    connection.execute(
        update(contacts).where(chosen, contacts.c.state == DeliveryState.DELIVERING.value).values(lease=None)
    )
    return became_due, ids[-1]


def _purge(
    connection: Connection, notifications_before: datetime, attempts_before: datetime, limit: int
) -> Purged:
    columns = notifications.c
    old_notifications = (
        select(columns.id)
        .where(columns.received_at < notifications_before, columns.disposition != Disposition.PARKED.value)
        .order_by(columns.received_at)
        .limit(limit)
    )
    old_attempts = (
        select(attempts.c.id)
        .where(attempts.c.attempted_at < attempts_before)
        .order_by(attempts.c.attempted_at)
        .limit(limit)
    )
    losing_history = (
        select(columns.contact_id)
        .where(columns.id.in_(old_notifications), columns.contact_id.is_not(None), is_folded())
        .distinct()
    )
    connection.execute(
        update(contacts)
        .where(contacts.c.id.in_(losing_history), contacts.c.history_cut_at.is_(None))
        .values(history_cut_at=notifications_before)
    )
    return Purged(
        notifications=connection.execute(
            delete(notifications).where(columns.id.in_(old_notifications))
        ).rowcount,
        attempts=connection.execute(delete(attempts).where(attempts.c.id.in_(old_attempts))).rowcount,
    )
