"""`notifications list --since`: a time, or how long ago."""

from datetime import UTC, datetime

import pytest

from didomi_dataverse.cli.notifications import parse_since

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("90m", datetime(2026, 3, 1, 10, 30, tzinfo=UTC), id="minutes"),
        pytest.param("12h", datetime(2026, 3, 1, tzinfo=UTC), id="hours"),
        pytest.param("7d", datetime(2026, 2, 22, 12, tzinfo=UTC), id="days"),
        pytest.param("2w", datetime(2026, 2, 15, 12, tzinfo=UTC), id="weeks"),
        pytest.param("2026-02-01", datetime(2026, 2, 1, tzinfo=UTC), id="a day"),
        pytest.param("2026-02-01T10:00:00+02:00", datetime(2026, 2, 1, 8, tzinfo=UTC), id="a zone"),
    ],
)
def test_a_time_is_understood(text: str, expected: datetime) -> None:
    assert parse_since(text, now=NOW) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("yesterday", "yesterday is not a valid time. Write 2026-10-05T12:00:00Z", id="a word"),
        pytest.param("12", "12 is not a valid time", id="no unit"),
        pytest.param("9999999d", "9999999d is out of range", id="before the calendar begins"),
    ],
)
def test_anything_else_says_what_to_write(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_since(text, now=NOW)
