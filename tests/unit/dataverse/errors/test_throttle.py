"""What a throttled answer says of the limits (dataverse.md 4.1)."""

from datetime import timedelta

import pytest

from didomi_dataverse.dataverse.errors.throttle import (
    AdvertisedLimit,
    LimitKind,
    find_limit,
    parse_advertised,
)


@pytest.mark.parametrize(
    ("code", "status", "limit"),
    [
        ("0x80072322", 429, LimitKind.REQUESTS),
        ("0x80072321", 429, LimitKind.TIME),
        ("0x80072326", 429, LimitKind.CONCURRENCY),
        ("0x80072322", 503, LimitKind.REQUESTS),
        ("0x8005f103", 429, LimitKind.UNNAMED),
        ("", 429, LimitKind.UNNAMED),
        ("", 503, LimitKind.NONE),
    ],
)
def test_the_code_names_the_limit(code: str, status: int, limit: LimitKind) -> None:
    assert find_limit(code, status) is limit


@pytest.mark.parametrize(
    ("message", "advertised"),
    [
        pytest.param(
            "Number of requests exceeded the limit of 6000 over time window of 300 seconds.",
            AdvertisedLimit(6_000, timedelta(seconds=300)),
            id="calls",
        ),
        pytest.param(
            "Combined execution time of incoming requests exceeded limit of 1,200,000 milliseconds over time "
            "window of 300 seconds. Try again later.",
            AdvertisedLimit(1_200, timedelta(seconds=300)),
            id="run time",
        ),
        pytest.param("exceeded the limit of 0 over time window of 300 seconds", None, id="nothing"),
        pytest.param("exceeded the limit of 9 over time window of 0 seconds", None, id="no window"),
        pytest.param("exceeded the limit of 9 over time window of 0.001 seconds", None, id="a tiny window"),
        pytest.param("exceeded the limit of 9 over time window of 1.2.3 seconds", None, id="not a number"),
        pytest.param(f"limit of 9 over time window of 3{'0' * 14} seconds", None, id="a window of ages"),
        pytest.param(f"limit of {'9' * 400} over time window of 300 seconds", None, id="a huge number"),
        pytest.param(f"limit of {'9' * 5_000} over time window of 300 seconds", None, id="a number of pages"),
        pytest.param("Too many requests.", None, id="another text"),
    ],
)
def test_the_text_states_what_a_server_admits(message: str, advertised: AdvertisedLimit | None) -> None:
    assert parse_advertised(message) == advertised
