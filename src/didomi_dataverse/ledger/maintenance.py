"""What the ledger does to itself: a changed mapping, retention, the probe, its own secrets."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, case, delete, select, text, update

from didomi_dataverse.didomi.interpreted import Disposition
from didomi_dataverse.ledger.codec import EMPTY_WRITTEN
from didomi_dataverse.ledger.database.bulk_sql import insert_rows
from didomi_dataverse.ledger.database.instants import to_microseconds
from didomi_dataverse.ledger.deletions import was_folded
from didomi_dataverse.ledger.delivery_state import DeliveryState, Move, Priority, moved
from didomi_dataverse.ledger.tables import attempts, contacts, meta, notifications

MAPPING_FINGERPRINT = "mapping_fingerprint"
TARGET = "target"
IDENTIFIER_HASH_KEY = "identifier_hash_key"
PROBED_AT = "probed_at"

_HASH_KEY_BYTES = 32

_PUT_META_VALUE = text(
    "INSERT INTO meta (key, value) VALUES (:key, :value)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)


@dataclass(frozen=True, slots=True)
class Purged:
    """How many rows one step of the purge deleted. Both are 0 when there is nothing left to delete."""

    notifications: int
    attempts: int


def meta_value(connection: Connection, key: str) -> str | None:
    """What the ledger remembers under this key."""
    return connection.execute(select(meta.c.value).where(meta.c.key == key)).scalar_one_or_none()


def put_meta_value(connection: Connection, key: str, value: str) -> None:
    """Remember it."""
    connection.execute(_PUT_META_VALUE, {"key": key, "value": value})


def probe(connection: Connection, now: datetime) -> None:
    """Write something: the only proof that writing works."""
    put_meta_value(connection, PROBED_AT, str(to_microseconds(now)))


def hash_key(connection: Connection) -> bytes | None:
    """The key of the identifier hash, None when nobody has asked for it before."""
    value = meta_value(connection, IDENTIFIER_HASH_KEY)
    return None if value is None else bytes.fromhex(value)


def create_hash_key(connection: Connection) -> bytes:
    """The key of the identifier hash: created by whoever asks first, the same for everybody after."""
    row = {"key": IDENTIFIER_HASH_KEY, "value": secrets.token_hex(_HASH_KEY_BYTES)}
    insert_rows(connection, meta, [row], skip_known=True)
    wanted = select(meta.c.value).where(meta.c.key == IDENTIFIER_HASH_KEY)
    return bytes.fromhex(connection.execute(wanted).scalar_one())


def remap_some(connection: Connection, now: datetime, after: int, limit: int) -> tuple[int, int | None]:
    """Make the next `limit` contacts after the id `after` due where the mapping concerns them.

    Returns how many became due, and the last id looked at, None when there were no more. Empty contacts stay:
    there is nothing to tell of them. A contact that is being delivered right now keeps its state, but its
    revision moves: what is on its way was made by the other mapping.
    """
    ids = _next_ids(connection, after, limit)
    if not ids:
        return 0, None
    chosen = contacts.c.id.between(ids[0], ids[-1])
    again = (DeliveryState.SETTLED, DeliveryState.PARKED)
    became_due = connection.execute(
        update(contacts)
        .where(chosen, contacts.c.state.in_([state.value for state in again]), contacts.c.revision > 0)
        .values(
            state=moved(DeliveryState.SETTLED, Move.CHANGED).value,
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


def retarget_some(connection: Connection, now: datetime, after: int, limit: int) -> tuple[int, int | None]:
    """Forget what was confirmed for the next `limit` contacts after the id `after`: it was other rows'.

    Returns how many became due, and the last id looked at, None when there were no more. Whoever is writing
    one of them to the old target can no longer settle it; it is claimed again when that lease has ended.
    """
    ids = _next_ids(connection, after, limit)
    if not ids:
        return 0, None
    chosen = contacts.c.id.between(ids[0], ids[-1])
    connection.execute(update(contacts).where(chosen).values(written=EMPTY_WRITTEN, row_id=None))
    again = (DeliveryState.SETTLED, DeliveryState.PARKED, DeliveryState.UNMATCHED)
    became_due = connection.execute(
        update(contacts)
        .where(chosen, contacts.c.state.in_([state.value for state in again]), contacts.c.revision > 0)
        .values(
            state=moved(DeliveryState.SETTLED, Move.CHANGED).value,
            due_at=now,
            reason=None,
            unmatched_since=None,
        )
    ).rowcount
    connection.execute(
        update(contacts).where(chosen, contacts.c.state == DeliveryState.DELIVERING.value).values(lease=None)
    )
    return became_due, ids[-1]


def _next_ids(connection: Connection, after: int, limit: int) -> Sequence[int]:
    wanted = select(contacts.c.id).where(contacts.c.id > after).order_by(contacts.c.id).limit(limit)
    return connection.execute(wanted).scalars().all()


def purge(
    connection: Connection, notifications_before: datetime, attempts_before: datetime, limit: int
) -> Purged:
    """Delete at most `limit` notifications and `limit` attempts that are older. What is parked stays.

    A contact that loses choices this way is marked: a deletion by Didomi can then no longer be worked out.
    """
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
    losing = (
        select(columns.contact_id)
        .where(columns.id.in_(old_notifications), columns.contact_id.is_not(None), was_folded())
        .distinct()
    )
    connection.execute(
        update(contacts)
        .where(contacts.c.id.in_(losing), contacts.c.history_cut_at.is_(None))
        .values(history_cut_at=notifications_before)
    )
    return Purged(
        notifications=connection.execute(
            delete(notifications).where(columns.id.in_(old_notifications))
        ).rowcount,
        attempts=connection.execute(delete(attempts).where(attempts.c.id.in_(old_attempts))).rowcount,
    )
