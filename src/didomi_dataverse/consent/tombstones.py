"""What has been deleted, remembered for good: a deletion and what it deletes may arrive in any order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from didomi_dataverse.consent.model import Choice, Kind


@dataclass(frozen=True, slots=True)
class Tombstones:
    """The ids of deleted events, and until when deleted Didomi users no longer count."""

    events: frozenset[str] = frozenset()
    users: Mapping[str, datetime] = field(default_factory=dict)

    def cover(self, choice: Choice) -> bool:
        """Whether the event that carries the choice is deleted. A snapshot that repeats it is none."""
        return choice.kind is Kind.STATEMENT and choice.source_id in self.events


NOTHING_DELETED = Tombstones()
