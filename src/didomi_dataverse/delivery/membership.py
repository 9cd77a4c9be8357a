"""How long this process may go on writing what it has claimed.

A process that is alone with its store: as long as it lives. One replica of several: only while it can tell
the others that it is at work. It sends heartbeats, and a replica without them for `takeover_after` loses its
claims to the others (`failure_detector`). In the first half of that time, a replica whose heartbeats fail
stops by itself and aborts its open calls. The second half is for what Dataverse still carries out for a
caller that is gone. So the contacts of a dead replica wait little longer than `takeover_after`, and no two
replicas write one contact at the same time (docs/promises.md 3).
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Final, Protocol, TypeVar

import structlog

from didomi_dataverse.clock import Clock
from didomi_dataverse.delivery.failure_detector import Observations, find_expired, observe
from didomi_dataverse.errors import StoreError
from didomi_dataverse.ledger.claims import new_holder
from didomi_dataverse.ledger.heartbeat import Heartbeat
from didomi_dataverse.ledger.replicas import Replicas

HEARTBEATS_PER_TAKEOVER: Final = 12
"""Heartbeats in the time after which a silent replica is evicted. Too small: one that fails interrupts calls.
Too large: useless writes to the store."""

log = structlog.get_logger(__name__)

_T = TypeVar("_T")


class Membership(Protocol):
    """This process among those that serve from the store: its name, and how long its claims are its own."""

    @property
    def holder(self) -> str:
        """The name to claim under now. A name that lost its claims is never used again."""
        ...

    @property
    def has_time(self) -> bool:
        """Whether there is enough time to claim something, or to begin a call."""
        ...

    @property
    def replicas(self) -> int:
        """How many processes serve from the store, this one included, as far as is known."""
        ...

    def time_left(self, holder: str) -> timedelta | None:
        """How long a call for claims of this name may still last; None for as long as it takes."""
        ...

    async def join(self) -> None:
        """Makes this process known. Call it before the first claim. Raises StoreError."""
        ...

    async def leave(self) -> None:
        """Ends in good order. Call it once nothing claimed is in flight. Raises StoreError."""
        ...


class SingleProcess:
    """The one process of its store. Nothing can take its claims over, not even itself after a jump of the
    clock.
    """

    has_time = True
    replicas = 1

    def __init__(self, replicas: Replicas, *, clock: Clock) -> None:
        self._replicas = replicas
        self._clock = clock
        self.holder = new_holder()

    def time_left(self, holder: str) -> timedelta | None:  # noqa: ARG002 - the protocol's signature
        return None

    async def join(self) -> None:
        await self._replicas.heartbeat(self.holder, Heartbeat(1, timedelta()))

    async def leave(self) -> None:
        await self._replicas.leave(self.holder, now=self._clock.now())


class ReplicaMember:
    """One replica of several."""

    def __init__(
        self,
        replicas: Replicas,
        *,
        clock: Clock,
        takeover_after: timedelta,
        new_name: Callable[[], str] = new_holder,
    ) -> None:
        """`takeover_after` as in `store.takeover_after` of the configuration."""
        self._replicas = replicas
        self._clock = clock
        self._takeover_after = takeover_after
        self._new_name = new_name
        self._beats = 0
        self._held_until = clock.monotonic()
        self._observations: Observations = {}
        self.holder = new_name()

    @property
    def has_time(self) -> bool:
        return self._remaining() >= self._takeover_after / 4

    @property
    def replicas(self) -> int:
        return 1 + len(self._observations)

    def time_left(self, holder: str) -> timedelta | None:
        return self._remaining() if holder == self.holder else timedelta(0)

    def _remaining(self) -> timedelta:
        return timedelta(seconds=max(0.0, self._held_until - self._clock.monotonic()))

    async def beat(self) -> None:
        """Sends one heartbeat, and evicts the replicas that fell silent. Raises StoreError."""
        began = self._clock.monotonic()
        # Counted before it is known to be stored: a heartbeat that is tried again must differ from the last
        # one.
        self._beats += 1
        try:
            others = await self._replicas.heartbeat(self.holder, Heartbeat(self._beats, self._takeover_after))
        except StoreError:
            if self._beats == 1:
                self._rename(began)
            raise
        if others is None:
            # This process stalled for so long that the others have its contacts now. All its claims are void.
            log.warning("membership_lost", replica=self.holder)
            self._rename(began)
            return
        # Counted from before the heartbeat was stored: no other replica can have seen it sooner.
        self._held_until = began + self._takeover_after.total_seconds() / 2
        now = self._clock.monotonic()
        self._observations = observe(self._observations, others, at=now)
        expired = find_expired(self._observations, at=now, takeover_after=self._takeover_after)
        for replica, last in expired.items():
            released = await self._replicas.evict(replica, last, now=self._clock.now())
            if released is not None:
                log.warning("replica_taken_over", replica=replica, contacts=released)

    def _rename(self, now: float) -> None:
        """Goes on under a new name, without claims."""
        self.holder, self._beats, self._held_until = self._new_name(), 0, now

    async def join(self) -> None:
        await self.beat()

    async def run(self) -> None:
        """Sends heartbeats until cancelled. A failing store is waited out: meanwhile the membership ends by
        itself.
        """
        pause = (self._takeover_after / HEARTBEATS_PER_TAKEOVER).total_seconds()
        while True:
            try:
                await self.beat()
            except StoreError as error:
                log.error("store_failed", doing="beat", cause=str(error))  # noqa: TRY400 - it is all in the cause
            except Exception:  # without heartbeats nothing is delivered any more
                log.exception("beat_failed")
            await asyncio.sleep(pause)

    async def leave(self) -> None:
        self._held_until = self._clock.monotonic()
        await self._replicas.leave(self.holder, now=self._clock.now())


async def run_while_held(membership: Membership, holder: str, call: Coroutine[Any, Any, _T]) -> _T | None:
    """What the call returned; None when the claims of `holder` were no longer its own first, and the call was
    aborted.
    """
    task = asyncio.ensure_future(call)
    try:
        while True:
            left = membership.time_left(holder)
            await asyncio.wait({task}, timeout=None if left is None else left.total_seconds())
            if task.done():
                return task.result()
            # Heartbeats move the end while the call runs.
            if membership.time_left(holder) == timedelta(0):
                return None
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
