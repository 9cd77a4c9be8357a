"""Deletes what need not be kept, in small steps that never hold the store up."""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from didomi_dataverse.clock import Clock
from didomi_dataverse.errors import StoreError
from didomi_dataverse.ledger.maintenance import Maintenance

SWEEP_INTERVAL: Final = timedelta(hours=1)
"""From one sweep to the next. Too small: useless work. Too large: data is kept that much too long."""

ROWS_PER_STEP: Final = 1_000
"""Rows deleted in one transaction. Too small: a sweep takes long. Too large: a transaction holds up
receiving."""

log = structlog.get_logger(__name__)


class RetentionCleaner:
    """Sweeps the ledger every `SWEEP_INTERVAL`. Parked notifications stay until they are resolved."""

    def __init__(
        self,
        *,
        ledger: Maintenance,
        keep_notifications: timedelta,
        keep_attempts: timedelta,
        clock: Clock,
    ) -> None:
        """`keep_notifications` and `keep_attempts`: the age at which they are deleted (`store.retention`)."""
        self._ledger = ledger
        self._keep_notifications = keep_notifications
        self._keep_attempts = keep_attempts
        self._clock = clock

    async def run_once(self) -> int:
        """Deletes everything that is old enough. Returns the number of rows deleted. Raises StoreError."""
        now = self._clock.now()
        notifications = attempts = 0
        while True:
            purged = await self._ledger.purge(
                notifications_before=now - self._keep_notifications,
                attempts_before=now - self._keep_attempts,
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
        """Sweeps until `stop` is set. What a failing store prevents is left for the next sweep."""
        while not stop.is_set():
            try:
                await self.run_once()
            except StoreError:
                log.exception("store_failed", doing="purge")
            try:
                await asyncio.wait_for(stop.wait(), SWEEP_INTERVAL.total_seconds())
            except TimeoutError:
                continue
