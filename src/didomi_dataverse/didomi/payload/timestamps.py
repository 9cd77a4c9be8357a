"""Times as Didomi writes them, and which of them a notification is ordered by."""

from datetime import UTC, datetime, timedelta
from enum import Enum

MAX_CLOCK_SKEW = timedelta(minutes=5)
_MAX_CHARACTERS = 64


class Unreadable(Enum):
    """Something is there, but it is not of its type. Different from absent, which says nothing at all."""

    UNREADABLE = "unreadable"


UNREADABLE = Unreadable.UNREADABLE

Instant = datetime | Unreadable | None
"""Aware UTC, or there but not a time, or absent."""


def parse_timestamp(written: object) -> Instant:
    """An ISO 8601 time in UTC. No zone means UTC; null and absent are None (didomi.md 1.6)."""
    if written is None:
        return None
    if not isinstance(written, str) or len(written) > _MAX_CHARACTERS:
        return UNREADABLE
    try:
        read = datetime.fromisoformat(written.strip().upper())
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):  # not ISO 8601; or an offset moves year 1 or 9999 out of the calendar
        return UNREADABLE


def clamp_to_received(made_at: datetime, received_at: datetime) -> datetime:
    """The time, unless it lies in the future: then the arrival.

    A choice from next year would win against everything that the person says until then. A few minutes are
    two clocks that disagree.
    """
    return received_at if made_at > received_at + MAX_CLOCK_SKEW else made_at
