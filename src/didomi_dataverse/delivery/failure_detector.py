"""Finds replicas that are gone, by their heartbeats alone.

Every replica counts up a number of its own in the store. A replica that sees another's number unchanged for
long enough, *by its own monotonic clock*, knows that the other is gone. Clocks of two machines are never
compared, so a clock that is wrong, or jumps, ends no claims.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from didomi_dataverse.ledger.heartbeat import Heartbeat, Heartbeats


@dataclass(frozen=True, slots=True)
class Observation:
    """The last heartbeat of one replica, as another saw it."""

    heartbeat: Heartbeat
    """The heartbeat."""

    since: float
    """The monotonic time, in seconds, at which the observer first saw it."""


Observations = Mapping[str, Observation]
"""What one replica has seen of the others, by their names; itself not among them."""


def observe(before: Observations, heartbeats: Heartbeats, *, at: float) -> Observations:
    """The observations after a look at the store, which ended at the monotonic time `at`.

    >>> once = observe({}, {"ada": Heartbeat(7, timedelta(seconds=60))}, at=10.0)
    >>> observe(once, {"ada": Heartbeat(7, timedelta(seconds=60))}, at=20.0)["ada"].since
    10.0
    """
    observations: dict[str, Observation] = {}
    for replica, heartbeat in heartbeats.items():
        known = before.get(replica)
        is_same = known is not None and known.heartbeat == heartbeat
        observations[replica] = known if known is not None and is_same else Observation(heartbeat, at)
    return observations


def find_expired(observations: Observations, *, at: float, takeover_after: timedelta) -> Heartbeats:
    """The replicas to evict at the monotonic time `at`, each with its last heartbeat: silent for
    `takeover_after`, and for as long as they allowed themselves.
    """
    return {
        replica: seen.heartbeat
        for replica, seen in observations.items()
        if at - seen.since >= max(takeover_after, seen.heartbeat.takeover_after).total_seconds()
    }
