"""Keeps the sender busy: claims what is due, as many calls at once as the pace allows, until told to stop."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog

from didomi_dataverse.clock import Clock
from didomi_dataverse.delivery.pace import headroom, wait_before_call
from didomi_dataverse.delivery.sender import Sender
from didomi_dataverse.errors import StoreError
from didomi_dataverse.ledger.contact import Claim
from didomi_dataverse.ledger.ledger import Ledger

LOOK_EVERY = timedelta(seconds=1)
"""How often to look for due contacts unasked: another replica may have received something."""

log = structlog.get_logger(__name__)


class DeliveryWorker:
    """Delivers due contacts. One per process; any number of processes, because claims are exclusive."""

    def __init__(self, *, ledger: Ledger, senders: Sequence[Sender], clock: Clock) -> None:
        """One sender for each application user; work goes to the one that can take most."""
        self._ledger = ledger
        self._senders = senders
        self._clock = clock
        self._woken = asyncio.Event()
        self._running: dict[asyncio.Task[None], Sender] = {}

    async def run_once(self) -> int:
        """Claims what is due, up to one call's worth, and settles it. Returns how many were claimed."""
        sender = self._freest() or self._senders[0]
        claims, claimed_at = await self._claim(sender)
        if claims:
            await sender.deliver(claims, claimed_at=claimed_at)
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

    def _running_for(self, sender: Sender) -> int:
        return sum(1 for one in self._running.values() if one is sender)

    def _freest(self) -> Sender | None:
        """The sender with the most headroom; None when none has any."""
        now = self._clock.now()
        rooms = [
            headroom(sender.pace, running=self._running_for(sender), now=now) for sender in self._senders
        ]
        most = max(rooms)
        return self._senders[rooms.index(most)] if most > 0 else None

    async def _claim(self, sender: Sender) -> tuple[list[Claim], float]:
        claimed_at = self._clock.monotonic()
        claims = await self._ledger.claim(
            now=self._clock.now(), limit=sender.pace.rows, lease=sender.lease.holds_for
        )
        return claims, claimed_at

    async def _advance(self) -> timedelta | None:
        """Starts one more call's worth if that is allowed; otherwise says how long to wait."""
        sender = self._freest()
        if sender is None:
            return self._until_free()
        try:
            claims, claimed_at = await self._claim(sender)
            if not claims:
                return await self._until_next_due()
        except StoreError:
            log.exception("store_failed", doing="claim")
            return LOOK_EVERY
        task = asyncio.create_task(self._deliver(sender, claims, claimed_at))
        self._running[task] = sender
        task.add_done_callback(self._running.pop)
        return None

    def _until_free(self) -> timedelta:
        """How long until some sender may begin a call; a call that ends before then wakes us."""
        now = self._clock.now()
        pauses = [
            wait_before_call(sender.pace, now)
            for sender in self._senders
            if self._running_for(sender) < sender.pace.parallel
        ]
        return max(min(pauses, default=LOOK_EVERY), timedelta())

    async def _until_next_due(self) -> timedelta:
        due_at = await self._ledger.next_due_at()
        if due_at is None:
            return LOOK_EVERY
        return min(max(due_at - self._clock.now(), timedelta(0)), LOOK_EVERY)

    async def _deliver(self, sender: Sender, claims: Sequence[Claim], claimed_at: float) -> None:
        try:
            await sender.deliver(claims, claimed_at=claimed_at)
        except StoreError:
            log.exception("store_failed", doing="settle")
        except Exception:  # the worker must outlive any single batch; its leases end by themselves
            log.exception("delivery_failed")
        finally:
            self.wake()

    async def _wait(self, pause: timedelta, stopped: asyncio.Task[bool]) -> None:
        """Until woken, stopped, or the time is over. A pause that was ordered is not cut short by waking."""
        woken = asyncio.create_task(self._woken.wait())
        now = self._clock.now()
        is_paused = all(sender.pace.is_paused(now) for sender in self._senders)
        await asyncio.wait(
            {stopped} if is_paused else {stopped, woken},
            timeout=pause.total_seconds(),
            return_when=asyncio.FIRST_COMPLETED,
        )
        woken.cancel()
