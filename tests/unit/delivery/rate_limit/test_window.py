"""What we believe of a limit, and how it is learnt from throttles."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from didomi_dataverse.delivery.rate_limit.window import (
    BURST_CALLS,
    GROWTH,
    MIN_CAPACITY_SHARE,
    MIN_KEPT_SHARE,
    TARGET_SHARE,
    SlidingWindow,
    adopt_advertised,
    finish_call,
    free_share,
    interval,
    learn_quiet,
    learn_throttle,
    pause,
    refund_call,
    start_call,
    usage,
    wait_before_call,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WINDOW = timedelta(seconds=300)
CALLS = SlidingWindow(length=WINDOW, advertised=6_000, usual_cost=1.0)
WATCHED = replace(CALLS, watched_since=NOON - WINDOW)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def spent(amount: int, at: float = 0, window: SlidingWindow = CALLS) -> SlidingWindow:
    for _ in range(amount):
        window = start_call(window, later(at))
    return window


def test_a_limit_that_was_never_met_makes_no_call_wait() -> None:
    assert wait_before_call(spent(10_000), NOON) == timedelta()
    assert free_share(spent(10_000), NOON) == 1.0
    assert interval(spent(10_000)) == timedelta()


def test_what_left_the_window_no_longer_counts() -> None:
    assert usage(spent(100), later(299)) == pytest.approx(100)
    assert usage(spent(100), later(306)) == 0


def test_what_was_refused_does_not_count() -> None:
    assert usage(refund_call(spent(100), NOON), NOON) == 99


def test_a_call_counts_as_what_is_usual_until_it_ends() -> None:
    seconds = SlidingWindow(length=WINDOW, advertised=1_200, usual_cost=2.0)
    running = start_call(seconds, NOON)
    assert usage(running, NOON) == 2.0
    over = finish_call(running, 10.0, NOON)
    assert usage(over, NOON) == 10.0
    assert over.usual_cost == 3.0


# --- What a throttle teaches


def test_a_throttle_teaches_what_the_window_holds() -> None:
    """Several servers hold more than one of them states, another client's use leaves less."""
    assert learn_throttle(spent(9_000), later(100)).capacity == 9_000
    assert learn_throttle(spent(5_000, window=WATCHED), later(100)).capacity == 5_000


def test_before_a_whole_window_was_watched_a_server_is_taken_at_its_word() -> None:
    """A process before this one may have used the window up."""
    assert learn_throttle(spent(20), later(1)).capacity == 6_000


def test_what_is_a_guess_is_tried_out_sooner() -> None:
    guessed, met = learn_throttle(spent(20), later(1)), learn_throttle(spent(6_000), later(1))
    assert guessed.growth > met.growth == GROWTH[0]


def test_one_odd_answer_does_not_bring_us_to_a_halt() -> None:
    assert learn_throttle(spent(1, window=WATCHED), NOON).capacity == pytest.approx(6_000 * MIN_KEPT_SHARE)


def test_less_than_the_least_is_never_believed() -> None:
    """Another client may use up the limit; then the server's own pauses rule."""
    window = WATCHED
    for _ in range(30):
        window = learn_throttle(window, NOON)
    assert window.capacity == pytest.approx(6_000 * MIN_CAPACITY_SHARE)


def test_calls_that_meet_one_throttle_together_lower_it_by_no_more_than_themselves() -> None:
    """Each was counted before it was refused."""
    window = learn_throttle(refund_call(spent(5_004, window=WATCHED), NOON), NOON)
    for _ in range(3):
        window = learn_throttle(refund_call(window, NOON), NOON, again=True)
    assert window.capacity == 5_000


def test_a_server_may_state_another_window() -> None:
    """What was used is counted again by the pieces of the new one."""
    used = spent(50, at=8, window=spent(50, at=0))
    short = adopt_advertised(used, 100, timedelta(seconds=10), later(9))
    assert (short.length, short.advertised) == (timedelta(seconds=10), 100)
    assert usage(short, later(9)) == pytest.approx(100, abs=1)
    assert usage(short, later(16)) < 60
    assert usage(short, later(30)) == 0
    assert learn_throttle(short, later(9)).capacity == pytest.approx(100, abs=1)


def test_a_server_may_state_another_amount() -> None:
    assert adopt_advertised(CALLS, 8_000, WINDOW, NOON) == replace(CALLS, advertised=8_000)


# --- Trying more


def test_a_calm_window_that_was_used_up_makes_bolder_each_time() -> None:
    met = learn_throttle(spent(6_000), NOON)
    once = learn_quiet(met, later(1))
    twice = learn_quiet(once, later(1))
    assert once.capacity == pytest.approx(6_060)
    assert twice.capacity == pytest.approx(6_060 * 1.02)


def test_what_another_client_used_is_taken_back_soon() -> None:
    met = learn_throttle(spent(4_500, window=WATCHED), NOON)
    once = learn_quiet(met, later(1))
    assert once.capacity == pytest.approx(4_500 * 1.25)
    used_up = spent(1_000, at=1, window=once)
    assert learn_quiet(used_up, later(1)).capacity == 6_000


def test_a_calm_window_that_was_not_used_proves_nothing() -> None:
    met = learn_throttle(spent(6_000), NOON)
    assert learn_quiet(met, later(400)).capacity == 6_000


# --- Laws


@given(
    capacity=st.floats(20, 2_000),
    part=st.floats(0.001, 0.02),
    noise=st.lists(st.floats(0.5, 2.0), min_size=1, max_size=7),
)
def test_calls_that_wait_as_told_stay_below_the_limit_and_close_to_it(
    capacity: float, part: float, noise: list[float]
) -> None:
    """Three windows of calls that begin as soon as they may, and take now more, now less than is usual."""
    usual = capacity * part
    window = SlidingWindow(
        length=WINDOW, advertised=capacity, usual_cost=usual, capacity=capacity, refilled_at=NOON
    )
    now = NOON
    used: list[tuple[datetime, float]] = []
    while now < NOON + 3 * WINDOW:
        delay = wait_before_call(window, now)
        if delay:
            now += delay
            continue
        cost = usual * noise[len(used) % len(noise)]
        window = finish_call(start_call(window, now), cost, now)
        used.append((now, cost))
    most = usual * 2
    for end in range(300, 901, 50):
        total = sum(cost for at, cost in used if later(end) - WINDOW < at <= later(end))
        assert total <= capacity * 1.02 + 2 * most
    last = sum(cost for at, cost in used if at > now - WINDOW)
    assert last >= 0.95 * TARGET_SHARE * capacity - 2 * most


@given(
    capacity=st.integers(20, 6_000),
    used=st.floats(0, 1),
    tokens=st.floats(-1, 1),
    length=st.floats(1, 600),
)
def test_after_a_pause_calls_go_out_as_evenly_as_before(
    capacity: int, used: float, tokens: float, length: float
) -> None:
    """Nothing is saved up in a pause, however long: no storm follows it."""
    window = SlidingWindow(
        length=WINDOW, advertised=capacity, usual_cost=1.0, capacity=capacity, watched_since=NOON
    )
    window = replace(window, tokens=tokens * capacity * 0.03, refilled_at=NOON)
    now = later(length)
    window = pause(replace(window, used=((int(NOON.timestamp() // 5), used * capacity),)), now)
    began = 0
    until = now + 20 * interval(window)
    while now < until:
        delay = wait_before_call(window, now)
        if not delay:
            window, began = start_call(window, now), began + 1
        now += max(delay, timedelta(microseconds=1))
    assert began <= 21 + BURST_CALLS
