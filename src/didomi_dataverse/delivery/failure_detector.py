"""Which replicas are at work, told by their beats alone.

Every replica counts up a number of its own in the store. Whoever sees a number stand still for long enough,
*by its own monotonic clock*, knows that the replica is gone. No two clocks are ever compared, so that a clock
that is wrong, or jumps, ends nobody's claims.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from didomi_dataverse.ledger.replicas import Heartbeat, Heartbeats


@dataclass(frozen=True, slots=True)
class Observation:
    """A replica's beat, and the monotonic time at which it was first seen to be this one."""

    beat: Heartbeat
    since: float


@dataclass(frozen=True, slots=True)
class Observations:
    """What one replica has seen of the others, itself not among them."""

    sightings: Mapping[str, Observation] = field(default_factory=dict)


def observe(watch: Observations, beats: Heartbeats, *, at: float) -> Observations:
    """The watch after a look at the store that ended at the monotonic time `at`."""
    sightings: dict[str, Observation] = {}
    for replica, beat in beats.items():
        before = watch.sightings.get(replica)
        sightings[replica] = before if before is not None and before.beat == beat else Observation(beat, at)
    return Observations(sightings)


def find_expired(watch: Observations, *, at: float, takeover_after: timedelta) -> Heartbeats:
    """Those who have not beaten for so long, and as long as they gave themselves; each with its last beat."""
    return {
        replica: sighting.beat
        for replica, sighting in watch.sightings.items()
        if at - sighting.since >= max(takeover_after, sighting.beat.takeover_after).total_seconds()
    }
