"""The replicas that serve from this store, and what becomes of the claims of one that fell silent.

A replica's row is there from before its first claim until it leaves or is evicted. While it is there, no
other replica takes its claims over, whatever any clock says (`claims.py`). Evicting it releases all of them
at once.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from didomi_dataverse.ledger.claims import HOLDER_PREFIX, release_all
from didomi_dataverse.ledger.database.transactions import Database
from didomi_dataverse.ledger.heartbeat import Heartbeat, Heartbeats
from didomi_dataverse.ledger.tables import meta


class Replicas:
    """The replicas at work, as the store knows them.

    Every method raises StoreUnavailableError when the store could not commit; then nothing has changed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def heartbeat(self, replica: str, heartbeat: Heartbeat) -> Heartbeats | None:
        """Store that the replica is at work, for the first time or again. Returns the others' heartbeats.

        None when the replica was evicted meanwhile: its claims belong to others now, and it must go on under
        another name.
        """
        return await self._database.write(_heartbeat, replica, heartbeat)

    async def evict(self, replica: str, last: Heartbeat, *, now: datetime) -> int | None:
        """Release all that a replica holds, if its heartbeat is still `last`. Returns how many contacts.

        None when there was another heartbeat, or when another replica evicted it. Its next heartbeat and this
        wait for each other at its row, so that exactly one of them comes about.
        """
        return await self._database.write(_evict, replica, last, now)

    async def leave(self, replica: str, *, now: datetime) -> None:
        """Remove a replica that ends in good order: what it holds is not on its way, and is due at once."""
        await self._database.write(_leave, replica, now)


def forget_all(connection: Connection) -> None:
    """Remove every replica: for a process that is known to be alone, after the end of the one before it."""
    connection.execute(delete(meta).where(meta.c.key.like(f"{HOLDER_PREFIX}%")))


def _heartbeat(connection: Connection, replica: str, heartbeat: Heartbeat) -> Heartbeats | None:
    key, value = HOLDER_PREFIX + replica, _encode(heartbeat)
    if heartbeat.beats == 1:
        connection.execute(insert(meta).values(key=key, value=value))
    elif connection.execute(update(meta).where(meta.c.key == key).values(value=value)).rowcount == 0:
        return None
    found = connection.execute(
        select(meta.c.key, meta.c.value).where(meta.c.key.like(f"{HOLDER_PREFIX}%"), meta.c.key != key)
    )
    return {other.removeprefix(HOLDER_PREFIX): _decode(value) for other, value in found}


def _evict(connection: Connection, replica: str, last: Heartbeat, now: datetime) -> int | None:
    evicted = delete(meta).where(meta.c.key == HOLDER_PREFIX + replica, meta.c.value == _encode(last))
    if connection.execute(evicted).rowcount == 0:
        return None
    return release_all(connection, now, holder=replica)


def _leave(connection: Connection, replica: str, now: datetime) -> None:
    connection.execute(delete(meta).where(meta.c.key == HOLDER_PREFIX + replica))
    release_all(connection, now, holder=replica)


def _encode(heartbeat: Heartbeat) -> str:
    return f"{heartbeat.beats} {heartbeat.takeover_after.total_seconds():g}"


def _decode(value: str) -> Heartbeat:
    beats, _, seconds = value.partition(" ")
    return Heartbeat(int(beats), timedelta(seconds=float(seconds or 0)))
