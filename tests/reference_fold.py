"""What a contact must hold, computed the slow way: from everything ever received, all at once.

Shares no code with the package. A value is True, False, or None for unset; selections and facts are left out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True)
class Told:
    """One choice about one item, `at` seconds after the start."""

    item: str
    value: bool
    at: int
    user: str
    event: str
    is_snapshot: bool = False


@dataclass(frozen=True)
class Deletion:
    """Of an event, or of a user until `at`."""

    event: str = ""
    user: str = ""
    at: int = 0

    def covers(self, told: Told) -> bool:
        if self.event:
            return told.event == self.event and not told.is_snapshot
        return told.user == self.user and told.at <= self.at


def expected_values(told: Sequence[Told], deletions: Sequence[Deletion]) -> Mapping[str, bool | None]:
    """For each item the most restrictive value that any subset of the deletions would leave.

    A deletion therefore never grants, and the order of deletions cannot matter: there is none here.
    """
    values: dict[str, bool | None] = {}
    for item in {one.item for one in told}:
        about = [one for one in told if one.item == item]
        left = [
            _value([one for one in about if not any(deletion.covers(one) for deletion in some)])
            for some in _subsets(set(deletions))
        ]
        values[item] = min(left, key=lambda value: (value is not None, value is True))
    return values


def _subsets(deletions: Iterable[Deletion]) -> Iterable[Iterable[Deletion]]:
    every = list(deletions)
    return (some for size in range(len(every) + 1) for some in combinations(every, size))


def _value(told: Sequence[Told]) -> bool | None:
    stated = [one for one in told if not one.is_snapshot]
    asserted = [one for one in told if one.is_snapshot]
    if not stated:
        return _newest(asserted).value if asserted else None
    last = _newest(stated)
    corrections = [one for one in asserted if one.user == last.user and one.at > last.at]
    return _newest(corrections).value if corrections else last.value


def _newest(told: Sequence[Told]) -> Told:
    """At equal times: a no, then the user that comes first in the alphabet."""
    return min(told, key=lambda one: (-one.at, one.value, one.user))
