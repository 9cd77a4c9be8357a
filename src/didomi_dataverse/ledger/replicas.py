"""The replicas that serve from this store, and what becomes of the claims of one that fell silent.

A replica's row is there from before its first claim until it leaves or is buried. While it is, nobody else
takes its claims over, whatever any clock says (`claiming.claim`); burying it gives all of them back at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from didomi_dataverse.ledger.claims import HOLDER_PREFIX, release_all
from didomi_dataverse.ledger.tables import meta


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """How often a replica has beaten, and after what silence it gives itself up for gone. Replicas may differ
    in that for as long as a new setting is rolled out.
    """

    beats: int
    takeover_after: timedelta


Heartbeats = Mapping[str, Heartbeat]
"""What the store says of each replica."""


def beat(connection: Connection, replica: str, now: Heartbeat) -> Heartbeats | None:
    """Store that the replica beats, for the first time or again. What the others stored last; None when it
    was buried meanwhile: its claims are somebody else's now, and it must go on under another name.
    """
    key = HOLDER_PREFIX + replica
    if now.beats == 1:
        connection.execute(insert(meta).values(key=key, value=_written(now)))
    elif connection.execute(update(meta).where(meta.c.key == key).values(value=_written(now))).rowcount == 0:
        return None
    found = connection.execute(
        select(meta.c.key, meta.c.value).where(meta.c.key.like(f"{HOLDER_PREFIX}%"), meta.c.key != key)
    )
    return {other.removeprefix(HOLDER_PREFIX): _read(value) for other, value in found}


def evict(connection: Connection, replica: str, last: Heartbeat, now: datetime) -> int | None:
    """Give back what the replica held, if it has not beaten since `last`. How many contacts; None when it
    has, or when somebody else buried it.

    Its next beat and this wait for each other at its row, so that exactly one of them comes about.
    """
    buried = delete(meta).where(meta.c.key == HOLDER_PREFIX + replica, meta.c.value == _written(last))
    if connection.execute(buried).rowcount == 0:
        return None
    return release_all(connection, now, holder=replica)


def leave(connection: Connection, replica: str, now: datetime) -> None:
    """The replica ends in good order, and holds nothing that is still on its way."""
    connection.execute(delete(meta).where(meta.c.key == HOLDER_PREFIX + replica))
    release_all(connection, now, holder=replica)


def forget_all(connection: Connection) -> None:
    """For a process that knows itself to be alone: whoever served before is gone."""
    connection.execute(delete(meta).where(meta.c.key.like(f"{HOLDER_PREFIX}%")))


def _written(beat: Heartbeat) -> str:
    return f"{beat.beats} {beat.takeover_after.total_seconds():g}"


def _read(value: str) -> Heartbeat:
    beats, _, seconds = value.partition(" ")
    return Heartbeat(int(beats), timedelta(seconds=float(seconds or 0)))
