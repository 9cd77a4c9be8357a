"""Keeps the sender busy: claims what is due, as many calls at once as the pace allows, until told to stop."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog

from didomi_dataverse.clock import Clock
from didomi_dataverse.delivery.sender import Sender
from didomi_dataverse.errors import StoreError
from didomi_dataverse.ledger.contact import Claim
from didomi_dataverse.ledger.ledger import Ledger

LOOK_EVERY = timedelta(seconds=1)
"""How often to look for due contacts unasked: another replica may have received something."""

log = structlog.get_logger(__name__)


class DeliveryWorker:
    """Delivers due contacts. One per process; any number of processes, because claims are exclusive."""

    def __init__(self, *, ledger: Ledger, sender: Sender, clock: Clock) -> None:
        self._ledger = ledger
        self._sender = sender
        self._clock = clock
        self._woken = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    async def run_once(self) -> int:
        """Claims what is due, up to one call's worth, and settles it. Returns how many were claimed."""
        claims, claimed_at = await self._claim()
        if claims:
            await self._sender.deliver(claims, claimed_at=claimed_at)
        return len(claims)

    def wake(self) -> None:
        """Something may be due now: do not wait for the next look."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Delivers until `stop` is set, then settles what is in flight and returns.

        A failing store or an unreachable Dataverse is waited out, never given up on.
        """
        stopped = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                self._woken.clear()
                pause = await self._advance()
                if pause is not None:
                    await self._wait(pause, stopped)
        finally:
            stopped.cancel()
            if self._running:
                await asyncio.wait(self._running)

    async def _claim(self) -> tuple[list[Claim], float]:
        claimed_at = self._clock.monotonic()
        claims = await self._ledger.claim(
            now=self._clock.now(), limit=self._sender.pace.rows, lease=self._sender.lease.holds_for
        )
        return claims, claimed_at

    async def _advance(self) -> timedelta | None:
        """Starts one more call's worth if that is allowed; otherwise says how long to wait."""
        pace, now = self._sender.pace, self._clock.now()
        if pace.paused_until is not None and now < pace.paused_until:
            return pace.paused_until - now
        if len(self._running) >= pace.parallel:
            return LOOK_EVERY
        try:
            claims, claimed_at = await self._claim()
            if not claims:
                return await self._until_next_due()
        except StoreError:
            log.exception("store_failed", doing="claim")
            return LOOK_EVERY
        task = asyncio.create_task(self._deliver(claims, claimed_at))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return None

    async def _until_next_due(self) -> timedelta:
        due_at = await self._ledger.next_due_at()
        if due_at is None:
            return LOOK_EVERY
        return min(max(due_at - self._clock.now(), timedelta(0)), LOOK_EVERY)

    async def _deliver(self, claims: Sequence[Claim], claimed_at: float) -> None:
        try:
            await self._sender.deliver(claims, claimed_at=claimed_at)
        except StoreError:
            log.exception("store_failed", doing="settle")
        except Exception:  # the worker must outlive any single batch; its leases end by themselves
            log.exception("delivery_failed")
        finally:
            self.wake()

    async def _wait(self, pause: timedelta, stopped: asyncio.Task[bool]) -> None:
        """Until woken, stopped, or the time is over. A pause that was ordered is not cut short by waking."""
        woken = asyncio.create_task(self._woken.wait())
        is_paused = self._sender.pace.is_paused(self._clock.now())
        await asyncio.wait(
            {stopped} if is_paused else {stopped, woken},
            timeout=pause.total_seconds(),
            return_when=asyncio.FIRST_COMPLETED,
        )
        woken.cancel()
