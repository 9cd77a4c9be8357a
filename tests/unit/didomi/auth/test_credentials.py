"""May this caller call? Headers and addresses (didomi.md 1.8, 1.9)."""

import ipaddress

import pytest

from didomi_dataverse.didomi.auth.credentials import (
    MAX_CREDENTIAL_CHARACTERS,
    StaticHeader,
    bearer_token,
    is_one_of,
)
from didomi_dataverse.didomi.auth.ip_allowlist import AddressList, parsed_address
from didomi_dataverse.errors import CredentialsError

HEADER = StaticHeader(name="X-Webhook-Secret", values=("new secret value", "old secret välue"))


@pytest.mark.parametrize(
    ("presented", "accepted"),
    [
        pytest.param(["new secret value"], True, id="the first value"),
        pytest.param(["old secret v\u00c3\u00a4lue"], True, id="the second value, UTF-8 seen as Latin-1"),
        pytest.param([], False, id="no header"),
        pytest.param([""], False, id="empty"),
        pytest.param(["new secret valu"], False, id="the beginning of it"),
        pytest.param(["new secret value "], False, id="a blank more"),
        pytest.param(["New secret value"], False, id="another case"),
        pytest.param(["new secret value", "new secret value"], False, id="twice"),
        pytest.param(["new secret value, new secret value"], False, id="twice, joined"),
        pytest.param(["x" * (MAX_CREDENTIAL_CHARACTERS + 1)], False, id="endless"),
    ],
)
def test_a_header_proves_the_caller_by_its_value(presented: list[str], accepted: bool) -> None:
    assert HEADER.accepts(presented) is accepted


def test_a_header_does_not_show_its_values() -> None:
    assert "secret v" not in repr(HEADER)


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        pytest.param([b"a", b"b"], True, id="first"),
        pytest.param([b"b", b"a"], True, id="last"),
        pytest.param([b"b"], False, id="another"),
        pytest.param([], False, id="none"),
    ],
)
def test_a_secret_is_one_of_several(accepted: list[bytes], expected: bool) -> None:
    assert is_one_of(b"a", accepted) is expected


@pytest.mark.parametrize(
    ("authorization", "token"),
    [
        pytest.param([], None, id="no header"),
        pytest.param(["Bearer abc.def"], "abc.def", id="Bearer"),
        pytest.param(["bearer abc"], "abc", id="small letters"),
        pytest.param(["BEARER  abc "], "abc", id="capitals and blanks"),
    ],
)
def test_a_bearer_token_is_found(authorization: list[str], token: str | None) -> None:
    assert bearer_token(authorization) == token


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param([""], id="empty"),
        pytest.param(["Bearer"], id="no token"),
        pytest.param(["Basic YTpi"], id="another scheme"),
        pytest.param(["abc.def"], id="no scheme"),
        pytest.param(["Bearer a b"], id="two tokens"),
        pytest.param(["Bearer a\u00e9"], id="a character that no token has"),
        pytest.param(["Bearer a\r\nX: y"], id="a header inside"),
        pytest.param(["Bearer a\x00"], id="NUL"),
        pytest.param(["Bearer " + "a" * (MAX_CREDENTIAL_CHARACTERS + 1)], id="endless"),
        pytest.param(["Bearer a", "Bearer b"], id="two headers"),
    ],
)
def test_anything_else_in_the_authorization_header_is_refused(authorization: list[str]) -> None:
    with pytest.raises(CredentialsError):
        bearer_token(authorization)


def networks(*written: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
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
def test_an_address_is_read_as_proxies_write_it(written: str, expected: str | None) -> None:
    assert parsed_address(written) == (None if expected is None else ipaddress.ip_address(expected))


PROXIES = networks("10.0.0.0/8", "2001:db8:aaaa::/48")


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        pytest.param("35.159.1.63", [], "35.159.1.63", id="no proxy"),
        pytest.param("35.159.1.63", ["1.2.3.4"], "35.159.1.63", id="a header from nobody we trust"),
        pytest.param("10.0.0.1", ["35.159.1.63"], "35.159.1.63", id="through our proxy"),
        pytest.param("10.0.0.1", ["1.2.3.4, 35.159.1.63"], "35.159.1.63", id="the sender wrote one before"),
        pytest.param("10.0.0.1", ["35.159.1.63, 10.0.0.2"], "35.159.1.63", id="through two of our proxies"),
        pytest.param("10.0.0.1", ["1.2.3.4", "35.159.1.63"], "35.159.1.63", id="two headers"),
        pytest.param("10.0.0.1", ["35.159.1.63, bogus"], None, id="our proxy wrote nonsense"),
        pytest.param(
            "10.0.0.1", ["bogus, 35.159.1.63"], "35.159.1.63", id="the sender wrote nonsense before"
        ),
        pytest.param("10.0.0.1", ["35.159.1.63,"], "35.159.1.63", id="a comma at the end"),
        pytest.param("10.0.0.1", [], "10.0.0.1", id="the proxy itself calls"),
        pytest.param("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3", id="all of them are ours"),
        pytest.param("2001:db8:aaaa::1", ["35.159.1.63"], "35.159.1.63", id="an IPv6 proxy"),
        pytest.param("::ffff:10.0.0.1", ["35.159.1.63:99"], "35.159.1.63", id="a mapped peer, a port"),
        pytest.param(None, ["35.159.1.63"], None, id="no address at all"),
        pytest.param("testclient", [], None, id="no address but a word"),
    ],
)
def test_the_client_is_the_right_most_address_that_is_no_proxy(
    peer: str | None, forwarded_for: list[str], client: str | None
) -> None:
    addresses = AddressList(trusted_proxies=PROXIES)

    assert addresses.client(peer, forwarded_for) == (None if client is None else ipaddress.ip_address(client))


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
    addresses = AddressList(allowed=networks(*allowed))

    assert addresses.allows(None if client is None else ipaddress.ip_address(client)) is expected
