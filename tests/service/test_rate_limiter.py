"""Permits for calls: which wait, which are refused, and what the end of a call teaches."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from didomi_dataverse.dataverse.bulk_body import BulkMessage
from didomi_dataverse.dataverse.calls import AvailabilityCall, BatchCall, Exchange
from didomi_dataverse.dataverse.errors.classify import classify
from didomi_dataverse.dataverse.errors.throttle import AdvertisedLimit, LimitKind
from didomi_dataverse.dataverse.replies import Answer, Answered, Unknown, UnknownCause
from didomi_dataverse.dataverse.requests import Condition, RowId, Write
from didomi_dataverse.delivery.rate_limit.limiter import LONGEST_WAIT, RateLimiter
from didomi_dataverse.delivery.rate_limit.state import (
    RateLimitState,
    apply_throttle,
    wait_before_call,
)
from tests.clocks import FrozenClock

WRITE = Write(RowId("00000000-0000-4000-8000-00000000000a"), Condition.UPDATE_ONLY, {"donotemail": True})


@dataclass(slots=True)
class Stage:
    """A rate limiter whose time passes only while a call waits."""

    clock: FrozenClock = field(default_factory=FrozenClock)
    slept: list[float] = field(default_factory=list)
    states: list[RateLimitState] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        # Other calls that come at this moment come before it is over.
        await asyncio.sleep(0)
        self.slept.append(seconds)
        self.clock.advance(timedelta(seconds=seconds))

    def on_call(self, exchange: Exchange) -> None:
        """Counted elsewhere."""

    def on_rate_limit_change(self, user: str, state: RateLimitState) -> None:
        assert user == "1"
        self.states.append(state)

    def limiter(self, state: RateLimitState) -> RateLimiter:
        return RateLimiter(
            user="1",
            state=state,
            clock=self.clock,
            draw_jitter=lambda: 0.0,
            listener=self,
            sleep=self.sleep,
        )


def known(stage: Stage, *, calls: int) -> RateLimitState:
    """A state that knows how many calls a window of 300 s admits, after its pause."""
    state = apply_throttle(
        RateLimitState.initial(max_parallel=4, max_rows=50),
        retry_after=None,
        now=stage.clock.now(),
        jitter=0.0,
        limit=LimitKind.REQUESTS,
        advertised=AdvertisedLimit(calls, timedelta(seconds=300)),
    )
    stage.clock.advance(timedelta(seconds=310))
    return state


def exchange(*answers: Answer, seconds: float = 0.1) -> Exchange:
    """A `$batch` of writes with these answers."""
    return Exchange(
        call=BatchCall((WRITE,) * len(answers)),
        replies=tuple(map(classify, answers)),
        duration=timedelta(seconds=seconds),
    )


async def test_before_a_limit_is_met_every_call_begins_at_once() -> None:
    stage = Stage()
    limiter = stage.limiter(RateLimitState.initial(max_parallel=4, max_rows=50))
    assert [await limiter.acquire(lambda: True) for _ in range(100)] == [True] * 100
    assert stage.slept == []


async def test_calls_go_out_evenly_once_the_limit_is_known() -> None:
    stage = Stage()
    limiter = stage.limiter(known(stage, calls=600))
    began = []
    for _ in range(60):
        assert await limiter.acquire(lambda: True)
        began.append(stage.clock.now())
    # The first few use up what was saved; then one every 300 s / (600 x 0.97).
    steady = began[-1] - began[30]
    assert steady.total_seconds() == pytest.approx(29 * 300 / 582, rel=0.01)


async def test_no_call_waits_long_with_contacts_in_hand() -> None:
    stage = Stage()
    limiter = stage.limiter(known(stage, calls=600))
    permits = await asyncio.gather(*(limiter.acquire(lambda: True) for _ in range(30)))
    # Those that came first get permits, the others are refused.
    assert permits == sorted(permits, reverse=True)
    assert permits[0]
    assert not permits[-1]
    assert 0 < sum(stage.slept) <= LONGEST_WAIT.total_seconds() + 1


async def test_however_low_the_limit_one_call_after_another_gets_its_permit() -> None:
    """A round of two calls would otherwise never make the second."""
    stage = Stage()
    limiter = stage.limiter(known(stage, calls=30))
    assert [await limiter.acquire(lambda: True) for _ in range(6)] == [True] * 6
    assert max(stage.slept) == pytest.approx(300 / 30 / 0.97)


@pytest.mark.parametrize(
    ("message", "advertised"),
    [
        pytest.param(
            "Number of requests exceeded the limit of 6000 over time window of 300 seconds.",
            AdvertisedLimit(6_000, timedelta(seconds=300)),
            id="calls",
        ),
        pytest.param(
            "Combined execution time of incoming requests exceeded limit of 1,200,000 milliseconds over time "
            "window of 300 seconds. Try again later.",
            AdvertisedLimit(1_200, timedelta(seconds=300)),
            id="run time",
        ),
        pytest.param("exceeded the limit of 0 over time window of 300 seconds", None, id="nothing"),
        pytest.param("exceeded the limit of 9 over time window of 0 seconds", None, id="no window"),
        pytest.param("exceeded the limit of 9 over time window of 1.2.3 seconds", None, id="no number"),
        pytest.param("Too many requests.", None, id="another text"),
    ],
)
async def test_the_text_says_what_a_server_holds(message: str, advertised: AdvertisedLimit | None) -> None:
    """dataverse.md 4.1: the patterns of the messages."""
    stage = Stage()
    limiter = stage.limiter(RateLimitState.initial(max_parallel=4, max_rows=50))
    code = "0x80072321" if "milliseconds" in message else "0x80072322"
    limiter.release(exchange(Answered(status=429, code=code, message=message, whole_call=True)))
    state = limiter.state
    learnt, documented = (state.seconds, 1_200) if "milliseconds" in message else (state.calls, 6_000)
    expected = advertised or AdvertisedLimit(documented, timedelta(seconds=300))
    assert (learnt.advertised, learnt.length) == (expected.capacity, expected.window)


async def test_replicas_divide_what_is_recommended_to_all_of_them() -> None:
    """dataverse.md 4.1."""
    stage = Stage()
    limiter = RateLimiter(
        user="1",
        state=RateLimitState.initial(max_parallel=20, max_rows=50),
        clock=stage.clock,
        draw_jitter=lambda: 0.0,
        listener=stage,
        replicas=lambda: 3,
    )
    limiter.release(replace(exchange(Answered(status=204)), parallel_hint=10))
    assert limiter.state.parallel == 3


async def test_a_pause_or_a_lease_that_ends_refuses_permits() -> None:
    stage = Stage()
    state = RateLimitState.initial(max_parallel=4, max_rows=50)
    assert not await stage.limiter(state).acquire(lambda: False)
    paused = apply_throttle(
        state, retry_after=timedelta(minutes=1), now=stage.clock.now(), jitter=0.0, limit=LimitKind.NONE
    )
    assert not await stage.limiter(paused).acquire(lambda: True)
    stage.clock.advance(timedelta(minutes=1))
    assert await stage.limiter(paused).acquire(lambda: True)


@pytest.mark.parametrize(
    ("code", "status", "knows_calls", "knows_seconds"),
    [
        pytest.param("0x80072322", 429, True, False, id="requests"),
        pytest.param("0x80072321", 429, False, True, id="run time"),
        pytest.param("0x80072326", 429, False, False, id="concurrency"),
        pytest.param("", 429, True, True, id="without a code"),
        pytest.param("", 503, False, False, id="unavailable"),
    ],
)
async def test_the_code_names_the_limit(
    code: str, status: int, *, knows_calls: bool, knows_seconds: bool
) -> None:
    """dataverse.md 4.1."""
    stage = Stage()
    limiter = stage.limiter(RateLimitState.initial(max_parallel=4, max_rows=50))
    reply = Answered(status=status, code=code, whole_call=True, retry_after=timedelta(seconds=7))

    limiter.release(exchange(reply))

    state = limiter.state
    assert (state.calls.capacity is not None, state.seconds.capacity is not None) == (
        knows_calls,
        knows_seconds,
    )
    assert wait_before_call(state, stage.clock.now()) >= timedelta(seconds=7)
    assert stage.states == [state]


@pytest.mark.parametrize(
    ("reply", "rows", "is_paused"),
    [
        pytest.param(Answered(status=413, whole_call=True), 20, False, id="too large"),
        pytest.param(Answered(status=500, code="0x80044151", whole_call=True), 20, False, id="SQL time-out"),
        pytest.param(Unknown(UnknownCause.READ_TIMEOUT), 10, True, id="no answer in time"),
        pytest.param(Unknown(UnknownCause.CUT), 25, True, id="cut"),
        pytest.param(Answered(status=204), 50, False, id="fine"),
    ],
)
async def test_rows_per_call_follow_what_became_of_the_last(
    reply: Answer, rows: int, *, is_paused: bool
) -> None:
    stage = Stage()
    limiter = stage.limiter(RateLimitState.initial(max_parallel=4, max_rows=50))

    limiter.release(exchange(*(reply,) * 40))

    assert (limiter.state.rows, limiter.state.is_paused(stage.clock.now())) == (rows, is_paused)


async def test_a_question_about_the_table_teaches_nothing() -> None:
    stage = Stage()
    limiter = stage.limiter(RateLimitState.initial(max_parallel=4, max_rows=50))
    limiter.release(
        Exchange(
            call=AvailabilityCall(BulkMessage.UPDATE),
            replies=(classify(Answered(status=200)),),
            duration=timedelta(seconds=30),
        )
    )
    assert (limiter.state.rows, limiter.state.successes) == (50, 0)


@dataclass(slots=True)
class SetBack(FrozenClock):
    """Clocks of which the one on the wall is set."""

    by: timedelta = timedelta()

    def __post_init__(self) -> None:
        FrozenClock.__init__(self)

    def now(self) -> datetime:
        return FrozenClock.now(self) - self.by


@pytest.mark.parametrize("by", [timedelta(hours=1), timedelta(hours=-1)])
async def test_a_clock_that_is_set_delays_no_call(by: timedelta) -> None:
    clock = SetBack()
    stage = Stage(clock)
    limiter = stage.limiter(known(stage, calls=6_000))
    assert await limiter.acquire(lambda: True)
    limiter.release(exchange(Answered(status=204)))
    clock.by = by
    assert await limiter.acquire(lambda: True)
    assert sum(stage.slept) < 1


async def test_calls_that_were_never_answered_do_not_use_up_the_time_limit() -> None:
    stage = Stage()
    limiter = stage.limiter(RateLimitState.initial(max_parallel=8, max_rows=50))
    text = "exceeded limit of 1,200,000 milliseconds over time window of 300 seconds."
    throttled = Answered(status=429, code="0x80072321", message=text, whole_call=True)
    for reply in (Answered(status=204), throttled):
        await limiter.acquire(lambda: True)
        limiter.release(exchange(reply, seconds=0.5))
    stage.clock.advance(timedelta(seconds=400))
    for _ in range(4):
        await limiter.acquire(lambda: True)
    stage.clock.advance(timedelta(seconds=180))
    for _ in range(4):
        limiter.release(exchange(Unknown(UnknownCause.READ_TIMEOUT), seconds=180))
    assert wait_before_call(limiter.state, stage.clock.now()) <= timedelta(seconds=30)


@pytest.mark.parametrize(
    "text",
    [
        "limit of 6000 over time window of 300000000000000 seconds",
        "limit of 6000 over time window of 0.001 seconds",
        f"limit of {'9' * 400} over time window of 300 seconds",
        f"limit of {'9' * 5_000} over time window of 300 seconds",
    ],
)
async def test_a_limit_that_cannot_be_meant_is_ignored(text: str) -> None:
    stage = Stage()
    limiter = stage.limiter(RateLimitState.initial(max_parallel=8, max_rows=50))
    await limiter.acquire(lambda: True)
    limiter.release(exchange(Answered(status=429, code="0x80072322", message=text, whole_call=True)))
    assert limiter.state.calls.length == timedelta(seconds=300)
    assert limiter.state.is_paused(stage.clock.now())
