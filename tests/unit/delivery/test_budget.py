"""What we believe of a limit, and how it is learnt from throttles."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from didomi_dataverse.delivery.budget import (
    DEEPEST_FALL,
    SHARE,
    Budget,
    after_calm,
    after_throttle,
    in_window,
    room,
    spend,
    wait,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WINDOW = timedelta(seconds=300)
UNKNOWN = Budget(window=WINDOW, least=10)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def spent(amount: float, at: float = 0, budget: Budget = UNKNOWN) -> Budget:
    return spend(budget, amount, later(at))


def test_a_limit_that_was_never_met_keeps_nobody_waiting() -> None:
    assert wait(spent(1_000_000), NOON) == timedelta()
    assert room(spent(1_000_000), NOON) == 1.0


def test_what_left_the_window_no_longer_counts() -> None:
    assert in_window(spent(100), later(299)) == pytest.approx(100)
    assert in_window(spent(100), later(306)) == 0


def test_a_throttle_teaches_what_the_window_holds() -> None:
    met = after_throttle(spent(6_000), later(100))
    assert met.holds == 6_000
    assert wait(met, later(100)) > timedelta()


def test_what_was_refused_does_not_count() -> None:
    assert after_throttle(spend(spent(6_004), -4, later(100)), later(100)).holds == 6_000


def test_less_than_the_least_is_never_believed() -> None:
    """Somebody else may be using the user up; then the server's own pauses rule."""
    assert after_throttle(spent(1), NOON).holds == 10


def test_one_odd_answer_does_not_bring_us_to_a_halt() -> None:
    met = after_throttle(spent(6_000), NOON)
    assert after_throttle(met, later(600)).holds == pytest.approx(6_000 * DEEPEST_FALL)


def test_a_calm_window_that_was_used_up_makes_bolder_each_time() -> None:
    met = after_throttle(spent(6_000), NOON)
    once = after_calm(met, later(1))
    twice = after_calm(once, later(1))
    assert once.holds == pytest.approx(6_060)
    assert twice.holds == pytest.approx(6_060 * 1.02)


def test_a_calm_window_that_was_not_used_proves_nothing() -> None:
    met = after_throttle(spent(6_000), NOON)
    assert after_calm(met, later(400)).holds == 6_000


@given(
    holds=st.floats(20, 10_000),
    cost=st.floats(0.01, 3),
)
def test_whoever_waits_as_told_stays_below_the_limit_and_close_to_it(holds: float, cost: float) -> None:
    """A window after the first throttle, calls of one size that begin as soon as they may."""
    budget = after_throttle(spent(holds), NOON)
    now = later(310)
    ends = now + 2 * WINDOW
    used: list[tuple[datetime, float]] = []
    steps = 0
    while now < ends and steps < 3_000:
        steps += 1
        pause = wait(budget, now)
        if pause:
            now += pause
            continue
        budget = spend(budget, max(cost, holds / 1_000), now)
        used.append((now, max(cost, holds / 1_000)))
    last = now - WINDOW
    if last <= later(310):
        return
    total = sum(amount for at, amount in used if at > last)
    biggest = max(cost, holds / 1_000)
    assert total <= holds + biggest
    assert total >= 0.9 * SHARE * holds - 2 * biggest
