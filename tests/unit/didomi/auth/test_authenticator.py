"""Which configured method lets a caller in, from plain header values (config.example.yaml, `didomi.auth`)."""

import ipaddress
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pytest
from tests.clocks import START

from didomi_dataverse.didomi.auth.access_tokens import create_issuer
from didomi_dataverse.didomi.auth.authenticator import (
    MAX_REMEMBERED_FOR,
    MAX_REMEMBERED_TOKENS,
    AuthMethod,
    VerifyToken,
    WebhookAuthenticator,
)
from didomi_dataverse.didomi.auth.credentials import StaticHeader
from didomi_dataverse.didomi.auth.ip_allowlist import IpAllowlist
from didomi_dataverse.errors import AddressRefusedError, CredentialsError, KeysUnavailableError

T = TypeVar("T")

ISSUER = create_issuer(client_id="didomi", client_secrets=["a-long-secret-of-the-client"])
OURS = f"Bearer {ISSUER.issue(ISSUER.keys[0], START)}"
THEIRS = "Bearer token-of-the-provider"
HEADER = StaticHeader(name="X-Webhook-Secret", values=("a-long-header-secret",))


def completed(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("It waits.")


def headers(**values: str) -> Callable[[str], Sequence[str]]:
    """A request's headers, as the authenticator asks for them."""
    by_name = {name.replace("_", "-"): [value] for name, value in values.items()}
    return lambda name: by_name.get(name.lower(), [])


def provider(
    *, good_for: timedelta = timedelta(hours=1), is_reachable: bool = True
) -> tuple[VerifyToken, list[str]]:
    """An identity provider that knows one token, and the tokens that it was asked to verify."""
    asked: list[str] = []

    async def verify(token: str, now: datetime) -> datetime:
        asked.append(token)
        if not is_reachable:
            raise KeysUnavailableError
        if token != THEIRS.removeprefix("Bearer "):
            raise CredentialsError
        return now + good_for

    return verify, asked


@pytest.mark.parametrize(
    ("methods", "presented", "expected"),
    [
        pytest.param("ojh", headers(authorization=OURS), AuthMethod.OAUTH, id="our token"),
        pytest.param("ojh", headers(authorization=THEIRS), AuthMethod.JWT, id="the provider's token"),
        pytest.param(
            "ojh", headers(x_webhook_secret="a-long-header-secret"), AuthMethod.HEADER, id="the header"
        ),
        pytest.param(
            "ojh",
            headers(x_webhook_secret="a-long-header-secret", authorization="Bearer wrong"),
            AuthMethod.HEADER,
            id="the header, whatever token comes with it",
        ),
        pytest.param(
            "ojh",
            headers(x_webhook_secret="wrong", authorization=OURS),
            AuthMethod.OAUTH,
            id="our token beside a wrong header",
        ),
        pytest.param("oa", headers(), AuthMethod.ANONYMOUS, id="nothing, where that is allowed"),
        pytest.param("ojh", headers(), None, id="nothing"),
        pytest.param("ojh", headers(authorization="Bearer wrong"), None, id="a wrong token"),
        pytest.param("ojh", headers(authorization="Basic YTpi"), None, id="another scheme"),
        pytest.param("o", headers(authorization=THEIRS), None, id="the provider's token, only ours accepted"),
        pytest.param("j", headers(authorization=OURS), None, id="our token, only the provider's accepted"),
        pytest.param("h", headers(authorization=OURS), None, id="a token, only the header accepted"),
    ],
)
def test_a_caller_is_let_in_by_any_configured_method(
    methods: str, presented: Callable[[str], Sequence[str]], expected: AuthMethod | None
) -> None:
    authenticator = WebhookAuthenticator(
        access_tokens=ISSUER if "o" in methods else None,
        verify_jwt=provider()[0] if "j" in methods else None,
        static_header=HEADER if "h" in methods else None,
        allow_anonymous="a" in methods,
    )
    attempt = authenticator.authenticate(get_header=presented, now=START)

    if expected is None:
        with pytest.raises(CredentialsError):
            completed(attempt)
    else:
        assert completed(attempt) is expected


def test_a_token_that_cannot_be_verified_now_is_not_called_wrong() -> None:
    verify, _ = provider(is_reachable=False)
    authenticator = WebhookAuthenticator(access_tokens=ISSUER, verify_jwt=verify)

    with pytest.raises(KeysUnavailableError):
        completed(authenticator.authenticate(get_header=headers(authorization=THEIRS), now=START))


@pytest.mark.parametrize(
    ("good_for", "after", "verified"),
    [
        pytest.param(timedelta(hours=1), timedelta(0), 1, id="at once"),
        pytest.param(timedelta(hours=1), MAX_REMEMBERED_FOR - timedelta(seconds=1), 1, id="within minutes"),
        pytest.param(timedelta(hours=1), MAX_REMEMBERED_FOR, 2, id="after some minutes"),
        pytest.param(timedelta(seconds=30), timedelta(seconds=29), 1, id="before its end"),
        pytest.param(timedelta(seconds=30), timedelta(seconds=30), 2, id="at its end"),
    ],
)
def test_a_verified_token_is_remembered_for_some_minutes(
    good_for: timedelta, after: timedelta, verified: int
) -> None:
    verify, asked = provider(good_for=good_for)
    authenticator = WebhookAuthenticator(verify_jwt=verify)

    for now in (START, START + after):
        completed(authenticator.authenticate(get_header=headers(authorization=THEIRS), now=now))

    assert len(asked) == verified


def test_a_refused_token_is_not_remembered() -> None:
    verify, asked = provider()
    authenticator = WebhookAuthenticator(verify_jwt=verify)

    for _ in range(2):
        with pytest.raises(CredentialsError):
            completed(authenticator.authenticate(get_header=headers(authorization="Bearer x"), now=START))

    assert asked == ["x", "x"]


def test_many_tokens_do_not_fill_the_memory() -> None:
    tokens = WebhookAuthenticator()._verified_tokens
    for number in range(3):
        tokens.remember(f"token {number}", AuthMethod.JWT, good_until=START, now=START)
    for number in range(MAX_REMEMBERED_TOKENS):
        tokens.remember(f"other {number}", AuthMethod.JWT, good_until=START, now=START)

    assert len(tokens._methods) <= MAX_REMEMBERED_TOKENS


def test_an_address_that_is_not_on_the_list_is_refused() -> None:
    allowlist = IpAllowlist(
        allowed=(ipaddress.ip_network("192.0.2.1"),), trusted_proxies=(ipaddress.ip_network("10.0.0.0/8"),)
    )
    authenticator = WebhookAuthenticator(ip_allowlist=allowlist)

    with pytest.raises(AddressRefusedError, match="trusted_proxies"):
        authenticator.check_address(peer="192.0.2.9", get_header=headers())
    client = authenticator.check_address(peer="10.0.0.1", get_header=headers(x_forwarded_for="192.0.2.1"))

    assert client == ipaddress.ip_address("192.0.2.1")


def test_no_secret_is_shown() -> None:
    shown = repr(WebhookAuthenticator(access_tokens=ISSUER, static_header=HEADER))

    assert "a-long" not in shown
