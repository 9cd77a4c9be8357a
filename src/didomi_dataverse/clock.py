"""Time as an argument, so that tests can hold it still."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The two clocks that a service needs: wall-clock time and elapsed time."""

    def now(self) -> datetime:
        """Wall-clock time, aware UTC: for what is stored, and for comparison with times from elsewhere."""

    def monotonic(self) -> float:
        """Seconds that never go back: for how long something took or may still take."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since an arbitrary start."""
        return time.monotonic()


class SteadyClock:
    """Starts at the wall-clock time of its first use and then follows the monotonic clock.

    A change of the wall clock therefore neither shortens nor lengthens a pause. Only for times that no other
    process sees.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """Aware UTC; never jumps, and so may differ from the wall clock."""
        if self._start is None:
            self._start = self._clock.now(), self._clock.monotonic()
        started_at, since = self._start
        return started_at + timedelta(seconds=self._clock.monotonic() - since)

    def monotonic(self) -> float:
        """The monotonic time of the clock that this one was made from."""
        return self._clock.monotonic()
