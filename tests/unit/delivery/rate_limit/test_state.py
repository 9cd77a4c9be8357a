"""How each thing that happens to the sender changes its state."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from didomi_dataverse.dataverse.errors.throttle import AdvertisedLimit, LimitKind
from didomi_dataverse.delivery.outcome import AlertReason
from didomi_dataverse.delivery.rate_limit.state import (
    LONGEST_FAILURE_PAUSE,
    MAX_HELD,
    QUIET_CALLS,
    SUCCESSES_PER_STEP,
    TARGET_CALL_DURATION,
    RateLimitState,
    apply_failure,
    apply_success,
    apply_throttle,
    clear_alert,
    finish_call,
    headroom,
    interval,
    raise_alert,
    reduce_rows,
    start_call,
    wait_before_call,
)
from didomi_dataverse.delivery.rate_limit.window import BURST_CALLS

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
START = RateLimitState.initial(max_parallel=8, max_rows=50)


def test_the_start_is_careful() -> None:
    assert (START.parallel, START.rows, START.is_paused(NOON)) == (4, 50, False)


def test_a_row_of_successes_allows_one_more_call_at_a_time() -> None:
    state = START
    for _ in range(SUCCESSES_PER_STEP):
        state = apply_success(state, parallel_hint=None, now=NOON)
    assert state.parallel == START.parallel + 1


def test_the_servers_own_hint_is_never_exceeded() -> None:
    assert apply_success(START, parallel_hint=2, now=NOON).parallel == 2


def test_a_throttle_pauses_as_long_as_told_and_halves_the_calls() -> None:
    state = apply_throttle(START, retry_after=timedelta(seconds=60), now=NOON, jitter=0.0)
    assert state.paused_until == NOON + timedelta(seconds=60)
    assert state.parallel == 2


def test_jitter_never_shortens_a_pause_that_was_asked_for() -> None:
    state = apply_throttle(START, retry_after=timedelta(seconds=60), now=NOON, jitter=0.999)
    assert state.paused_until is not None
    assert timedelta(seconds=60) <= state.paused_until - NOON <= timedelta(seconds=61)


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    long = apply_throttle(START, retry_after=timedelta(minutes=5), now=NOON, jitter=0.0)
    state = apply_throttle(long, retry_after=timedelta(seconds=1), now=NOON, jitter=0.0)
    assert state.paused_until == long.paused_until


def test_failing_calls_carry_fewer_rows_until_one_is_alone() -> None:
    state = START
    for _ in range(10):
        state = apply_failure(state, retry_after=None, now=NOON, jitter=0.0)
    assert (state.rows, state.parallel) == (1, 1)
    assert state.paused_until == NOON + LONGEST_FAILURE_PAUSE
    assert apply_success(state, parallel_hint=None, now=NOON).rows == 2


def test_an_alert_asks_with_one_call_and_remembers_since_when() -> None:
    first = raise_alert(START, AlertReason.REFUSED, "Give the role.", now=NOON)
    later = raise_alert(first, AlertReason.REFUSED, "Give the role.", now=NOON + timedelta(minutes=1))
    assert (later.rows, later.parallel) == (START.rows, 1)
    assert later.alert is not None
    assert later.alert.since == NOON


def test_a_success_alone_does_not_end_the_alert() -> None:
    """A look-up may succeed where the write after it is refused: the round decides."""
    stopped = raise_alert(START, AlertReason.CREDENTIAL, "Renew the secret.", now=NOON)
    assert apply_success(stopped, parallel_hint=None, now=NOON).alert is not None
    assert clear_alert(stopped).alert is None


@given(
    st.lists(st.sampled_from(["success", "hint", "throttle", "failure", "alert"]), max_size=40),
    st.floats(0, 1, exclude_max=True),
)
def test_the_pace_stays_within_the_operators_bounds(events: list[str], jitter: float) -> None:
    state = START
    for happened in events:
        match happened:
            case "success":
                state = apply_success(state, parallel_hint=None, now=NOON)
            case "hint":
                state = apply_success(state, parallel_hint=52, now=NOON)
            case "throttle":
                state = apply_throttle(state, retry_after=None, now=NOON, jitter=jitter)
            case "failure":
                state = apply_failure(state, retry_after=None, now=NOON, jitter=jitter)
            case _:
                state = raise_alert(state, AlertReason.REFUSED, "", now=NOON)
        assert 1 <= state.parallel <= state.max_parallel
        assert 1 <= state.rows <= state.max_rows


# --- Rows per call


def test_a_call_that_was_too_large_is_halved_and_grown_again_one_by_one() -> None:
    smaller = reduce_rows(START, rows=50)
    assert smaller.rows == 25
    assert apply_success(smaller, parallel_hint=None, now=NOON).rows == 26


def test_after_an_outage_the_rows_are_back_in_a_few_calls() -> None:
    """Nothing was wrong with their number."""
    state = START
    for _ in range(6):
        state = apply_failure(state, retry_after=None, now=NOON, jitter=0.0)
    for _ in range(6):
        state = apply_success(state, parallel_hint=None, now=NOON)
    assert state.rows == 50


def test_calls_that_take_long_carry_fewer_rows() -> None:
    slow = apply_success(START, parallel_hint=None, now=NOON, rows=50, duration=3 * TARGET_CALL_DURATION)
    steady = apply_success(START, parallel_hint=None, now=NOON, rows=50, duration=1.5 * TARGET_CALL_DURATION)
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
    state = apply_throttle(START, retry_after=None, now=NOON, jitter=0.0, limit=limit)
    assert (state.calls.capacity is not None, state.seconds.capacity is not None) == (
        knows_calls,
        knows_seconds,
    )


def test_calls_that_run_into_one_throttle_together_halve_the_pace_once() -> None:
    once = apply_throttle(START, retry_after=timedelta(seconds=9), now=NOON, jitter=0.0)
    again = apply_throttle(once, retry_after=timedelta(seconds=9), now=NOON, jitter=0.0)
    assert (START.parallel, once.parallel, again.parallel) == (4, 2, 2)


def test_headroom_is_where_nothing_runs_and_nothing_is_used_up() -> None:
    busy = headroom(START, running=2, now=NOON)
    assert headroom(START, running=0, now=NOON) == 1.0
    assert 0 < busy < 1
    assert headroom(START, running=4, now=NOON) == 0.0
    paused = apply_throttle(START, retry_after=timedelta(seconds=9), now=NOON, jitter=0.0)
    assert headroom(paused, running=0, now=NOON) == 0.0


def test_more_is_tried_only_after_many_calls_and_a_whole_window() -> None:
    state = START
    for _ in range(600):
        state = start_call(state, NOON)
    state = apply_throttle(state, retry_after=None, now=NOON, jitter=0.0, limit=LimitKind.REQUESTS)
    believed = state.calls.capacity
    for _ in range(QUIET_CALLS):
        state = apply_success(state, parallel_hint=None, now=NOON + timedelta(seconds=299))
    assert state.calls.capacity == believed


def throttled(
    limit: LimitKind, *, state: RateLimitState = START, at: float = 0, seconds: float = 9
) -> RateLimitState:
    return apply_throttle(
        state,
        retry_after=timedelta(seconds=seconds),
        now=NOON + timedelta(seconds=at),
        jitter=0.0,
        limit=limit,
    )


def carried_out(state: RateLimitState, *, at: float, calls: int = 1, single: bool = False) -> RateLimitState:
    for _ in range(calls):
        now = NOON + timedelta(seconds=at)
        state = finish_call(start_call(state, now), duration=timedelta(seconds=0.2), now=now)
        state = apply_success(
            state, parallel_hint=None, now=now, duration=timedelta(seconds=0.2), is_single=single
        )
    return state


def test_a_server_that_throttles_everything_many_times_over_teaches_once() -> None:
    """Between two of these throttles nothing was carried out, so nothing new was tried."""
    first = throttled(LimitKind.REQUESTS, state=carried_out(START, at=0, calls=20), at=400)
    again = first
    for minute in range(1, 11):
        again = throttled(LimitKind.REQUESTS, state=start_call(again, NOON), at=400 + 60 * minute)
    assert again.calls.capacity == first.calls.capacity == pytest.approx(4_200)
    after = throttled(LimitKind.REQUESTS, state=carried_out(again, at=1_100), at=1_200)
    assert after.calls.capacity == pytest.approx(4_200 * 0.7)


def test_what_was_on_its_way_before_a_throttle_does_not_end_it() -> None:
    first = throttled(LimitKind.REQUESTS, state=carried_out(START, at=0), at=400)
    late = carried_out(first, at=401)
    assert throttled(LimitKind.REQUESTS, state=late, at=420).calls.capacity == first.calls.capacity


def test_nothing_goes_out_in_a_pause_and_nothing_is_saved_up_for_its_end() -> None:
    known = throttled(LimitKind.REQUESTS)
    paused = throttled(LimitKind.CONCURRENCY, state=known, at=100, seconds=200)
    end = NOON + timedelta(seconds=300)
    assert wait_before_call(paused, NOON + timedelta(seconds=200)) == timedelta(seconds=100)
    for _ in range(BURST_CALLS):
        assert wait_before_call(paused, end) == timedelta()
        paused = start_call(paused, end)
    assert wait_before_call(paused, end) == interval(paused)


def test_too_many_calls_at_once_are_tried_again_later_each_time() -> None:
    """Soon after the first time, because it may have been another client's calls."""
    state, needed = replace(START, parallel=6), []
    for round_ in range(4):
        state = throttled(LimitKind.CONCURRENCY, state=state, at=1_000 * round_)
        assert (state.parallel, state.parallel_ceiling) == (3, 5)
        calls = 0
        while state.parallel < 6:
            state, calls = carried_out(state, at=1_000 * round_ + 20), calls + 1
        needed.append(calls)
    waited = [calls - needed[0] for calls in needed]
    assert waited == [0, 40, 120, 280]


def test_calls_that_only_wait_for_their_turn_are_not_needed() -> None:
    slow = apply_throttle(
        replace(START, parallel=8),
        retry_after=None,
        now=NOON,
        jitter=0.0,
        limit=LimitKind.REQUESTS,
        advertised=AdvertisedLimit(600, timedelta(seconds=300)),
    )
    assert carried_out(slow, at=10, calls=20).parallel == 2


def test_a_known_pace_has_the_calls_that_it_needs_back_at_once() -> None:
    """It is even by itself: there is no storm to be careful about."""
    known = throttled(LimitKind.REQUESTS)
    assert known.parallel == 2
    assert carried_out(known, at=10, calls=4).parallel == 6


def test_contacts_that_go_one_by_one_are_claimed_for_a_short_time() -> None:
    free = carried_out(START, at=0, single=True)
    assert free.rows == MAX_HELD / timedelta(seconds=0.2)
    slow = apply_throttle(
        START,
        retry_after=None,
        now=NOON,
        jitter=0.0,
        limit=LimitKind.REQUESTS,
        advertised=AdvertisedLimit(300, timedelta(seconds=300)),
    )
    assert carried_out(slow, at=10, single=True).rows == 1
