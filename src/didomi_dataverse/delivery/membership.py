"""How long this process may go on writing what it has claimed.

Alone with its store, as long as it lives. Among replicas, only while it can tell the others that it is at
work: it beats, and whoever is not heard for `takeover_after` loses its claims to the others (`ledger.watch`).
In the first half of that time a replica that cannot beat stops by itself and gives up its open calls; the
second half is for what Dataverse still carries out for a caller that is gone. So a dead replica's contacts
wait little longer than `takeover_after`, and no two write one at the same time (docs/promises.md 3).
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import structlog

from didomi_dataverse.clock import Clock
from didomi_dataverse.delivery.failure_detector import Observations, find_expired, observe
from didomi_dataverse.errors import StoreError
from didomi_dataverse.ledger.claims import new_holder
from didomi_dataverse.ledger.replicas import Heartbeat, Replicas

BEATS_PER_TAKEOVER = 12

log = structlog.get_logger(__name__)

_T = TypeVar("_T")


class Membership(Protocol):
    """Under which name this process claims, and for how long what it claimed is its own."""

    @property
    def holder(self) -> str:
        """The name to claim under now. A name that lost its claims is never used again."""
        ...

    @property
    def may_begin(self) -> bool:
        """Is there time enough to claim something, or to begin a call?"""
        ...

    @property
    def replicas(self) -> int:
        """How many processes serve from the store, this one included, as far as is known."""
        ...

    def left(self, holder: str) -> timedelta | None:
        """How long a call for claims of this name may still last; None: as long as it takes."""
        ...

    async def begin(self) -> None:
        """To be called before the first claim. Raises StoreError."""
        ...

    async def leave(self) -> None:
        """Ends in good order, once nothing claimed is on its way. Raises StoreError."""
        ...


class SingleProcess:
    """The one process of its store: nobody can take anything over from it, itself after a jump of the clock
    included.
    """

    may_begin = True
    replicas = 1

    def __init__(self, ledger: Replicas, *, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self.holder = new_holder()

    def left(self, holder: str) -> timedelta | None:  # noqa: ARG002 - the protocol's
        return None

    async def begin(self) -> None:
        await self._ledger.heartbeat(self.holder, Heartbeat(1, timedelta()))

    async def leave(self) -> None:
        await self._ledger.leave(self.holder, now=self._clock.now())


class ReplicaMember:
    """One replica of several."""

    def __init__(
        self,
        ledger: Replicas,
        *,
        clock: Clock,
        takeover_after: timedelta,
        new_name: Callable[[], str] = new_holder,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._takeover_after = takeover_after
        self._new_name = new_name
        self._beats = 0
        self._until = clock.monotonic()
        self._watch = Observations()
        self.holder = new_name()

    @property
    def may_begin(self) -> bool:
        return self._remaining() >= self._takeover_after / 4

    @property
    def replicas(self) -> int:
        return 1 + len(self._watch.sightings)

    def left(self, holder: str) -> timedelta | None:
        return self._remaining() if holder == self.holder else timedelta(0)

    def _remaining(self) -> timedelta:
        return timedelta(seconds=max(0.0, self._until - self._clock.monotonic()))

    async def beat_once(self) -> None:
        """Tell the others, and take over from those who fell silent. Raises StoreError."""
        began = self._clock.monotonic()
        # Counted before it is known to be stored: a beat that is tried again must not look like the last one.
        self._beats += 1
        try:
            others = await self._ledger.heartbeat(self.holder, Heartbeat(self._beats, self._takeover_after))
        except StoreError:
            if self._beats == 1:
                self._start_over(began)
            raise
        if others is None:
            # Stalled for so long that the others have our contacts by now. Nothing of ours is good any more.
            log.warning("replica_was_taken_for_gone", replica=self.holder)
            self._start_over(began)
            return
        # Counted from before the beat was stored: nobody can have seen it sooner.
        self._until = began + self._takeover_after.total_seconds() / 2
        now = self._clock.monotonic()
        self._watch = observe(self._watch, others, at=now)
        for replica, last in find_expired(self._watch, at=now, takeover_after=self._takeover_after).items():
            released = await self._ledger.evict(replica, last, now=self._clock.now())
            if released is not None:
                log.warning("replica_taken_over", replica=replica, contacts=released)

    def _start_over(self, now: float) -> None:
        self.holder, self._beats, self._until = self._new_name(), 0, now

    async def begin(self) -> None:
        await self.beat_once()

    async def run(self) -> None:
        """Beats until cancelled. A failing store is waited out: meanwhile the tenure ends by itself."""
        pause = (self._takeover_after / BEATS_PER_TAKEOVER).total_seconds()
        while True:
            try:
                await self.beat_once()
            except StoreError as error:
                log.error("store_failed", doing="beat", cause=str(error))  # noqa: TRY400 - it is all in the cause
            except Exception:  # without beats nothing is delivered any more
                log.exception("beat_failed")
            await asyncio.sleep(pause)

    async def leave(self) -> None:
        self._until = self._clock.monotonic()
        await self._ledger.leave(self.holder, now=self._clock.now())


async def run_while_held(tenure: Membership, holder: str, call: Coroutine[Any, Any, _T]) -> _T | None:
    """What the call returned; None when the tenure of `holder` ended first, and the call was given up."""
    calling = asyncio.ensure_future(call)
    try:
        while True:
            left = tenure.left(holder)
            await asyncio.wait({calling}, timeout=None if left is None else left.total_seconds())
            if calling.done():
                return calling.result()
            # Beats move the end while the call runs.
            if tenure.left(holder) == timedelta(0):
                return None
    finally:
        if not calling.done():
            calling.cancel()
            await asyncio.wait({calling})
