"""A steady clock is not moved by a change of the machine's time of day."""

from datetime import timedelta

from didomi_dataverse.clock import SteadyClock
from tests.clocks import START, FrozenClock


def test_a_steady_clock_starts_at_the_time_of_day() -> None:
    assert SteadyClock(FrozenClock()).now() == START


def test_a_change_of_the_time_of_day_does_not_move_a_steady_clock() -> None:
    clock = FrozenClock()
    steady = SteadyClock(clock)
    steady.now()

    clock.advance(timedelta(seconds=10))
    clock._now += timedelta(days=1)

    assert steady.now() == START + timedelta(seconds=10)
