"""Deletions, remembered for good: a deletion and what it deletes may arrive in any order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from didomi_dataverse.consent.model import Choice, ChoiceKind


@dataclass(frozen=True, slots=True)
class Tombstones:
    """What has been deleted by Didomi, as far as it concerns some choices."""

    events: frozenset[str] = frozenset()
    """The ids of deleted events."""
    users: Mapping[str, datetime] = field(default_factory=dict)
    """Deleted Didomi users, each with the time until which its choices no longer count, aware UTC."""

    def is_retracted(self, choice: Choice) -> bool:
        """Whether the event that carries the statement is deleted.

        Never True for an assertion: the snapshot that repeats a choice is not the deleted event.
        """
        return choice.kind is ChoiceKind.STATEMENT and choice.source_id in self.events


NO_TOMBSTONES = Tombstones()
"""Nothing is deleted."""
