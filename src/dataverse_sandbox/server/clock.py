"""The time by which a sandbox lives."""

import asyncio
import time
from typing import Protocol


class SandboxClock(Protocol):
    """Time, and a sleep on the same time. A test brings a clock that it moves by hand."""

    def now(self) -> float:
        """Unix seconds."""

    async def sleep(self, seconds: float) -> None:
        """Return when this much of the clock's time has passed."""


class SystemClock:
    """The machine's time."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        await asyncio.sleep(seconds)
