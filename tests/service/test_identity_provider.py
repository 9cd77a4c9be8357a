"""Tokens of the customer's identity provider: keys are fetched, rotated, and kept while it is down."""

import asyncio
import hmac
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.utils import base64url_encode

from didomi_dataverse.didomi.auth.jwks import fetch_with
from didomi_dataverse.errors import CredentialsError, KeysUnavailableError
from tests.clocks import FrozenClock
from tests.unit.didomi.auth.keys import (
    AUDIENCE,
    JWKS_URL,
    NOW,
    Provider,
    ec_jwk,
    ec_key,
    key_set,
    rsa_jwk,
    rsa_key,
    token,
)


@pytest.mark.parametrize(
    "good",
    [
        pytest.param(token, id="RS256"),
        pytest.param(lambda: token(ec_key("two"), kid="two", algorithm="ES256"), id="ES256"),
        pytest.param(lambda: token(aud=[AUDIENCE, "api://other"]), id="one of several audiences"),
        pytest.param(lambda: token(exp=NOW.timestamp() - 299), id="expired within the leeway"),
        pytest.param(lambda: token(nbf=NOW.timestamp() + 299), id="not yet valid within the leeway"),
    ],
)
async def test_a_token_of_the_provider_is_accepted(good: Callable[[], str]) -> None:
    provider = Provider(key_set(rsa_jwk("one"), ec_jwk("two")))

    await provider.verifier().verify(good(), NOW)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(lambda: "abc", id="not a JWT"),
        pytest.param(lambda: token(rsa_key("foreign")), id="a foreign key under a known id"),
        pytest.param(
            lambda: base64url_encode(b'{"a":' + b"[" * 3_000).decode() + ".e30.",
            id="a head nested deeper than the library can parse",
        ),
        pytest.param(
            lambda: base64url_encode(b'{"alg":"RS256","kid":7}').decode() + ".e30.AA",
            id="a key id that is a number",
        ),
        pytest.param(lambda: token(kid="unknown"), id="an unknown key id"),
        pytest.param(lambda: token(kid=None), id="no key id, two keys"),
        pytest.param(lambda: token(iss="https://elsewhere.example.com"), id="another issuer"),
        pytest.param(lambda: token(iss=None), id="no issuer"),
        pytest.param(lambda: token(aud="api://other"), id="another audience"),
        pytest.param(lambda: token(aud=None), id="no audience"),
        pytest.param(lambda: token(exp=NOW.timestamp() - 300), id="expired"),
        pytest.param(lambda: token(exp=None), id="no end"),
        pytest.param(lambda: token(nbf=NOW.timestamp() + 301), id="not valid yet"),
        pytest.param(lambda: token(algorithm="RS512"), id="an algorithm that is not on the list"),
        pytest.param(lambda: token("x" * 32, algorithm="HS256"), id="a shared secret"),
        pytest.param(lambda: "eyJhbGciOiJub25lIiwia2lkIjoib25lIn0.e30.", id="not signed"),
        pytest.param(
            lambda: token(ec_key("two"), kid="one", algorithm="ES256"), id="the algorithm of another key"
        ),
        pytest.param(
            lambda: token(ec_key("two"), kid="two", algorithm="ES256")[:-8] + "AAAAAAAA", id="a forged end"
        ),
    ],
)
async def test_any_other_token_is_refused(bad: Callable[[], str]) -> None:
    provider = Provider(key_set(rsa_jwk("one"), ec_jwk("two")))

    with pytest.raises(CredentialsError):
        await provider.verifier().verify(bad(), NOW)


async def test_a_token_signed_with_the_public_key_as_a_secret_is_refused() -> None:
    """The known confusion of algorithms: the key is public, so every caller could sign with it."""
    _, claims, _ = token().encode().split(b".")
    signed = base64url_encode(b'{"alg":"HS256","kid":"one","typ":"JWT"}') + b"." + claims
    public_key = rsa_key("one").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signature = hmac.digest(public_key, signed, "sha256")
    forged = (signed + b"." + base64url_encode(signature)).decode()

    with pytest.raises(CredentialsError, match="not signed with one of"):
        await Provider().verifier().verify(forged, NOW)


