"""Delivery against Dataverse's limits in virtual time.

The worker, the connection, the rate limiter and the dispatchers are the real ones, and so are the sandbox's
counters. Only HTTP and the store are left out, because time passes in them by itself.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

from dataverse_sandbox import Limits, ODataError, Usage
from didomi_dataverse.dataverse.calls import AvailabilityCall, BatchCall, BulkCall, Call, Exchange, SingleCall
from didomi_dataverse.dataverse.client import DataverseClient
from didomi_dataverse.dataverse.dispatch.base import NOT_ATTEMPTED
from didomi_dataverse.dataverse.dispatch.batch import BatchDispatcher
from didomi_dataverse.dataverse.dispatch.bulk import BulkDispatcher
from didomi_dataverse.dataverse.dispatch.single import SingleDispatcher
from didomi_dataverse.dataverse.errors.classify import classify
from didomi_dataverse.dataverse.replies import Answered
from didomi_dataverse.dataverse.requests import AlternateKey, Condition, Request, Resolve, Write, condition_of
from didomi_dataverse.delivery.connection import Connection
from didomi_dataverse.delivery.rate_limit.limiter import RateLimiter
from didomi_dataverse.delivery.rate_limit.state import RateLimitState
from didomi_dataverse.delivery.sender import Sender
from didomi_dataverse.delivery.worker import DeliveryWorker
from didomi_dataverse.ledger.claims import DeliveryQueue
from tests.virtual_time import LoopClock

STORE_S = 0.005
DISPATCHERS: Mapping[str, type[BatchDispatcher | BulkDispatcher | SingleDispatcher]] = {
    "batch": BatchDispatcher,
    "multiple": BulkDispatcher,
    "single": SingleDispatcher,
}


@dataclass(frozen=True, slots=True)
class CountedCall:
    """One call as Dataverse saw it: when it came, whether it was refused, what run time it was charged, and
    for how long it was on its way and at work.
    """

    at: float
    is_refused: bool
    seconds: float = 0.0
    away_seconds: float = 0.0


@dataclass(slots=True)
class LimitedDataverse:
    """One user at one server. From `closed_at` to `closed_until` it refuses everything."""

    limits: Limits
    usage: Usage = field(default_factory=Usage)
    calls: list[CountedCall] = field(default_factory=list)
    closed_at: float = 0.0
    closed_until: float = 0.0
    retry_after: int = 30
    dice: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 - no secret

    async def answer(self, mode: str, rows: int) -> Answered:
        """To the call as a whole; 204 when it was carried out."""
        # On its way, longer now and then: what one end measures is not what the other one counts.
        travel = self.dice.uniform(0.01, 0.05)
        await asyncio.sleep(travel)
        now = asyncio.get_running_loop().time()
        self.usage.running += 1
        try:
            self._admit(now)
            cost = self.limits.cost_seconds(mode, rows) * self.dice.uniform(0.7, 1.3)
            await asyncio.sleep(cost)
            self.usage.charge(cost, now + cost)
        except ODataError as refused:
            self.calls.append(CountedCall(now, is_refused=True))
            wait = timedelta(seconds=int(dict(refused.headers)["Retry-After"]))
            return Answered(
                status=429, code=refused.code, message=refused.message, retry_after=wait, whole_call=True
            )
        finally:
            self.usage.running -= 1
        self.calls.append(CountedCall(now, is_refused=False, seconds=cost, away_seconds=travel + cost))
        return Answered(status=204)

    def _admit(self, now: float) -> None:
        if self.closed_at <= now < self.closed_until:
            raise ODataError(429, "0x80072322", "", (("Retry-After", str(self.retry_after)),))
        self.usage.admit(self.limits, now)

    def between(self, start: float, end: float) -> list[CountedCall]:
        """The calls of a time."""
        return [call for call in self.calls if start <= call.at < end]


@dataclass(slots=True)
class LimitedClient:
    """What a connection asks of a `DataverseClient`."""

    dataverse: LimitedDataverse

    async def send(self, call: Call) -> Exchange:
        """A call with its replies. In a `$batch`, reads cost no rows."""
        match call:
            case BatchCall(requests):
                writes = sum(isinstance(request, Write) for request in requests)
                return await self._exchange(call, "batch", writes)
            case SingleCall():
                return await self._exchange(call, "single", 1)
            case BulkCall():
                return await self._exchange(call, "multiple", len(call.writes))
            case AvailabilityCall():
                return await self._exchange(call, "single", 0)

    async def _exchange(self, call: Call, mode: str, rows: int) -> Exchange:
        loop = asyncio.get_running_loop()
        began = loop.time()
        answer = await self.dataverse.answer(mode, rows)
        is_question = isinstance(call, AvailabilityCall)
        replies = [
            classify(answer if answer.whole_call else answer_to(request), condition_of(request))
            for request in call.requests
        ]
        return Exchange(
            call=call,
            replies=tuple(replies) or (classify(answer),),
            duration=timedelta(seconds=loop.time() - began),
            parallel_hint=self.dataverse.limits.dop_hint,
            is_available=True if is_question and answer.status < 300 else None,
        )


def answer_to(request: Request) -> Answered:
    """That of a part of a call that was carried out."""
    if isinstance(request, Resolve):
        return Answered(status=200, row_ids=(f"00000000-0000-4000-8000-{request.key.value:0>12}",))
    return Answered(status=204)


@dataclass(slots=True)
class EndlessLedger:
    """Something is always due."""

    async def claim(self, *, now: datetime, limit: int, lease: timedelta, holder: str) -> list[Write]:
        assert (now, holder) == (LoopClock().now(), FakeMembership().holder)
        assert lease > timedelta()
        await asyncio.sleep(STORE_S)
        return [
            Write(AlternateKey("new_didomikey", str(number)), Condition.UPDATE_ONLY, {"donotemail": True})
            for number in range(limit)
        ]

    async def next_due_at(self) -> datetime | None:
        return LoopClock().now()


@dataclass(frozen=True, slots=True)
class FakeMembership:
    """Of the only process."""

    holder: str = "one"
    has_time: bool = True


@dataclass(slots=True)
class Replica:
    """One process with one application user, in place of a `Sender`."""

    dataverse: LimitedDataverse
    mode: str
    max_parallel: int = 4
    max_rows: int = 10
    written: int = 0
    not_attempted: int = 0
    longest_held: float = 0.0
    membership: FakeMembership = field(default_factory=FakeMembership)
    lease: timedelta = timedelta(minutes=5)
    _connection: Connection = field(init=False)

    def __post_init__(self) -> None:
        rate_limiter = RateLimiter(
            user="1",
            state=RateLimitState.initial(max_parallel=self.max_parallel, max_rows=self.max_rows),
            clock=LoopClock(),
            draw_jitter=self.dataverse.dice.random,
            listener=self,
        )
        client = cast("DataverseClient", LimitedClient(self.dataverse))
        self._connection = Connection(client, DISPATCHERS[self.mode](), rate_limiter)

    @property
    def rate_limit(self) -> RateLimitState:
        return self._connection.rate_limiter.state

    def on_call(self, exchange: Exchange) -> None:
        """Counted at the other end."""

    def on_rate_limit_change(self, user: str, state: RateLimitState) -> None:
        """Read when it is asked for."""

    async def deliver(self, claims: Sequence[Write], *, claimed_at: float, holder: str) -> None:
        """As `Sender.deliver`."""
        assert claimed_at >= 0
        assert holder == self.membership.holder
        replies = await self._connection.send(claims, has_time=lambda: True)
        await asyncio.sleep(STORE_S)
        if self.rate_limit.calls.capacity is not None:
            self.longest_held = max(self.longest_held, LoopClock().monotonic() - claimed_at)
        self.written += sum(reply.answer == Answered(status=204) for reply in replies)
        self.not_attempted += sum(reply == NOT_ATTEMPTED for reply in replies)

    async def run(self, seconds: float) -> None:
        """Delivers for so long."""
        worker = DeliveryWorker(
            ledger=cast("DeliveryQueue", EndlessLedger()), senders=[cast("Sender", self)], clock=LoopClock()
        )
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, stop.set)
        await worker.run(stop)
