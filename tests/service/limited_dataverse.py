"""Delivery against Dataverse's limits in virtual time.

The worker, the turnstile and the carriers are the real ones, and so are the sandbox's counters. Only what
would make time pass by itself is left out: HTTP and the store.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

from dataverse_sandbox import Limits, ODataError, Usage
from didomi_dataverse.dataverse.bulk import BulkMessage
from didomi_dataverse.dataverse.client import DataverseClient
from didomi_dataverse.dataverse.dispatch.base import BatchDispatcher, SingleDispatcher
from didomi_dataverse.dataverse.dispatch.bulk import BulkDispatcher
from didomi_dataverse.dataverse.replies import Answered, CallKind, Exchange, NotAttempted
from didomi_dataverse.dataverse.requests import AlternateKey, Condition, Request, Resolve, Write
from didomi_dataverse.delivery.rate_limit.limiter import RateLimiter
from didomi_dataverse.delivery.rate_limit.state import RateLimitState
from didomi_dataverse.delivery.sender import Lease, Sender
from didomi_dataverse.delivery.worker import DeliveryWorker
from didomi_dataverse.ledger.claims import DeliveryQueue
from tests.virtual_time import LoopClock

ANY_ROW = AlternateKey("new_didomikey", "1")
STORE_S = 0.005
CARRIERS: Mapping[str, type[BatchDispatcher | BulkDispatcher | SingleDispatcher]] = {
    "batch": BatchDispatcher,
    "multiple": BulkDispatcher,
    "single": SingleDispatcher,
}


@dataclass(frozen=True, slots=True)
class Call:
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
    calls: list[Call] = field(default_factory=list)
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
            self.calls.append(Call(now, is_refused=True))
            wait = timedelta(seconds=int(dict(refused.headers)["Retry-After"]))
            return Answered(
                status=429, code=refused.code, message=refused.message, retry_after=wait, whole_call=True
            )
        finally:
            self.usage.running -= 1
        self.calls.append(Call(now, is_refused=False, seconds=cost, away_seconds=travel + cost))
        return Answered(status=204)

    def _admit(self, now: float) -> None:
        if self.closed_at <= now < self.closed_until:
            raise ODataError(429, "0x80072322", "", (("Retry-After", str(self.retry_after)),))
        self.usage.admit(self.limits, now)

    def between(self, start: float, end: float) -> list[Call]:
        """The calls of a time."""
        return [call for call in self.calls if start <= call.at < end]


@dataclass(slots=True)
class Client:
    """What the carriers ask of a `DataverseClient`."""

    dataverse: LimitedDataverse

    async def send(self, requests: Sequence[Request]) -> Exchange:
        """A `$batch`: reads cost no rows."""
        writes = sum(isinstance(request, Write) for request in requests)
        return await self._exchange(requests, "batch", writes, CallKind.BATCH)

    async def send_one(self, request: Request) -> Exchange:
        return await self._exchange((request,), "single", 1, CallKind.SINGLE)

    async def send_bulk(self, message: BulkMessage, writes: Sequence[Write], _body: bytes) -> Exchange:
        return await self._exchange(writes, "multiple", len(writes), CallKind(message.value))

    async def ask_for(self, _message: BulkMessage) -> tuple[bool | None, Exchange]:
        exchange = await self._exchange((Resolve(ANY_ROW),), "single", 0, CallKind.METADATA)
        (reply,) = exchange.replies
        return (True if isinstance(reply, Answered) and reply.status < 300 else None), exchange

    async def _exchange(self, requests: Sequence[Request], mode: str, rows: int, kind: CallKind) -> Exchange:
        loop = asyncio.get_running_loop()
        began = loop.time()
        answer = await self.dataverse.answer(mode, rows)
        replies = [answer if answer.whole_call else reply_to(request) for request in requests]
        return Exchange(
            replies=tuple(replies),
            duration=timedelta(seconds=loop.time() - began),
            parallel_hint=self.dataverse.limits.dop_hint,
            kind=kind,
        )


def reply_to(request: Request) -> Answered:
    """That of a part of a call that was carried out."""
    if isinstance(request, Resolve):
        return Answered(status=200, row_ids=(f"00000000-0000-4000-8000-{request.key.value:0>12}",))
    return Answered(status=204)


@dataclass(slots=True)
class EndlessLedger:
    """Something is always due."""

    async def claim(self, *, now: datetime, limit: int, lease: timedelta, holder: str) -> list[Write]:
        assert (now, holder) == (LoopClock().now(), Tenure().holder)
        assert lease > timedelta()
        await asyncio.sleep(STORE_S)
        return [
            Write(AlternateKey("new_didomikey", str(number)), Condition.UPDATE_ONLY, {"donotemail": True})
            for number in range(limit)
        ]

    async def next_due_at(self) -> datetime | None:
        return LoopClock().now()


@dataclass(frozen=True, slots=True)
class Tenure:
    """Nobody else serves."""

    holder: str = "one"
    may_begin: bool = True


@dataclass(slots=True)
class Replica:
    """One process with one application user. `turnstile` has its pace."""

    dataverse: LimitedDataverse
    mode: str
    max_parallel: int = 4
    max_rows: int = 10
    turnstile: RateLimiter = field(init=False)
    written: int = 0
    not_attempted: int = 0
    longest_held: float = 0.0
    tenure: Tenure = field(default_factory=Tenure)
    lease: Lease = field(
        default_factory=lambda: Lease(holds_for=timedelta(minutes=5), longest_call=timedelta(minutes=2))
    )

    def __post_init__(self) -> None:
        self.turnstile = RateLimiter(
            user="1",
            pace=RateLimitState.at_start(max_parallel=self.max_parallel, max_rows=self.max_rows),
            clock=LoopClock(),
            dice=self.dataverse.dice.random,
            listener=self,
        )
        self._carrier = CARRIERS[self.mode](cast("DataverseClient", Client(self.dataverse)))

    _carrier: BatchDispatcher | BulkDispatcher | SingleDispatcher = field(init=False)

    @property
    def pace(self) -> RateLimitState:
        return self.turnstile.pace

    def exchanged(self, requests: Sequence[Request], exchange: Exchange) -> None:
        """Counted at the other end."""

    def paced(self, user: str, pace: RateLimitState) -> None:
        """Read when it is asked for."""

    async def begin(self) -> bool:
        return await self.turnstile.begin(lambda: True)

    def end(self, requests: Sequence[Request], exchange: Exchange) -> None:
        self.turnstile.end(requests, exchange)

    async def deliver(self, claims: Sequence[Write], *, claimed_at: float, holder: str) -> None:
        """As `Sender.deliver`."""
        assert claimed_at >= 0
        assert holder == self.tenure.holder
        replies = await self._carrier.send(claims, self)
        await asyncio.sleep(STORE_S)
        if self.pace.calls.holds is not None:
            self.longest_held = max(self.longest_held, LoopClock().monotonic() - claimed_at)
        self.written += sum(reply == Answered(status=204) for reply in replies)
        self.not_attempted += sum(isinstance(reply, NotAttempted) for reply in replies)

    async def run(self, seconds: float) -> None:
        """Delivers for so long."""
        worker = DeliveryWorker(
            ledger=cast("DeliveryQueue", EndlessLedger()), senders=[cast("Sender", self)], clock=LoopClock()
        )
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, stop.set)
        await worker.run(stop)