async def test_a_token_without_key_id_means_the_only_key() -> None:
    await Provider().verifier().verify(token(kid=None), NOW)


async def test_keys_are_fetched_once_for_many_tokens() -> None:
    provider = Provider()
    verifier = provider.verifier()

    await asyncio.gather(*(verifier.verify(token(), NOW) for _ in range(20)))

    assert provider.asked == 1


async def test_a_new_key_is_fetched_when_a_token_names_it() -> None:
    provider, clock = Provider(), FrozenClock()
    verifier = provider.verifier(clock)
    await verifier.verify(token(), NOW)
    provider.answer = key_set(rsa_jwk("one"), ec_jwk("two"))
    clock.advance(timedelta(minutes=1))

    await verifier.verify(token(ec_key("two"), kid="two", algorithm="ES256"), NOW)

    assert provider.asked == 2


async def test_invented_key_ids_do_not_flood_the_provider() -> None:
    provider, clock = Provider(), FrozenClock()
    verifier = provider.verifier(clock)

    for number in range(30):
        with pytest.raises(CredentialsError):
            await verifier.verify(token(kid=f"invented {number}"), NOW)
        clock.advance(timedelta(seconds=4))

    assert provider.asked == 2


async def test_known_keys_are_good_while_the_provider_is_down() -> None:
    provider, clock = Provider(), FrozenClock()
    verifier = provider.verifier(clock)
    await verifier.verify(token(), NOW)
    provider.answer = None
    clock.advance(timedelta(hours=20))

    await verifier.verify(token(), NOW)

    assert provider.asked == 2


async def test_a_withdrawn_key_is_forgotten_within_the_hour() -> None:
    provider, clock = Provider(), FrozenClock()
    verifier = provider.verifier(clock)
    await verifier.verify(token(), NOW)
    provider.answer = key_set(ec_jwk("two"))
    clock.advance(timedelta(hours=1, seconds=1))

    with pytest.raises(CredentialsError, match="not among"):
        await verifier.verify(token(), NOW)


async def test_without_any_key_a_token_is_not_called_wrong() -> None:
    """503, not 401: the token may be good, and asking again later helps."""
    provider, clock = Provider(None), FrozenClock()
    verifier = provider.verifier(clock)

    for _ in range(10):
        with pytest.raises(KeysUnavailableError):
            await verifier.verify(token(), NOW)
    assert provider.asked == 1

    provider.answer = key_set(rsa_jwk("one"))
    clock.advance(timedelta(seconds=5))
    await verifier.verify(token(), NOW)


async def test_a_token_with_a_known_key_does_not_wait_for_a_refresh() -> None:
    provider, clock = Provider(), FrozenClock()
    verifier = provider.verifier(clock)
    await verifier.verify(token(), NOW)
    clock.advance(timedelta(hours=2))
    async with verifier._lock:  # as while a fetch for another token is under way
        await verifier.verify(token(), NOW)

    assert provider.asked == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(httpx.Response(503), id="an error"),
        pytest.param(
            httpx.Response(302, headers={"Location": "http://elsewhere.example.com"}), id="a redirect"
        ),
        pytest.param(httpx.Response(200, content=b"x" * 1_048_577), id="endless"),
    ],
)
async def test_an_unusable_answer_of_the_provider_is_reported_as_such(answer: httpx.Response) -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answer)) as client:
        with pytest.raises(KeysUnavailableError):
            await fetch_with(client)(JWKS_URL)


async def test_an_unreachable_provider_is_reported_as_such() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as client:
        with pytest.raises(KeysUnavailableError, match="ConnectError"):
            await fetch_with(client)(JWKS_URL)


async def test_the_body_of_a_good_answer_is_returned() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=b"{}"))
    async with httpx.AsyncClient(transport=transport) as client:
        assert await fetch_with(client)(JWKS_URL) == b"{}"
