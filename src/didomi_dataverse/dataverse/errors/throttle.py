"""The service protection limits of Dataverse, and what a throttled answer says of them (dataverse.md 4.1)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final


class LimitKind(StrEnum):
    """Which limit a throttle is about. Each holds per application user and web server."""

    REQUESTS = "requests"
    """Calls in a sliding window."""

    TIME = "time"
    """Run time of the calls in a sliding window."""

    CONCURRENCY = "concurrency"
    """Calls at the same time."""

    UNNAMED = "unnamed"
    """A throttle (429) that does not say which limit."""

    NONE = "none"
    """Not a limit: a pause that was asked for otherwise (503 with `Retry-After`)."""


LIMIT_BY_CODE: Final[Mapping[str, LimitKind]] = {
    "0x80072322": LimitKind.REQUESTS,
    "0x80072321": LimitKind.TIME,
    "0x80072326": LimitKind.CONCURRENCY,
}
"""The error codes that name a limit."""

SHORTEST_WINDOW: Final = timedelta(seconds=1)
"""A text with a shorter window is not about a limit of Dataverse, and is ignored. Too large: the windows of a
test server are ignored, too."""


@dataclass(frozen=True, slots=True)
class AdvertisedLimit:
    """What the text of a throttle says of the limit that was met."""

    capacity: float
    """How much one web server admits in a window: calls, or seconds of run time."""

    window: timedelta
    """The length of the window."""


_ADVERTISED: Final = re.compile(
    r"limit of ([\d,]+)( milliseconds)? over time window of (\d+(?:\.\d+)?) seconds"
)


def find_limit(code: str, status: int) -> LimitKind:
    """Which limit a throttle with this error code and HTTP status is about.

    >>> find_limit("0x80072321", 429)
    <LimitKind.TIME: 'time'>
    """
    return LIMIT_BY_CODE.get(code, LimitKind.UNNAMED if status == 429 else LimitKind.NONE)


def parse_advertised(message: str) -> AdvertisedLimit | None:
    """The limit that the text of a throttle states; None for another text, or for a figure that cannot be
    meant.

    >>> parse_advertised("Number of requests exceeded the limit of 6000 over time window of 300 seconds.")
    AdvertisedLimit(capacity=6000.0, window=datetime.timedelta(seconds=300))
    """
    found = _ADVERTISED.search(message)
    if found is None:
        return None
    try:
        capacity = int(found[1].replace(",", "")) / (1_000 if found[2] else 1)
        window = timedelta(seconds=float(found[3]))
    except (ValueError, OverflowError):
        return None
    return AdvertisedLimit(capacity, window) if capacity > 0 and window >= SHORTEST_WINDOW else None
