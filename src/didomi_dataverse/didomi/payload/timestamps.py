"""Times as Didomi writes them, and the bound on times in the future."""

from datetime import UTC, datetime, timedelta
from enum import Enum

MAX_CLOCK_SKEW = timedelta(minutes=5)
"""How far ahead of our clock a time may be. Too small: choices of a device whose clock runs ahead are moved
to their arrival. Too large: a choice from the future wins against later ones for that long.
"""

_MAX_CHARACTERS = 64  # the longest ISO 8601 time is far shorter; this bounds the work on a hostile one


class Unreadable(Enum):
    """Something is there that is not of its type. Different from absent, which says nothing at all."""

    UNREADABLE = "unreadable"


UNREADABLE = Unreadable.UNREADABLE

ParsedTime = datetime | Unreadable | None
"""A time, aware UTC; UNREADABLE when something else is there; None when absent."""


def parse_timestamp(written: object) -> ParsedTime:
    """An ISO 8601 time in UTC. No zone means UTC; null and absent are None (didomi.md 1.6).

    >>> parse_timestamp("2026-03-01T12:00:00+01:00")
    datetime.datetime(2026, 3, 1, 11, 0, tzinfo=datetime.timezone.utc)
    >>> parse_timestamp("2026-03-01 12:00") == parse_timestamp("2026-03-01T12:00:00Z")
    True
    >>> parse_timestamp(1772366400), parse_timestamp("yesterday"), parse_timestamp(None)
    (<Unreadable.UNREADABLE: 'unreadable'>, <Unreadable.UNREADABLE: 'unreadable'>, None)
    """
    if written is None:
        return None
    if not isinstance(written, str) or len(written) > _MAX_CHARACTERS:
        return UNREADABLE
    try:
        parsed = datetime.fromisoformat(written.strip().upper())
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):  # not ISO 8601; or an offset moves year 1 or 9999 out of the calendar
        return UNREADABLE


def clamp_to_received(made_at: datetime, received_at: datetime) -> datetime:
    """The time, or the time of arrival when the time lies in the future.

    Otherwise a choice from next year would win against every choice that the person makes until then. A few
    minutes ahead are two clocks that disagree, and stay.

    >>> noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    >>> clamp_to_received(noon + timedelta(days=365), received_at=noon) == noon
    True
    >>> clamp_to_received(noon + timedelta(minutes=1), received_at=noon) == noon
    False
    """
    return received_at if made_at > received_at + MAX_CLOCK_SKEW else made_at
