"""How the worker makes calls of what arrives: few for a steady stream, and at once for who is alone."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

from didomi_dataverse.delivery.rate_limit.state import RateLimitState
from didomi_dataverse.delivery.sender import Sender
from didomi_dataverse.delivery.worker import GATHER_TIME, DeliveryWorker
from didomi_dataverse.ledger.claims import DeliveryQueue
from tests.service.limited_dataverse import FakeMembership
from tests.virtual_time import LoopClock, run

GATHERED_S = GATHER_TIME.total_seconds()
CALL_S = 0.1
ROWS = 50


def now_s() -> float:
    return LoopClock().monotonic()


@dataclass(slots=True)
class Arrivals:
    """A ledger of nothing but the times at which contacts became due."""

    due: list[float] = field(default_factory=list)

    async def claim(self, *, limit: int, **_: object) -> list[float]:
        claimed, self.due = self.due[:limit], self.due[limit:]
        return claimed

    async def next_due_at(self) -> datetime | None:
        return LoopClock().now() if self.due else None


@dataclass(slots=True)
class Calls:
    """A sender whose calls take their time: when each began, and how long its contacts had waited."""

    rate_limit: RateLimitState = field(
        default_factory=lambda: RateLimitState.initial(max_parallel=8, max_rows=ROWS)
    )
    membership: FakeMembership = field(default_factory=FakeMembership)
    lease: timedelta = timedelta(minutes=5)
    began: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)

    async def deliver(self, claims: Sequence[float], **_: object) -> None:
        self.began.append(now_s())
        self.waited += [now_s() - due_at for due_at in claims]
        await asyncio.sleep(CALL_S)


def delivered(arriving_s: Sequence[float]) -> Calls:
    """What became of contacts that become due at these times, each of which wakes the worker."""
    arrivals, calls = Arrivals(), Calls()
    worker = DeliveryWorker(
        ledger=cast("DeliveryQueue", arrivals), senders=[cast("Sender", calls)], clock=LoopClock()
    )

    async def story() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(worker.run(stop))
        for at in arriving_s:
            if at > now_s():
                await asyncio.sleep(at - now_s())
            arrivals.due.append(now_s())
            worker.wake()
        asyncio.get_running_loop().call_later(2 * CALL_S, stop.set)
        await running

    run(story())
    assert len(calls.waited) == len(arriving_s)
    return calls


def test_a_steady_stream_goes_out_in_few_calls() -> None:
    calls = delivered([number / 400 for number in range(800)])

    assert len(calls.began) <= 2 / GATHERED_S + 1
    assert max(calls.waited) <= 1.01 * GATHERED_S


def test_a_contact_that_comes_alone_does_not_wait() -> None:
    calls = delivered([1, 2, 3])

    assert calls.began == [1, 2, 3]


def test_a_call_that_is_full_is_followed_at_once() -> None:
    calls = delivered([1.0] * (3 * ROWS))

    assert calls.began == [1.0] * 3
