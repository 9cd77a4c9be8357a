from datetime import UTC, datetime, timedelta

import pytest

from didomi_dataverse.didomi.payload.timestamps import (
    UNREADABLE,
    ParsedTime,
    clamp_to_received,
    parse_timestamp,
)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param("2026-10-05T10:00:00Z", utc(2026, 10, 5, 10), id="seconds and Z, as in the examples"),
        pytest.param("2026-10-05T10:00:00.123Z", utc(2026, 10, 5, 10, 0, 0, 123_000), id="milliseconds"),
        pytest.param(
            "2026-10-05T10:00:00.123456789Z", utc(2026, 10, 5, 10, 0, 0, 123_456), id="nanoseconds are cut"
        ),
        pytest.param("2026-10-05T10:00:00z", utc(2026, 10, 5, 10), id="small z"),
        pytest.param("2026-10-05t10:00:00Z", utc(2026, 10, 5, 10), id="small t"),
        pytest.param(" 2026-10-05T10:00:00Z ", utc(2026, 10, 5, 10), id="blanks around"),
        pytest.param("2026-10-05 10:00:00", utc(2026, 10, 5, 10), id="blank for T, no zone is UTC"),
        pytest.param("2026-10-05T10:00:00", utc(2026, 10, 5, 10), id="no zone is UTC"),
        pytest.param("2026-10-05T12:00:00+02:00", utc(2026, 10, 5, 10), id="offset"),
        pytest.param("2026-10-05T12:00:00+0200", utc(2026, 10, 5, 10), id="offset without colon"),
        pytest.param("2026-10-05T04:30:00-05:30", utc(2026, 10, 5, 10), id="negative offset"),
        pytest.param("2026-10-05", utc(2026, 10, 5), id="a date alone"),
        pytest.param(None, None, id="null"),
        pytest.param("", UNREADABLE, id="empty"),
        pytest.param("yesterday", UNREADABLE, id="words"),
        pytest.param("05/10/2026 10:00", UNREADABLE, id="another order"),
        pytest.param("2026-13-01T00:00:00Z", UNREADABLE, id="month 13"),
        pytest.param("2026-10-05T25:00:00Z", UNREADABLE, id="hour 25"),
        pytest.param("12026-10-05T10:00:00Z", UNREADABLE, id="year beyond the calendar"),
        pytest.param("0000-01-01T00:00:00Z", UNREADABLE, id="year 0"),
        pytest.param("0001-01-01T00:00:00+14:00", UNREADABLE, id="the offset leads before year 1"),
        pytest.param("9999-12-31T23:59:59-14:00", UNREADABLE, id="the offset leads behind year 9999"),
        pytest.param("2026-10-05T10:00:00Z" + "0" * 100, UNREADABLE, id="too long"),
        pytest.param(1_790_000_000, UNREADABLE, id="a number"),
        pytest.param(True, UNREADABLE, id="true"),
        pytest.param({}, UNREADABLE, id="an object"),
    ],
)
def test_a_time_is_read_as_utc(written: object, expected: ParsedTime) -> None:
    """didomi.md 1.6."""
    assert parse_timestamp(written) == expected


@pytest.mark.parametrize(
    ("ahead", "bounded"),
    [
        pytest.param(timedelta(0), False, id="at arrival"),
        pytest.param(timedelta(minutes=5), False, id="clocks that disagree"),
        pytest.param(timedelta(minutes=5, microseconds=1), True, id="a little more"),
        pytest.param(timedelta(days=365), True, id="next year"),
        pytest.param(timedelta(days=-365), False, id="last year"),
    ],
)
def test_a_time_in_the_future_becomes_the_arrival(ahead: timedelta, bounded: bool) -> None:
    received_at = utc(2026, 10, 5, 12)
    made_at = received_at + ahead

    assert clamp_to_received(made_at, received_at) == (received_at if bounded else made_at)
