"""How each thing that happens to the sender changes its pace."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from didomi_dataverse.dataverse.errors.throttle import AdvertisedLimit, LimitKind
from didomi_dataverse.delivery.outcome import AlertReason
from didomi_dataverse.delivery.rate_limit.state import (
    CALLS_PER_STEP,
    CALM_CALLS,
    GOOD_CALL,
    HELD_FOR,
    LONGEST_FAILURE_PAUSE,
    RateLimitState,
    after_alert,
    after_failure,
    after_success,
    after_throttle,
    after_too_large,
    begun,
    ended,
    headroom,
    interval,
    recovered,
    wait_before_call,
)
from didomi_dataverse.delivery.rate_limit.window import FIRST_CALLS

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
START = RateLimitState.at_start(max_parallel=8, max_rows=50)


def test_the_start_is_careful() -> None:
    assert (START.parallel, START.rows, START.is_paused(NOON)) == (4, 50, False)


def test_a_row_of_successes_allows_one_more_call_at_a_time() -> None:
    pace = START
    for _ in range(CALLS_PER_STEP):
        pace = after_success(pace, parallel_hint=None, now=NOON)
    assert pace.parallel == START.parallel + 1


def test_the_servers_own_hint_is_never_exceeded() -> None:
    assert after_success(START, parallel_hint=2, now=NOON).parallel == 2


def test_a_throttle_pauses_as_long_as_told_and_halves_the_calls() -> None:
    pace = after_throttle(START, retry_after=timedelta(seconds=60), now=NOON, jitter=0.0)
    assert pace.paused_until == NOON + timedelta(seconds=60)
    assert pace.parallel == 2


def test_jitter_never_shortens_a_pause_that_was_asked_for() -> None:
    pace = after_throttle(START, retry_after=timedelta(seconds=60), now=NOON, jitter=0.999)
    assert pace.paused_until is not None
    assert timedelta(seconds=60) <= pace.paused_until - NOON <= timedelta(seconds=61)


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    long = after_throttle(START, retry_after=timedelta(minutes=5), now=NOON, jitter=0.0)
    pace = after_throttle(long, retry_after=timedelta(seconds=1), now=NOON, jitter=0.0)
    assert pace.paused_until == long.paused_until


def test_failing_calls_carry_fewer_rows_until_one_is_alone() -> None:
    pace = START
    for _ in range(10):
        pace = after_failure(pace, retry_after=None, now=NOON, jitter=0.0)
    assert (pace.rows, pace.parallel) == (1, 1)
    assert pace.paused_until == NOON + LONGEST_FAILURE_PAUSE
    assert after_success(pace, parallel_hint=None, now=NOON).rows == 2


def test_an_alert_asks_with_one_call_and_remembers_since_when() -> None:
    first = after_alert(START, AlertReason.REFUSED, "Give the role.", now=NOON)
    later = after_alert(first, AlertReason.REFUSED, "Give the role.", now=NOON + timedelta(minutes=1))
    assert (later.rows, later.parallel) == (START.rows, 1)
    assert later.alert is not None
    assert later.alert.since == NOON


def test_a_success_alone_does_not_end_the_alert() -> None:
    """A look-up may succeed where the write after it is refused: the round decides."""
    stopped = after_alert(START, AlertReason.CREDENTIAL, "Renew the secret.", now=NOON)
    assert after_success(stopped, parallel_hint=None, now=NOON).alert is not None
    assert recovered(stopped).alert is None


@given(
    st.lists(st.sampled_from(["success", "hint", "throttle", "failure", "alert"]), max_size=40),
    st.floats(0, 1, exclude_max=True),
)
def test_the_pace_stays_within_the_operators_bounds(events: list[str], jitter: float) -> None:
    pace = START
    for happened in events:
        match happened:
            case "success":
                pace = after_success(pace, parallel_hint=None, now=NOON)
            case "hint":
                pace = after_success(pace, parallel_hint=52, now=NOON)
            case "throttle":
                pace = after_throttle(pace, retry_after=None, now=NOON, jitter=jitter)
            case "failure":
                pace = after_failure(pace, retry_after=None, now=NOON, jitter=jitter)
            case _:
                pace = after_alert(pace, AlertReason.REFUSED, "", now=NOON)
        assert 1 <= pace.parallel <= pace.max_parallel
        assert 1 <= pace.rows <= pace.max_rows


# --- Rows per call


def test_a_call_that_was_too_large_is_halved_and_grown_again_one_by_one() -> None:
    smaller = after_too_large(START, rows=50)
    assert smaller.rows == 25
    assert after_success(smaller, parallel_hint=None, now=NOON).rows == 26


def test_after_an_outage_the_rows_are_back_in_a_few_calls() -> None:
    """Nothing was wrong with their number."""
    pace = START
    for _ in range(6):
        pace = after_failure(pace, retry_after=None, now=NOON, jitter=0.0)
    for _ in range(6):
        pace = after_success(pace, parallel_hint=None, now=NOON)
    assert pace.rows == 50


def test_calls_that_take_long_carry_fewer_rows() -> None:
    slow = after_success(START, parallel_hint=None, now=NOON, rows=50, duration=3 * GOOD_CALL)
    steady = after_success(START, parallel_hint=None, now=NOON, rows=50, duration=1.5 * GOOD_CALL)
    assert (slow.rows, steady.rows) == (25, 50)


# --- Which limit was met


@pytest.mark.parametrize(
    ("limit", "knows_calls", "knows_seconds"),
    [
        (LimitKind.REQUESTS, True, False),
        (LimitKind.TIME, False, True),
        (LimitKind.CONCURRENCY, False, False),
        (LimitKind.UNNAMED, True, True),
        (LimitKind.NONE, False, False),
    ],
)
def test_a_throttle_teaches_about_the_limit_it_names(
    limit: LimitKind, knows_calls: bool, knows_seconds: bool
) -> None:
    pace = after_throttle(START, retry_after=None, now=NOON, jitter=0.0, limit=limit)
    assert (pace.calls.holds is not None, pace.seconds.holds is not None) == (knows_calls, knows_seconds)


def test_calls_that_run_into_one_throttle_together_halve_the_pace_once() -> None:
    once = after_throttle(START, retry_after=timedelta(seconds=9), now=NOON, jitter=0.0)
    again = after_throttle(once, retry_after=timedelta(seconds=9), now=NOON, jitter=0.0)
    assert (START.parallel, once.parallel, again.parallel) == (4, 2, 2)


def test_headroom_is_where_nothing_runs_and_nothing_is_used_up() -> None:
    busy = headroom(START, running=2, now=NOON)
    assert headroom(START, running=0, now=NOON) == 1.0
    assert 0 < busy < 1
    assert headroom(START, running=4, now=NOON) == 0.0
    paused = after_throttle(START, retry_after=timedelta(seconds=9), now=NOON, jitter=0.0)
    assert headroom(paused, running=0, now=NOON) == 0.0


def test_more_is_tried_only_after_many_calls_and_a_whole_window() -> None:
    pace = START
    for _ in range(600):
        pace = begun(pace, NOON)
    pace = after_throttle(pace, retry_after=None, now=NOON, jitter=0.0, limit=LimitKind.REQUESTS)
    believed = pace.calls.holds
    for _ in range(CALM_CALLS):
        pace = after_success(pace, parallel_hint=None, now=NOON + timedelta(seconds=299))
    assert pace.calls.holds == believed


def throttled(
    limit: LimitKind, *, pace: RateLimitState = START, at: float = 0, seconds: float = 9
) -> RateLimitState:
    return after_throttle(
        pace,
        retry_after=timedelta(seconds=seconds),
        now=NOON + timedelta(seconds=at),
        jitter=0.0,
        limit=limit,
    )


def carried_out(pace: RateLimitState, *, at: float, calls: int = 1, single: bool = False) -> RateLimitState:
    for _ in range(calls):
        now = NOON + timedelta(seconds=at)
        pace = ended(begun(pace, now), duration=timedelta(seconds=0.2), now=now)
        pace = after_success(
            pace, parallel_hint=None, now=now, duration=timedelta(seconds=0.2), is_single=single
        )
    return pace


def test_whoever_throttles_everything_many_times_over_teaches_once() -> None:
    """Between two of these throttles nothing was carried out, so nothing new was tried."""
    first = throttled(LimitKind.REQUESTS, pace=carried_out(START, at=0, calls=20), at=400)
    again = first
    for minute in range(1, 11):
        again = throttled(LimitKind.REQUESTS, pace=begun(again, NOON), at=400 + 60 * minute)
    assert again.calls.holds == first.calls.holds == pytest.approx(4_200)
    after = throttled(LimitKind.REQUESTS, pace=carried_out(again, at=1_100), at=1_200)
    assert after.calls.holds == pytest.approx(4_200 * 0.7)


def test_what_was_on_its_way_before_a_throttle_does_not_end_it() -> None:
    first = throttled(LimitKind.REQUESTS, pace=carried_out(START, at=0), at=400)
    late = carried_out(first, at=401)
    assert throttled(LimitKind.REQUESTS, pace=late, at=420).calls.holds == first.calls.holds


def test_nothing_goes_out_in_a_pause_and_nothing_is_saved_up_for_its_end() -> None:
    known = throttled(LimitKind.REQUESTS)
    paused = throttled(LimitKind.CONCURRENCY, pace=known, at=100, seconds=200)
    end = NOON + timedelta(seconds=300)
    assert wait_before_call(paused, NOON + timedelta(seconds=200)) == timedelta(seconds=100)
    for _ in range(FIRST_CALLS):
        assert wait_before_call(paused, end) == timedelta()
        paused = begun(paused, end)
    assert wait_before_call(paused, end) == interval(paused)


def test_too_many_calls_at_once_are_tried_again_later_each_time() -> None:
    """Soon after the first time, because it may have been somebody else's calls."""
    pace, needed = replace(START, parallel=6), []
    for round_ in range(4):
        pace = throttled(LimitKind.CONCURRENCY, pace=pace, at=1_000 * round_)
        assert (pace.parallel, pace.good_parallel) == (3, 5)
        calls = 0
        while pace.parallel < 6:
            pace, calls = carried_out(pace, at=1_000 * round_ + 20), calls + 1
        needed.append(calls)
    waited = [calls - needed[0] for calls in needed]
    assert waited == [0, 40, 120, 280]


def test_calls_that_only_wait_for_their_turn_are_not_needed() -> None:
    slow = after_throttle(
        replace(START, parallel=8),
        retry_after=None,
        now=NOON,
        jitter=0.0,
        limit=LimitKind.REQUESTS,
        stated=AdvertisedLimit(600, timedelta(seconds=300)),
    )
    assert carried_out(slow, at=10, calls=20).parallel == 2


def test_a_known_pace_has_the_calls_that_it_needs_back_at_once() -> None:
    """It is even by itself: there is no storm to be careful about."""
    known = throttled(LimitKind.REQUESTS)
    assert known.parallel == 2
    assert carried_out(known, at=10, calls=4).parallel == 6


def test_contacts_that_go_one_by_one_are_claimed_for_a_short_time() -> None:
    free = carried_out(START, at=0, single=True)
    assert free.rows == HELD_FOR / timedelta(seconds=0.2)
    slow = after_throttle(
        START,
        retry_after=None,
        now=NOON,
        jitter=0.0,
        limit=LimitKind.REQUESTS,
        stated=AdvertisedLimit(300, timedelta(seconds=300)),
    )
    assert carried_out(slow, at=10, single=True).rows == 1
