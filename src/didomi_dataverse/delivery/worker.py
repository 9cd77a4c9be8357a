"""Keeps the sender busy: claims what is due, as many calls at once as the rate limit allows, until told to
stop.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from didomi_dataverse.clock import Clock, SteadyClock
from didomi_dataverse.delivery.rate_limit.state import headroom, wait_before_call
from didomi_dataverse.delivery.sender import Sender
from didomi_dataverse.errors import StoreError
from didomi_dataverse.ledger.claims import DeliveryQueue
from didomi_dataverse.ledger.delivery_state import Claim

LOOK_EVERY = timedelta(seconds=1)
"""How often to look for due contacts unasked: another replica may have received something."""

GATHER_FOR = timedelta(milliseconds=50)
"""How long to let due contacts gather after a claim that left none behind. Without it a steady stream would
go out in many calls of a few rows, each of which counts: 20 in a second are what a server takes for ever
(dataverse.md 4.1). A withdrawal waits no longer than this, and where little arrives nobody waits.
"""

TRY_ABANDONED_AFTER = timedelta(seconds=5)
"""How long contacts rest of which we cannot say what became of them: the store failed, or we did."""

log = structlog.get_logger(__name__)


class DeliveryWorker:
    """Delivers due contacts. One per process; any number of processes, because claims are exclusive."""

    def __init__(self, *, ledger: DeliveryQueue, senders: Sequence[Sender], clock: Clock) -> None:
        """One sender for each application user; work goes to the one that can take most."""
        self._ledger = ledger
        self._senders = senders
        self._clock = clock
        # What a sender may do when is measured; what a contact is due at is stored.
        self._steady = SteadyClock(clock)
        self._woken = asyncio.Event()
        self._running: dict[asyncio.Task[None], Sender] = {}
        self._abandoned: list[Claim] = []
        self._is_unsure = False
        self._gathers = False

    async def run_once(self) -> int:
        """Claims what is due, up to one call's worth, and settles it. Returns how many were claimed."""
        sender = self._freest() or self._senders[0]
        claims, claimed_at, holder = await self._claim(sender)
        if claims:
            await sender.deliver(claims, claimed_at=claimed_at, holder=holder)
        return len(claims)

    @property
    def holds_nothing(self) -> bool:
        """True when nothing that was claimed is on its way, or was left as it is."""
        return not self._running and not self._abandoned

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
        now = self._steady.now()
        rooms = [
            headroom(sender.rate_limit, running=self._running_for(sender), now=now)
            for sender in self._senders
        ]
        most = max(rooms)
        return self._senders[rooms.index(most)] if most > 0 else None

    async def _claim(self, sender: Sender) -> tuple[list[Claim], float, str]:
        claimed_at, holder = self._clock.monotonic(), sender.tenure.holder
        claims = await self._ledger.claim(
            now=self._clock.now(), limit=sender.rate_limit.rows, lease=sender.lease.holds_for, holder=holder
        )
        return claims, claimed_at, holder

    async def _advance(self) -> timedelta | None:
        """Starts one more call's worth if that is allowed. Says how long to wait before the next."""
        self._gathers = False
        if not all(sender.tenure.may_begin for sender in self._senders):
            return LOOK_EVERY
        if self._is_unsure and self._running:
            return LOOK_EVERY
        try:
            await self._give_back_abandoned()
            sender = self._freest()
            if sender is None:
                return self._until_free()
            looked_at, wanted = self._clock.now(), sender.rate_limit.rows
            claims, claimed_at, holder = await self._claim(sender)
            if not claims:
                return await self._until_next_due(looked_at)
        except StoreError as error:
            # The claim may have been committed and its answer lost: then nobody knows that it is ours.
            self._is_unsure = True
            log.error("store_failed", doing="claim", cause=str(error))  # noqa: TRY400 - it is all in the cause
            return LOOK_EVERY
        except Exception:  # the worker must outlive whatever a claim runs into
            self._is_unsure = True
            log.exception("claim_failed")
            return LOOK_EVERY
        task = asyncio.create_task(self._deliver(sender, claims, claimed_at, holder))
        self._running[task] = sender
        task.add_done_callback(self._running.pop)
        self._gathers = len(claims) < wanted
        return GATHER_FOR if self._gathers else None

    def _until_free(self) -> timedelta:
        """How long until some sender may begin a call; a call that ends before then wakes us."""
        now = self._steady.now()
        pauses = [
            wait_before_call(sender.rate_limit, now)
            for sender in self._senders
            if self._running_for(sender) < sender.rate_limit.parallel
        ]
        return max(min(pauses, default=LOOK_EVERY), timedelta())

    async def _until_next_due(self, looked_at: datetime) -> timedelta:
        due_at = await self._ledger.next_due_at()
        # What was due when we looked, and was not ours to claim, is held by somebody who is at work.
        if due_at is None or due_at <= looked_at:
            return LOOK_EVERY
        return min(max(due_at - self._clock.now(), timedelta(0)), LOOK_EVERY)

    async def _give_back_abandoned(self) -> None:
        """Their leases do not end while we live. What was sent for them is over; sending again is safe."""
        if self._is_unsure:
            await self._ledger.release_held_by(self._senders[0].tenure.holder, now=self._clock.now())
            self._is_unsure = False
        if self._abandoned:
            claims = list(self._abandoned)
            await self._ledger.release(claims, now=self._clock.now() + TRY_ABANDONED_AFTER)
            self._abandoned = self._abandoned[len(claims) :]

    async def _deliver(self, sender: Sender, claims: Sequence[Claim], claimed_at: float, holder: str) -> None:
        try:
            await sender.deliver(claims, claimed_at=claimed_at, holder=holder)
        except StoreError as error:
            self._abandon(sender, claims)
            log.error("store_failed", doing="settle", cause=str(error))  # noqa: TRY400 - it is all in the cause
        except Exception:  # the worker must outlive any single batch
            self._abandon(sender, claims)
            log.exception("delivery_failed")
        finally:
            self.wake()

    def _abandon(self, sender: Sender, claims: Sequence[Claim]) -> None:
        self._abandoned += claims
        # All that is due would fare the same, and Dataverse would be asked all of it again and again.
        sender.back_off()

    async def _wait(self, pause: timedelta, stopped: asyncio.Task[bool]) -> None:
        """Until woken, stopped, or the time is over. A pause that was ordered is not cut short by waking, nor
        is the gathering of what wakes us.
        """
        woken = asyncio.create_task(self._woken.wait())
        now = self._steady.now()
        is_paused = all(sender.rate_limit.is_paused(now) for sender in self._senders)
        await asyncio.wait(
            {stopped} if is_paused or self._gathers else {stopped, woken},
            timeout=pause.total_seconds(),
            return_when=asyncio.FIRST_COMPLETED,
        )
        woken.cancel()
