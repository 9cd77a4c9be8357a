"""Which addresses may call, and which proxies are believed (didomi.md 1.9)."""

import ipaddress

import pytest

from didomi_dataverse.didomi.auth.ip_allowlist import IpAllowlist, IpNetwork, parse_address


def networks(*written: str) -> tuple[IpNetwork, ...]:
    return tuple(ipaddress.ip_network(network) for network in written)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param("35.159.1.63", "35.159.1.63", id="IPv4"),
        pytest.param(" 35.159.1.63 ", "35.159.1.63", id="blanks"),
        pytest.param("35.159.1.63:4711", "35.159.1.63", id="IPv4 with port"),
        pytest.param("2001:db8::1", "2001:db8::1", id="IPv6"),
        pytest.param("[2001:db8::1]", "2001:db8::1", id="IPv6 in brackets"),
        pytest.param('"[2001:db8::1]:4711"', "2001:db8::1", id="IPv6 with port, quoted"),
        pytest.param("fe80::1%eth0", "fe80::1", id="IPv6 with zone"),
        pytest.param("::ffff:35.159.1.63", "35.159.1.63", id="IPv4 spelt as IPv6"),
        pytest.param("unknown", None, id="a word"),
        pytest.param("", None, id="empty"),
        pytest.param("35.159.1", None, id="three numbers"),
        pytest.param("035.159.1.63", None, id="a leading zero"),
    ],
)
def test_an_address_is_parsed_as_proxies_write_it(written: str, expected: str | None) -> None:
    assert parse_address(written) == (None if expected is None else ipaddress.ip_address(expected))


PROXIES = networks("10.0.0.0/8", "2001:db8:aaaa::/48")


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        pytest.param("35.159.1.63", [], "35.159.1.63", id="no proxy"),
        pytest.param(
            "35.159.1.63", ["1.2.3.4"], "35.159.1.63", id="a header from a peer that is not trusted"
        ),
        pytest.param("10.0.0.1", ["35.159.1.63"], "35.159.1.63", id="through our proxy"),
        pytest.param("10.0.0.1", ["1.2.3.4, 35.159.1.63"], "35.159.1.63", id="the caller wrote one before"),
        pytest.param("10.0.0.1", ["35.159.1.63, 10.0.0.2"], "35.159.1.63", id="through two of our proxies"),
        pytest.param("10.0.0.1", ["1.2.3.4", "35.159.1.63"], "35.159.1.63", id="two headers"),
        pytest.param("10.0.0.1", ["35.159.1.63, bogus"], None, id="our proxy wrote nonsense"),
        pytest.param(
            "10.0.0.1", ["bogus, 35.159.1.63"], "35.159.1.63", id="the caller wrote nonsense before"
        ),
        pytest.param("10.0.0.1", ["35.159.1.63,"], "35.159.1.63", id="a comma at the end"),
        pytest.param("10.0.0.1", [], "10.0.0.1", id="the proxy itself calls"),
        pytest.param("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3", id="all of them are ours"),
        pytest.param("2001:db8:aaaa::1", ["35.159.1.63"], "35.159.1.63", id="an IPv6 proxy"),
        pytest.param("::ffff:10.0.0.1", ["35.159.1.63:99"], "35.159.1.63", id="a mapped peer, a port"),
        pytest.param(None, ["35.159.1.63"], None, id="no address at all"),
        pytest.param("testclient", [], None, id="a word in place of the address"),
    ],
)
def test_the_client_is_the_right_most_address_that_is_not_a_proxy(
    peer: str | None, forwarded_for: list[str], client: str | None
) -> None:
    allowlist = IpAllowlist(trusted_proxies=PROXIES)

    assert allowlist.find_client(peer, forwarded_for) == (
        None if client is None else ipaddress.ip_address(client)
    )


@pytest.mark.parametrize(
    ("allowed", "client", "expected"),
    [
        pytest.param((), "1.2.3.4", True, id="no list"),
        pytest.param((), None, True, id="no list, no address"),
        pytest.param(("35.159.1.63",), "35.159.1.63", True, id="the address"),
        pytest.param(("35.159.1.63",), "35.159.1.64", False, id="its neighbour"),
        pytest.param(("35.159.1.0/24",), "35.159.1.64", True, id="a network"),
        pytest.param(("2001:db8::/32",), "2001:db8::9", True, id="IPv6"),
        pytest.param(("2001:db8::/32", "1.2.3.4"), "1.2.3.4", True, id="both families"),
        pytest.param(("0.0.0.0/0",), "2001:db8::9", False, id="the other family"),
        pytest.param(("0.0.0.0/0",), None, False, id="no address"),
    ],
)
def test_the_list_says_who_may_call(allowed: tuple[str, ...], client: str | None, expected: bool) -> None:
    allowlist = IpAllowlist(allowed=networks(*allowed))

    assert allowlist.is_allowed(None if client is None else ipaddress.ip_address(client)) is expected
