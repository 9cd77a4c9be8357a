"""Forgets what need not be kept, in small steps that never hold the store up."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import structlog

from didomi_dataverse.clock import Clock
from didomi_dataverse.errors import StoreError
from didomi_dataverse.ledger.maintenance import Maintenance

SWEEP_EVERY = timedelta(hours=1)
ROWS_PER_STEP = 1_000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long evidence is kept (`store.retention`). Parked notifications stay until resolved."""

    notifications: timedelta
    attempts: timedelta


class RetentionCleaner:
    """Sweeps the ledger every `SWEEP_EVERY`."""

    def __init__(self, *, ledger: Maintenance, retention: Retention, clock: Clock) -> None:
        self._ledger = ledger
        self._retention = retention
        self._clock = clock

    async def run_once(self) -> int:
        """Deletes everything that is old enough. Returns the number of rows deleted."""
        now = self._clock.now()
        notifications = attempts = 0
        while True:
            purged = await self._ledger.purge(
                notifications_before=now - self._retention.notifications,
                attempts_before=now - self._retention.attempts,
                limit=ROWS_PER_STEP,
            )
            notifications += purged.notifications
            attempts += purged.attempts
            if purged.notifications < ROWS_PER_STEP and purged.attempts < ROWS_PER_STEP:
                break
        if notifications or attempts:
            log.info("rows_purged", notifications=notifications, attempts=attempts)
        return notifications + attempts

    async def run(self, stop: asyncio.Event) -> None:
        """Sweeps until `stop` is set. A failing store is left for the next sweep."""
        while not stop.is_set():
            try:
                await self.run_once()
            except StoreError:
                log.exception("store_failed", doing="purge")
            try:
                await asyncio.wait_for(stop.wait(), SWEEP_EVERY.total_seconds())
            except TimeoutError:
                continue
