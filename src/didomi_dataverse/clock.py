"""Time, handed to whoever needs it, so that tests can hold it still."""

import time
from datetime import UTC, datetime
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
