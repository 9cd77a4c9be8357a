import ipaddress
from datetime import timedelta

import pytest

from didomi_dataverse.didomi.auth.rate_limit import LoginRateLimiter

ONE = ipaddress.ip_address("192.0.2.1")
OTHER = ipaddress.ip_address("192.0.2.2")


def limit_of(*, failures: int, at: float = 100.0) -> LoginRateLimiter:
    """A limit of three failures, one of which is forgiven every ten seconds."""
    limit = LoginRateLimiter(burst=3, recovery=timedelta(seconds=10), max_addresses=5)
    for _ in range(failures):
        limit.failed(ONE, at)
    return limit


@pytest.mark.parametrize(
    ("failures", "after", "wait"),
    [
        pytest.param(0, 0.0, 0, id="no failure"),
        pytest.param(2, 0.0, 0, id="one try left"),
        pytest.param(3, 0.0, 10, id="none left"),
        pytest.param(3, 0.5, 10, id="rounded up"),
        pytest.param(3, 9.0, 1, id="nearly"),
        pytest.param(3, 10.0, 0, id="one forgiven"),
        pytest.param(4, 10.0, 10, id="a failure more, ten seconds more"),
        pytest.param(3, 1e9, 0, id="long ago"),
    ],
)
def test_an_address_that_fails_often_waits(failures: int, after: float, wait: int) -> None:
    assert limit_of(failures=failures).wait_seconds(ONE, 100.0 + after) == wait


def test_after_the_wait_there_is_one_try() -> None:
    limit = limit_of(failures=3)
    limit.failed(ONE, 110.0)

    assert limit.wait_seconds(ONE, 110.0) == 10


def test_a_forgiven_address_starts_anew() -> None:
    limit = limit_of(failures=3)
    limit.failed(ONE, 1_000.0)

    assert limit.wait_seconds(ONE, 1_000.0) == 0


def test_another_address_does_not_wait() -> None:
    assert limit_of(failures=9).wait_seconds(OTHER, 100.0) == 0


def test_callers_without_an_address_share_one_limit() -> None:
    limit = limit_of(failures=0)
    for _ in range(3):
        limit.failed(None, 100.0)

    assert limit.wait_seconds(None, 100.0) == 10


def test_the_addresses_of_one_ipv6_subscriber_are_one() -> None:
    limit = limit_of(failures=0)
    for number in range(3):
        limit.failed(ipaddress.ip_address(f"2001:db8::{number}"), 100.0)

    assert limit.wait_seconds(ipaddress.ip_address("2001:db8::9"), 100.0) == 10
    assert limit.wait_seconds(ipaddress.ip_address("2001:db8:0:1::9"), 100.0) == 0


def test_the_memory_is_bounded_and_forgets_the_oldest_failure() -> None:
    limit = limit_of(failures=3)
    for number in range(10, 15):
        limit.failed(ipaddress.ip_address(f"192.0.2.{number}"), 100.0)

    assert limit.wait_seconds(ONE, 100.0) == 0
    assert len(limit._full_at) == 5
