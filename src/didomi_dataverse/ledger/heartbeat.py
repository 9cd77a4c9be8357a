"""The sign of life of a replica."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A replica's sign of life."""

    beats: int
    """Counts the heartbeats of this replica, from 1."""

    takeover_after: timedelta
    """The silence after which this replica considers itself evicted. Replicas may differ in it while a new
    setting is rolled out."""


Heartbeats = Mapping[str, Heartbeat]
"""The last heartbeat of each replica, by its name."""
