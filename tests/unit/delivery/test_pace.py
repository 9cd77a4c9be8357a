"""How each thing that happens to the sender changes its pace."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from didomi_dataverse.delivery.outcome import AlertReason
from didomi_dataverse.delivery.pace import (
    CALLS_PER_STEP,
    LONGEST_FAILURE_PAUSE,
    Pace,
    after_alert,
    after_failure,
    after_success,
    after_throttle,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
START = Pace.at_start(max_parallel=8, max_rows=50)


def test_the_start_is_careful() -> None:
    assert (START.parallel, START.rows, START.is_paused(NOON)) == (4, 50, False)


def test_a_row_of_successes_allows_one_more_call_at_a_time() -> None:
    pace = START
    for _ in range(CALLS_PER_STEP):
        pace = after_success(pace, parallel_hint=None)
    assert pace.parallel == START.parallel + 1


def test_the_servers_own_hint_is_never_exceeded() -> None:
    assert after_success(START, parallel_hint=2).parallel == 2


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
    assert after_success(pace, parallel_hint=None).rows == 2


def test_an_alert_asks_with_one_row_and_remembers_since_when() -> None:
    first = after_alert(START, AlertReason.REFUSED, "Give the role.", now=NOON)
    later = after_alert(first, AlertReason.REFUSED, "Give the role.", now=NOON + timedelta(minutes=1))
    assert (later.rows, later.parallel) == (1, 1)
    assert later.alert is not None
    assert later.alert.since == NOON


def test_a_success_ends_the_alert() -> None:
    stopped = after_alert(START, AlertReason.CREDENTIAL, "Renew the secret.", now=NOON)
    assert after_success(stopped, parallel_hint=None).alert is None


@given(
    st.lists(st.sampled_from(["success", "hint", "throttle", "failure", "alert"]), max_size=40),
    st.floats(0, 1, exclude_max=True),
)
def test_the_pace_stays_within_the_operators_bounds(events: list[str], jitter: float) -> None:
    pace = START
    for happened in events:
        match happened:
            case "success":
                pace = after_success(pace, parallel_hint=None)
            case "hint":
                pace = after_success(pace, parallel_hint=52)
            case "throttle":
                pace = after_throttle(pace, retry_after=None, now=NOON, jitter=jitter)
            case "failure":
                pace = after_failure(pace, retry_after=None, now=NOON, jitter=jitter)
            case _:
                pace = after_alert(pace, AlertReason.REFUSED, "", now=NOON)
        assert 1 <= pace.parallel <= pace.max_parallel
        assert 1 <= pace.rows <= pace.max_rows
