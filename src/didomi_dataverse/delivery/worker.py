"""Keeps the senders busy: claims due contacts, for as many calls at once as the rate limits allow, until
stopped.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from didomi_dataverse.clock import Clock, SteadyClock
from didomi_dataverse.delivery.rate_limit.state import headroom, wait_before_call
from didomi_dataverse.delivery.sender import Sender
from didomi_dataverse.errors import StoreError
from didomi_dataverse.ledger.claims import DeliveryQueue
from didomi_dataverse.ledger.delivery_state import Claim

POLL_INTERVAL: Final = timedelta(seconds=1)
"""How often to look for due contacts without being woken: another replica may have received something. Too
small: load on the store. Too large: such contacts wait."""

GATHER_TIME: Final = timedelta(milliseconds=50)
"""How long to let due contacts gather after a claim that left none behind. Without it a steady stream would
go out in many calls of a few rows, each of which counts: a server takes 20 calls per second for ever
(dataverse.md 4.1). Too small: more calls. Too large: a withdrawal may wait that long. Where little arrives,
no contact waits."""

ABANDONED_PAUSE: Final = timedelta(seconds=5)
"""How long contacts rest whose outcome could not be stored. Too small: a failing store is asked too often.
Too large: they are delivered late."""

log = structlog.get_logger(__name__)


class DeliveryWorker:
    """Delivers due contacts. One per process; any number of processes, because claims are exclusive."""

    def __init__(self, *, ledger: DeliveryQueue, senders: Sequence[Sender], clock: Clock) -> None:
        """One sender for each application user; contacts go to the one with the most headroom."""
        self._ledger = ledger
        self._senders = senders
        self._clock = clock
        # When a sender may do something is measured; when a contact is due is stored.
        self._steady = SteadyClock(clock)
        self._woken = asyncio.Event()
        self._running: dict[asyncio.Task[None], Sender] = {}
        self._abandoned: list[Claim] = []
        self._has_lost_claim = False
        self._is_gathering = False

    async def run_once(self) -> int:
        """Claims what is due, up to one call's worth, and settles it. Returns how many were claimed."""
        sender = self._pick_sender() or self._senders[0]
        claims, claimed_at, holder = await self._claim(sender)
        if claims:
            await sender.deliver(claims, claimed_at=claimed_at, holder=holder)
        return len(claims)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is claimed: nothing is in flight, and nothing was abandoned."""
        return not self._running and not self._abandoned

    def wake(self) -> None:
        """Something may be due now: do not wait for the next poll."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Delivers until `stop` is set, then settles what is in flight and returns.

        A failing store or an unreachable Dataverse is waited out, for as long as it takes.
        """
        stopped = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                self._woken.clear()
                pause = await self._start_delivery()
                if pause is not None:
                    await self._wait(pause, stopped)
        finally:
            stopped.cancel()
            if self._running:
                await asyncio.wait(self._running)

    def _count_running(self, sender: Sender) -> int:
        return sum(1 for running in self._running.values() if running is sender)

    def _pick_sender(self) -> Sender | None:
        """The sender with the most headroom; None when none has any."""
        now = self._steady.now()
        headrooms = [
            headroom(sender.rate_limit, running=self._count_running(sender), now=now)
            for sender in self._senders
        ]
        most = max(headrooms)
        return self._senders[headrooms.index(most)] if most > 0 else None

    async def _claim(self, sender: Sender) -> tuple[list[Claim], float, str]:
        """Claims for one call, the monotonic time just before they were claimed, and the name they are held
        under.
        """
        claimed_at, holder = self._clock.monotonic(), sender.membership.holder
        claims = await self._ledger.claim(
            now=self._clock.now(), limit=sender.rate_limit.rows, lease=sender.lease, holder=holder
        )
        return claims, claimed_at, holder

    async def _start_delivery(self) -> timedelta | None:
        """Starts the delivery of one more call's worth, if that is allowed. Returns how long to wait before
        the next; None to go on at once.
        """
        self._is_gathering = False
        if not all(sender.membership.has_time for sender in self._senders):
            return POLL_INTERVAL
        if self._has_lost_claim and self._running:
            return POLL_INTERVAL
        try:
            await self._release_abandoned()
            sender = self._pick_sender()
            if sender is None:
                return self._time_to_headroom()
            looked_at, wanted = self._clock.now(), sender.rate_limit.rows
            claims, claimed_at, holder = await self._claim(sender)
            if not claims:
                return await self._time_to_next_due(looked_at)
        except StoreError as error:
            # The claim may have been committed and its answer lost: then it is ours, and we do not know it.
            self._has_lost_claim = True
            log.error("store_failed", doing="claim", cause=str(error))  # noqa: TRY400 - it is all in the cause
            return POLL_INTERVAL
        except Exception:  # the worker must outlive any error of a claim
            self._has_lost_claim = True
            log.exception("claim_failed")
            return POLL_INTERVAL
        task = asyncio.create_task(self._deliver(sender, claims, claimed_at, holder))
        self._running[task] = sender
        task.add_done_callback(self._running.pop)
        self._is_gathering = len(claims) < wanted
        return GATHER_TIME if self._is_gathering else None

    def _time_to_headroom(self) -> timedelta:
        """How long until some sender may begin a call. A call that ends before then wakes the worker."""
        now = self._steady.now()
        waits = [
            wait_before_call(sender.rate_limit, now)
            for sender in self._senders
            if self._count_running(sender) < sender.rate_limit.parallel
        ]
        return max(min(waits, default=POLL_INTERVAL), timedelta())

    async def _time_to_next_due(self, looked_at: datetime) -> timedelta:
        due_at = await self._ledger.next_due_at()
        # A contact that was due at the look, and could not be claimed, is held by another replica at work.
        if due_at is None or due_at <= looked_at:
            return POLL_INTERVAL
        return min(max(due_at - self._clock.now(), timedelta(0)), POLL_INTERVAL)

    async def _release_abandoned(self) -> None:
        """Releases claims whose leases would not end while this process lives. What was sent for them is
        over, and sending it again does no harm.
        """
        if self._has_lost_claim:
            await self._ledger.release_held_by(self._senders[0].membership.holder, now=self._clock.now())
            self._has_lost_claim = False
        if self._abandoned:
            claims = list(self._abandoned)
            await self._ledger.release(claims, now=self._clock.now() + ABANDONED_PAUSE)
            self._abandoned = self._abandoned[len(claims) :]

    async def _deliver(self, sender: Sender, claims: Sequence[Claim], claimed_at: float, holder: str) -> None:
        try:
            await sender.deliver(claims, claimed_at=claimed_at, holder=holder)
        except StoreError as error:
            self._abandon(sender, claims)
            log.error("store_failed", doing="settle", cause=str(error))  # noqa: TRY400 - it is all in the cause
        except Exception:  # the worker must outlive any error of one delivery
            self._abandon(sender, claims)
            log.exception("delivery_failed")
        finally:
            self.wake()

    def _abandon(self, sender: Sender, claims: Sequence[Claim]) -> None:
        self._abandoned += claims
        # The other due contacts would fare the same, and Dataverse would be sent all of them again and again.
        sender.back_off()

    async def _wait(self, pause: timedelta, stopped: asyncio.Task[bool]) -> None:
        """Waits until woken, stopped, or the time is over. Waking does not shorten a pause of all senders,
        nor the time to gather.
        """
        woken = asyncio.create_task(self._woken.wait())
        now = self._steady.now()
        is_paused = all(sender.rate_limit.is_paused(now) for sender in self._senders)
        await asyncio.wait(
            {stopped} if is_paused or self._is_gathering else {stopped, woken},
            timeout=pause.total_seconds(),
            return_when=asyncio.FIRST_COMPLETED,
        )
        woken.cancel()
