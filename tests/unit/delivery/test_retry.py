"""When a contact is tried again, and when it is parked instead."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.delivery.claims import NOW, claim

from didomi_dataverse.delivery.outcome import (
    Conclusion,
    Outcome,
    Parked,
    ParkReason,
    Retried,
    Unmatched,
)
from didomi_dataverse.delivery.retry import (
    FIRST_RETRY,
    LONGEST_RETRY,
    RetryLimits,
    apply_retry_limits,
    retry_delay,
)

WEEK = RetryLimits(unmatched_for=timedelta(days=7))


@pytest.mark.parametrize(("attempts", "expected"), [(4, Retried(5)), (5, Parked(ParkReason.REJECTED))])
def test_a_failing_row_is_parked_in_the_end(attempts: int, expected: Outcome) -> None:
    contact = claim(attempts=attempts).contact
    assert (
        apply_retry_limits(Conclusion(outcome=Retried(5)), contact, limits=WEEK, now=NOW).outcome == expected
    )


def test_a_failing_server_parks_no_row() -> None:
    contact = claim(attempts=999).contact
    kept = apply_retry_limits(Conclusion(outcome=Retried(None)), contact, limits=WEEK, now=NOW)
    assert kept.outcome == Retried(None)


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (None, Unmatched()),
        (NOW - timedelta(days=6, hours=23), Unmatched()),
        (NOW - timedelta(days=7), Parked(ParkReason.UNMATCHED)),
    ],
)
def test_a_missing_row_is_parked_in_the_end(since: datetime | None, expected: Outcome) -> None:
    contact = claim(unmatched_since=since).contact
    assert (
        apply_retry_limits(Conclusion(outcome=Unmatched()), contact, limits=WEEK, now=NOW).outcome == expected
    )


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_retries_wait_between_a_second_and_a_quarter_of_an_hour(attempts: int, jitter: float) -> None:
    assert FIRST_RETRY / 2 <= retry_delay(attempts, jitter) <= LONGEST_RETRY
