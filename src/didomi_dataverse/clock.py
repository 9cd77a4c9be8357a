"""Time, handed to whoever needs it, so that tests can hold it still."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The two clocks a service needs: one to write down, one to measure with."""

    def now(self) -> datetime:
        """Wall-clock time, aware UTC: for what is stored and compared with times that others wrote."""

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
    """The time of day when it was first asked, going on with the monotonic clock: whatever is done to the
    wall clock meanwhile, a pause lasts as long as it should. For times that no other process sees.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """Aware UTC; never jumps, and so may differ from the wall clock."""
        if self._began is None:
            self._began = self._clock.now(), self._clock.monotonic()
        began_at, since = self._began
        return began_at + timedelta(seconds=self._clock.monotonic() - since)

    def monotonic(self) -> float:
        """As the clock's that it was made of."""
        return self._clock.monotonic()
