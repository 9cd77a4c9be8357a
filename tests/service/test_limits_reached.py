"""What the sender reaches of what Dataverse's limits allow, in every mode and for every limit.

The goal: in steady state at least nine tenths of it, with at most one call in a hundred refused.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from dataverse_sandbox import Limits
from tests.service.limited_dataverse import CountedCall, LimitedDataverse, Replica
from tests.virtual_time import run

WINDOW_S = 300
GOAL = 0.9
REFUSED = 0.01
UNLIMITED = Limits(
    enforce=True,
    requests=10**9,
    execution_seconds=1e9,
    concurrent=10**9,
    window_seconds=WINDOW_S,
    call_ms=200,
    row_ms={"batch": 12, "multiple": 6, "single": 30},
    dop_hint=52,
)
LIMITS = {
    "requests": replace(UNLIMITED, requests=400),
    "time": replace(UNLIMITED, execution_seconds=150),
    "concurrency": replace(UNLIMITED, concurrent=3, call_ms=2_000),
}
MODES = ["batch", "multiple", "single"]


def calls_of(seconds: Sequence[CountedCall]) -> int:
    return sum(not call.is_refused for call in seconds)


def share(dataverse: LimitedDataverse, start: float, end: float) -> float:
    """Of what is allowed from `start` to `end`, as far as a limit is set."""
    limits, calls = dataverse.limits, dataverse.between(start, end)
    windows = (end - start) / limits.window_seconds
    return max(
        calls_of(calls) / (limits.requests * windows),
        sum(call.seconds for call in calls) / (limits.execution_seconds * windows),
        # A call takes its place from when it is sent: when it arrives is not ours to tell.
        sum(call.away_seconds for call in calls) / (limits.concurrent * (end - start)),
    )


def refused(dataverse: LimitedDataverse, start: float, end: float) -> float:
    """The part of the calls that was refused."""
    calls = dataverse.between(start, end)
    return sum(call.is_refused for call in calls) / len(calls)


def most_within(calls: Sequence[CountedCall], seconds: float) -> int:
    """The most calls that came within so short a time."""
    return max(sum(first.at <= call.at < first.at + seconds for call in calls) for first in calls)


@pytest.mark.parametrize("kind", LIMITS)
@pytest.mark.parametrize("mode", MODES)
def test_the_sender_reaches_what_the_limits_allow(mode: str, kind: str) -> None:
    dataverse = LimitedDataverse(LIMITS[kind])
    replica = Replica(dataverse, mode, max_parallel=8)

    run(replica.run(6 * WINDOW_S))

    assert any(call.is_refused for call in dataverse.calls)
    assert share(dataverse, 2 * WINDOW_S, 6 * WINDOW_S) >= GOAL
    assert refused(dataverse, 2 * WINDOW_S, 6 * WINDOW_S) <= REFUSED
    # None are claimed for nothing but those that were in hand when a throttle came.
    throttles = sum(call.is_refused for call in dataverse.calls)
    assert replica.not_attempted <= throttles * replica.max_parallel * replica.max_rows


@pytest.mark.parametrize("kind", LIMITS)
@pytest.mark.parametrize("mode", MODES)
def test_the_window_may_be_any_that_the_server_states(mode: str, kind: str) -> None:
    """Ten seconds here; whole seconds of `Retry-After` weigh more then."""
    limits = LIMITS[kind]
    quick = {name: milliseconds / 6 for name, milliseconds in limits.row_ms.items()}
    short = {"requests": 100, "time": 5}
    dataverse = LimitedDataverse(
        replace(
            limits,
            window_seconds=10,
            requests=short["requests"] if kind == "requests" else limits.requests,
            execution_seconds=short["time"] if kind == "time" else limits.execution_seconds,
            call_ms=limits.call_ms / 6,
            row_ms=quick,
        )
    )

    run(Replica(dataverse, mode, max_parallel=8).run(100))

    assert share(dataverse, 20, 100) >= GOAL
    assert refused(dataverse, 20, 100) <= REFUSED


@pytest.mark.parametrize("mode", MODES)
def test_contacts_are_not_held_for_long_while_others_become_more_urgent(mode: str) -> None:
    """A withdrawal goes with the next claim, so it waits for those that were claimed before it."""
    replica = Replica(LimitedDataverse(replace(UNLIMITED, requests=900)), mode, max_parallel=8)

    run(replica.run(1.5 * WINDOW_S))

    assert replica.longest_held <= 5


@pytest.mark.parametrize("kind", ["requests", "time"])
def test_a_service_that_starts_into_a_full_window_loses_only_that_window(kind: str) -> None:
    """It cannot know what the process before it used, and must not take the little that is left for all."""
    dataverse = LimitedDataverse(LIMITS[kind])

    async def story() -> None:
        await Replica(dataverse, "batch").run(2 * WINDOW_S)
        await Replica(dataverse, "batch").run(3 * WINDOW_S)

    run(story())

    assert share(dataverse, 3 * WINDOW_S, 5 * WINDOW_S) >= GOAL
    assert refused(dataverse, 2 * WINDOW_S, 5 * WINDOW_S) <= REFUSED


@pytest.mark.parametrize("kind", ["requests", "time"])
@pytest.mark.parametrize("retry_after", [30, 300])
def test_after_five_minutes_of_throttle_it_is_back_at_once_and_evenly(kind: str, retry_after: int) -> None:
    """Whether that is said once or many times over: one call asks again each time, and no storm follows."""
    closed_at, closed_until = 3 * WINDOW_S, 4 * WINDOW_S
    dataverse = LimitedDataverse(
        LIMITS[kind], closed_at=closed_at, closed_until=closed_until, retry_after=retry_after
    )
    before = Replica(dataverse, "batch")

    run(before.run(5.2 * WINDOW_S))

    meanwhile = dataverse.between(closed_at, closed_until)
    assert all(call.is_refused for call in meanwhile)
    assert len(meanwhile) <= before.max_parallel + 300 / retry_after
    after = dataverse.between(closed_until, 5.2 * WINDOW_S)
    # Jitter is at most a second for each pause.
    assert after[0].at <= closed_until + min(retry_after, 30)
    assert share(dataverse, after[0].at, after[0].at + WINDOW_S) >= GOAL
    steady = most_within(dataverse.between(2 * WINDOW_S, closed_at), 10)
    assert most_within(after[:100], 10) <= 1.2 * steady


@pytest.mark.parametrize("kind", ["requests", "time"])
def test_replicas_share_what_one_user_may_use(kind: str) -> None:
    """They learn it from the throttles, without telling each other."""
    dataverse = LimitedDataverse(LIMITS[kind])
    replicas = [Replica(dataverse, "batch") for _ in range(2)]

    async def story() -> None:
        await asyncio.gather(*(replica.run(6 * WINDOW_S) for replica in replicas))

    run(story())

    assert share(dataverse, 2 * WINDOW_S, 6 * WINDOW_S) >= GOAL
    assert refused(dataverse, 2 * WINDOW_S, 6 * WINDOW_S) <= REFUSED
    written = [replica.written for replica in replicas]
    assert min(written) >= 0.25 * sum(written)
