"""What we believe of a limit, and how it is learnt from throttles."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from didomi_dataverse.delivery.rate_limit.window import (
    DEEPEST_FALL,
    FIRST_CALLS,
    GROWTH,
    LEAST,
    SHARE,
    SlidingWindow,
    after_calm,
    after_throttle,
    begun,
    ended,
    in_window,
    interval,
    paused,
    refused,
    restated,
    room,
    wait,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WINDOW = timedelta(seconds=300)
CALLS = SlidingWindow(window=WINDOW, stated=6_000, unit=1.0)
WATCHED = replace(CALLS, since=NOON - WINDOW)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def spent(amount: int, at: float = 0, budget: SlidingWindow = CALLS) -> SlidingWindow:
    for _ in range(amount):
        budget = begun(budget, later(at))
    return budget


def test_a_limit_that_was_never_met_keeps_nobody_waiting() -> None:
    assert wait(spent(10_000), NOON) == timedelta()
    assert room(spent(10_000), NOON) == 1.0
    assert interval(spent(10_000)) == timedelta()


def test_what_left_the_window_no_longer_counts() -> None:
    assert in_window(spent(100), later(299)) == pytest.approx(100)
    assert in_window(spent(100), later(306)) == 0


def test_what_was_refused_does_not_count() -> None:
    assert in_window(refused(spent(100), NOON), NOON) == 99


def test_a_call_counts_as_what_is_usual_until_it_ends() -> None:
    seconds = SlidingWindow(window=WINDOW, stated=1_200, unit=2.0)
    running = begun(seconds, NOON)
    assert in_window(running, NOON) == 2.0
    over = ended(running, 10.0, NOON)
    assert in_window(over, NOON) == 10.0
    assert over.unit == 3.0


# --- What a throttle teaches


def test_a_throttle_teaches_what_the_window_holds() -> None:
    """Several servers hold more than one of them states, somebody else's use leaves less."""
    assert after_throttle(spent(9_000), later(100)).holds == 9_000
    assert after_throttle(spent(5_000, budget=WATCHED), later(100)).holds == 5_000


def test_before_a_whole_window_was_watched_a_server_is_taken_at_its_word() -> None:
    """A process before this one may have used the window up."""
    assert after_throttle(spent(20), later(1)).holds == 6_000


def test_what_is_a_guess_is_tried_out_sooner() -> None:
    guessed, met = after_throttle(spent(20), later(1)), after_throttle(spent(6_000), later(1))
    assert guessed.growth > met.growth == GROWTH[0]


def test_one_odd_answer_does_not_bring_us_to_a_halt() -> None:
    assert after_throttle(spent(1, budget=WATCHED), NOON).holds == pytest.approx(6_000 * DEEPEST_FALL)


def test_less_than_the_least_is_never_believed() -> None:
    """Somebody else may be using the user up; then the server's own pauses rule."""
    budget = WATCHED
    for _ in range(30):
        budget = after_throttle(budget, NOON)
    assert budget.holds == pytest.approx(6_000 * LEAST)


def test_calls_that_meet_one_throttle_together_lower_it_by_no_more_than_themselves() -> None:
    """Each was counted before it was refused."""
    budget = after_throttle(refused(spent(5_004, budget=WATCHED), NOON), NOON)
    for _ in range(3):
        budget = after_throttle(refused(budget, NOON), NOON, again=True)
    assert budget.holds == 5_000


def test_a_server_may_state_another_window() -> None:
    """What was used is counted again by the pieces of the new one."""
    used = spent(50, at=8, budget=spent(50, at=0))
    short = restated(used, 100, timedelta(seconds=10), later(9))
    assert (short.window, short.stated) == (timedelta(seconds=10), 100)
    assert in_window(short, later(9)) == pytest.approx(100, abs=1)
    assert in_window(short, later(16)) < 60
    assert in_window(short, later(30)) == 0
    assert after_throttle(short, later(9)).holds == pytest.approx(100, abs=1)


def test_a_server_may_state_another_amount() -> None:
    assert restated(CALLS, 8_000, WINDOW, NOON) == replace(CALLS, stated=8_000)


# --- Trying more


def test_a_calm_window_that_was_used_up_makes_bolder_each_time() -> None:
    met = after_throttle(spent(6_000), NOON)
    once = after_calm(met, later(1))
    twice = after_calm(once, later(1))
    assert once.holds == pytest.approx(6_060)
    assert twice.holds == pytest.approx(6_060 * 1.02)


def test_what_somebody_else_took_is_taken_back_soon() -> None:
    met = after_throttle(spent(4_500, budget=WATCHED), NOON)
    once = after_calm(met, later(1))
    assert once.holds == pytest.approx(4_500 * 1.25)
    used_up = spent(1_000, at=1, budget=once)
    assert after_calm(used_up, later(1)).holds == 6_000


def test_a_calm_window_that_was_not_used_proves_nothing() -> None:
    met = after_throttle(spent(6_000), NOON)
    assert after_calm(met, later(400)).holds == 6_000


# --- Laws


@given(
    holds=st.floats(20, 2_000),
    part=st.floats(0.001, 0.02),
    noise=st.lists(st.floats(0.5, 2.0), min_size=1, max_size=7),
)
def test_whoever_waits_as_told_stays_below_the_limit_and_close_to_it(
    holds: float, part: float, noise: list[float]
) -> None:
    """Three windows of calls that begin as soon as they may, and take now more, now less than is usual."""
    usual = holds * part
    budget = SlidingWindow(window=WINDOW, stated=holds, unit=usual, holds=holds, credited_at=NOON)
    now = NOON
    used: list[tuple[datetime, float]] = []
    while now < NOON + 3 * WINDOW:
        pause = wait(budget, now)
        if pause:
            now += pause
            continue
        cost = usual * noise[len(used) % len(noise)]
        budget = ended(begun(budget, now), cost, now)
        used.append((now, cost))
    most = usual * 2
    for end in range(300, 901, 50):
        total = sum(cost for at, cost in used if later(end) - WINDOW < at <= later(end))
        assert total <= holds * 1.02 + 2 * most
    last = sum(cost for at, cost in used if at > now - WINDOW)
    assert last >= 0.95 * SHARE * holds - 2 * most


@given(
    holds=st.integers(20, 6_000),
    used=st.floats(0, 1),
    credit=st.floats(-1, 1),
    length=st.floats(1, 600),
)
def test_after_a_pause_calls_go_out_as_evenly_as_before(
    holds: int, used: float, credit: float, length: float
) -> None:
    """Nothing is saved up in a pause, however long: no storm follows it."""
    budget = SlidingWindow(window=WINDOW, stated=holds, unit=1.0, holds=holds, since=NOON)
    budget = replace(budget, credit=credit * holds * 0.03, credited_at=NOON)
    now = later(length)
    budget = paused(replace(budget, used=((int(NOON.timestamp() // 5), used * holds),)), now)
    began = 0
    until = now + 20 * interval(budget)
    while now < until:
        pause = wait(budget, now)
        if not pause:
            budget, began = begun(budget, now), began + 1
        now += max(pause, timedelta(microseconds=1))
    assert began <= 21 + FIRST_CALLS
