"""An address that fails to log in too often has to wait."""

import ipaddress
from datetime import timedelta

import pytest

from didomi_dataverse.didomi.auth.rate_limit import LoginRateLimiter

ONE = ipaddress.ip_address("192.0.2.1")
OTHER = ipaddress.ip_address("192.0.2.2")


def limiter_with(*, failures: int, at: float = 100.0) -> LoginRateLimiter:
    """A limiter of three failures, one of which is forgiven every ten seconds."""
    limiter = LoginRateLimiter(burst=3, recovery=timedelta(seconds=10), max_addresses=5)
    for _ in range(failures):
        limiter.record_failure(ONE, at)
    return limiter


@pytest.mark.parametrize(
    ("failures", "after", "wait"),
    [
        pytest.param(0, 0.0, 0, id="no failure"),
        pytest.param(2, 0.0, 0, id="one try left"),
        pytest.param(3, 0.0, 10, id="none left"),
        pytest.param(3, 0.5, 10, id="rounded up"),
        pytest.param(3, 9.0, 1, id="nearly"),
        pytest.param(3, 10.0, 0, id="one failure forgiven"),
        pytest.param(4, 10.0, 10, id="a failure more, ten seconds more"),
        pytest.param(3, 1e9, 0, id="long ago"),
    ],
)
def test_an_address_that_fails_often_waits(failures: int, after: float, wait: int) -> None:
    assert limiter_with(failures=failures).wait_seconds(ONE, 100.0 + after) == wait


def test_after_the_wait_there_is_one_try() -> None:
    limiter = limiter_with(failures=3)
    limiter.record_failure(ONE, 110.0)

    assert limiter.wait_seconds(ONE, 110.0) == 10


def test_a_forgiven_address_starts_anew() -> None:
    limiter = limiter_with(failures=3)
    limiter.record_failure(ONE, 1_000.0)

    assert limiter.wait_seconds(ONE, 1_000.0) == 0


def test_another_address_does_not_wait() -> None:
    assert limiter_with(failures=9).wait_seconds(OTHER, 100.0) == 0


def test_callers_without_an_address_share_one_bucket() -> None:
    limiter = limiter_with(failures=0)
    for _ in range(3):
        limiter.record_failure(None, 100.0)

    assert limiter.wait_seconds(None, 100.0) == 10


def test_the_addresses_of_one_ipv6_subscriber_are_one() -> None:
    limiter = limiter_with(failures=0)
    for number in range(3):
        limiter.record_failure(ipaddress.ip_address(f"2001:db8::{number}"), 100.0)

    assert limiter.wait_seconds(ipaddress.ip_address("2001:db8::9"), 100.0) == 10
    assert limiter.wait_seconds(ipaddress.ip_address("2001:db8:0:1::9"), 100.0) == 0


def test_the_memory_is_bounded_and_forgets_the_oldest_failure() -> None:
    limiter = limiter_with(failures=3)
    for number in range(10, 15):
        limiter.record_failure(ipaddress.ip_address(f"192.0.2.{number}"), 100.0)

    assert limiter.wait_seconds(ONE, 100.0) == 0
    assert len(limiter._full_at) == 5
