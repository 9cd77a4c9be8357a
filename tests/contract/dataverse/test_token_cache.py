import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from msal.exceptions import MsalServiceError  # type: ignore[import-untyped]
from tests.clocks import FrozenClock

from didomi_dataverse.dataverse.auth.credentials import ClientSecret
from didomi_dataverse.dataverse.auth.token_cache import TokenCache, authority_url
from didomi_dataverse.errors import TokenRefusedError, TokenUnavailableError

from .fakes import Connections, FakeEntra, granted

SCOPE = "https://acme.crm4.dynamics.com/.default"
MINUTE = timedelta(minutes=1)
DOWN = MsalServiceError("HTTP Error: 503", error=None, error_description=None)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@asynccontextmanager
async def caching(entra: FakeEntra, clock: FrozenClock, *failures: Exception) -> AsyncIterator[TokenCache]:
    cache = TokenCache(entra.opener(*failures), scope=SCOPE, clock=clock)
    try:
        yield cache
    finally:
        await cache.aclose()


async def until(fact: Callable[[], bool]) -> None:
    """Lets other tasks run until something is so."""
    async with asyncio.timeout(10):
        while not fact():  # noqa: ASYNC110 - most of these facts come from a thread
            await asyncio.sleep(0)


async def settled(cache: TokenCache) -> None:
    await until(lambda: cache._flight is None)


async def test_a_token_is_asked_for_once_and_kept(clock: FrozenClock) -> None:
    entra = FakeEntra()
    async with caching(entra, clock) as cache:
        tokens = [await cache.bearer() for _ in range(3)]

    assert tokens == ["token-1"] * 3
    assert entra.asked == [[SCOPE]]


async def test_callers_who_come_together_share_one_request(clock: FrozenClock) -> None:
    """MSAL alone sends one each (dataverse.md 10, "concurrency")."""
    entra = FakeEntra()
    entra.held = threading.Event()
    async with caching(entra, clock) as cache:
        callers = [asyncio.create_task(cache.bearer()) for _ in range(5)]
        await until(lambda: len(entra.asked) == 1)
        entra.held.set()

        assert await asyncio.gather(*callers) == ["token-1"] * 5
    assert len(entra.asked) == 1


async def test_a_caller_who_gives_up_does_not_take_the_token_from_the_others(clock: FrozenClock) -> None:
    entra = FakeEntra()
    entra.held = threading.Event()
    async with caching(entra, clock) as cache:
        impatient, patient = (asyncio.create_task(cache.bearer()) for _ in range(2))
        await until(lambda: len(entra.asked) == 1)
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        entra.held.set()

        assert await patient == "token-1"


async def test_an_ageing_token_is_renewed_while_callers_go_on_with_it(clock: FrozenClock) -> None:
    entra = FakeEntra()
    async with caching(entra, clock) as cache:
        await cache.bearer()
        clock.advance(timedelta(seconds=3599) - 9 * MINUTE)
        entra.held = threading.Event()

        assert await cache.bearer() == "token-1"
        assert await cache.bearer() == "token-1"
        entra.held.set()
        await settled(cache)

        assert await cache.bearer() == "token-2"
    assert len(entra.asked) == 2
    # Otherwise MSAL would give back its own copy of the first one.
    assert entra.removed == 2


async def test_a_young_token_is_left_alone(clock: FrozenClock) -> None:
    entra = FakeEntra()
    async with caching(entra, clock) as cache:
        await cache.bearer()
        clock.advance(timedelta(seconds=3599) - 11 * MINUTE)
        await cache.bearer()
        await settled(cache)

    assert len(entra.asked) == 1


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(DOWN, id="Entra answers 503"),
        pytest.param(ConnectionError("no route"), id="no network"),
        pytest.param({"error": "temporarily_unavailable"}, id="Entra is busy"),
        pytest.param({"error": "invalid_client", "error_codes": [7000222]}, id="the secret expired"),
    ],
)
async def test_a_failed_renewal_is_noticed_only_when_the_token_ends(
    clock: FrozenClock, failure: Exception | dict[str, object]
) -> None:
    """MSAL alone raises on a 503 even while it holds a usable token (dataverse.md 10)."""
    entra = FakeEntra(granted("token-1"), failure, failure)
    async with caching(entra, clock) as cache:
        await cache.bearer()
        clock.advance(timedelta(seconds=3599) - 2 * MINUTE)

        assert await cache.bearer() == "token-1"
        await settled(cache)
        assert len(entra.asked) == 2
        assert await cache.bearer() == "token-1"
        clock.advance(MINUTE + timedelta(seconds=1))

        with pytest.raises((TokenUnavailableError, TokenRefusedError)):
            await cache.bearer()


async def test_a_failed_renewal_is_repeated_in_the_background_every_half_minute(clock: FrozenClock) -> None:
    entra = FakeEntra(granted("token-1"), DOWN)
    async with caching(entra, clock) as cache:
        await cache.bearer()
        clock.advance(timedelta(seconds=3599) - 8 * MINUTE)
        for _ in range(3):
            await cache.bearer()
            await settled(cache)
        asked_at_first = len(entra.asked)
        clock.advance(timedelta(seconds=30))
        await cache.bearer()
        await settled(cache)

        assert (asked_at_first, len(entra.asked)) == (2, 3)
        assert await cache.bearer() == "token-3"


async def test_a_short_lived_token_is_used_for_a_share_of_its_life(clock: FrozenClock) -> None:
    """Otherwise one that lives for less than a minute would be too old from the start."""
    entra = FakeEntra(granted("token-1", expires_in=40), granted("token-2", expires_in=40))
    async with caching(entra, clock) as cache:
        assert await cache.bearer() == "token-1"
        clock.advance(timedelta(seconds=10))
        assert await cache.bearer() == "token-1"
        clock.advance(timedelta(seconds=26))
        assert await cache.bearer() == "token-2"


async def test_a_refused_token_is_replaced_once_a_minute(clock: FrozenClock) -> None:
    """dataverse.md 10, "Wrapper"."""
    entra = FakeEntra()
    async with caching(entra, clock) as cache:
        first = await cache.bearer()

        assert await cache.renew(first) is True
        second = await cache.bearer()
        assert second == "token-2"
        assert await cache.renew(second) is False
        clock.advance(MINUTE)
        assert await cache.renew(second) is True
        assert await cache.bearer() == "token-3"


async def test_a_late_caller_with_a_refused_token_gets_the_new_one(clock: FrozenClock) -> None:
    entra = FakeEntra()
    async with caching(entra, clock) as cache:
        first = await cache.bearer()
        await cache.renew(first)

        assert await cache.renew(first) is True
    assert len(entra.asked) == 2


async def test_calls_that_are_refused_together_share_one_renewal(clock: FrozenClock) -> None:
    entra = FakeEntra()
    async with caching(entra, clock) as cache:
        first = await cache.bearer()
        entra.held = threading.Event()
        refused = [asyncio.create_task(cache.renew(first)) for _ in range(4)]
        await until(lambda: len(entra.asked) == 2)
        entra.held.set()

        assert await asyncio.gather(*refused) == [True] * 4
    assert len(entra.asked) == 2


async def test_an_answer_that_is_the_same_token_again_is_no_renewal(clock: FrozenClock) -> None:
    entra = FakeEntra(granted("same"), granted("same"))
    async with caching(entra, clock) as cache:
        assert await cache.renew(await cache.bearer()) is False


@pytest.mark.parametrize(
    ("answer", "sign", "advice"),
    [
        pytest.param(
            {"error": "invalid_client", "error_codes": [7000215]}, "AADSTS7000215", "not its id", id="wrong"
        ),
        pytest.param(
            {"error": "invalid_client", "error_codes": [7000222]}, "AADSTS7000222", "expired", id="expired"
        ),
        pytest.param(
            {"error": "invalid_client", "error_codes": [7000218]}, "AADSTS7000218", "client_secret", id="none"
        ),
        pytest.param(
            {"error": "unauthorized_client", "error_codes": [700016]}, "AADSTS700016", "client_id", id="app"
        ),
        pytest.param(
            {"error": "invalid_request", "error_codes": [90002]}, "AADSTS90002", "tenant_id", id="tenant"
        ),
        pytest.param(
            {"error": "invalid_resource", "error_codes": [500011]},
            "AADSTS500011",
            "dataverse.url",
            id="environment",
        ),
        pytest.param(
            {"error": "invalid_client", "error_description": "AADSTS7000222: it is over."},
            "AADSTS7000222",
            "expired",
            id="number in the text only",
        ),
        pytest.param(
            {"error": "invalid_scope", "error_description": "AADSTS1002012: scope 'x' is bad. Trace ID: 9"},
            "AADSTS1002012",
            'Entra says: "AADSTS1002012: scope *** is bad."',
            id="unknown number",
        ),
    ],
)
async def test_a_refusal_says_what_to_do(
    clock: FrozenClock, answer: dict[str, object], sign: str, advice: str
) -> None:
    async with caching(FakeEntra(answer), clock) as cache:
        with pytest.raises(TokenRefusedError) as refused:
            await cache.bearer()

    assert sign in str(refused.value)
    assert advice in str(refused.value)


async def test_a_refusal_repeats_no_id_and_no_name(clock: FrozenClock) -> None:
    answer = {
        "error": "invalid_grant",
        "error_description": "AADSTS50000: user 'jane@acme.example' of 6f1c2d3e-0000-4000-8000-000000000001"
        "\r\nTrace ID: 11111111-1111-1111-1111-111111111111 Timestamp: 2026-03-04",
        "error_codes": [50000],
        "trace_id": "11111111-1111-1111-1111-111111111111",
    }
    async with caching(FakeEntra(answer), clock) as cache:
        with pytest.raises(TokenRefusedError) as refused:
            await cache.bearer()

    assert not [word for word in ("jane", "6f1c", "1111", "Trace") if word in str(refused.value)]


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(DOWN, id="503"),
        pytest.param(TimeoutError(), id="time-out"),
        pytest.param(ValueError("no JSON"), id="a page"),
        pytest.param({"error": "temporarily_unavailable", "error_codes": [90033]}, id="busy"),
        pytest.param({"error": "server_error"}, id="server error"),
        pytest.param({}, id="empty"),
        pytest.param({"access_token": ""}, id="empty token"),
    ],
)
async def test_what_may_pass_is_not_called_a_refusal(
    clock: FrozenClock, failure: Exception | dict[str, object]
) -> None:
    async with caching(FakeEntra(failure), clock) as cache:
        with pytest.raises(TokenUnavailableError):
            await cache.bearer()

        assert await cache.bearer() == "token-2"


async def test_an_authority_that_cannot_be_reached_is_tried_again(clock: FrozenClock) -> None:
    """MSAL's constructor already speaks to it (dataverse.md 10)."""
    async with caching(FakeEntra(), clock, ConnectionError("no route")) as cache:
        with pytest.raises(TokenUnavailableError, match="ConnectionError"):
            await cache.bearer()

        assert await cache.bearer() == "token-1"


async def test_an_authority_that_knows_no_such_tenant_is_the_operator_s_to_mend(clock: FrozenClock) -> None:
    async with caching(FakeEntra(), clock, ValueError("Unable to get the configuration")) as cache:
        with pytest.raises(TokenRefusedError, match=r"dataverse\.tenant_id"):
            await cache.bearer()


async def test_closing_gives_up_a_request_and_closes_the_connections(clock: FrozenClock) -> None:
    entra, connections = FakeEntra(), Connections()
    cache = TokenCache(entra.opener(), scope=SCOPE, clock=clock, http=connections)
    await cache.bearer()
    entra.held = threading.Event()
    waiting: Awaitable[bool] = asyncio.ensure_future(cache.renew("token-1"))
    await until(lambda: len(entra.asked) == 2)

    await cache.aclose()
    entra.held.set()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert connections.closed


def test_a_secret_does_not_show_itself() -> None:
    assert "s3cret" not in repr(ClientSecret("s3cret"))


@pytest.mark.parametrize(
    ("authority", "url"),
    [
        pytest.param(None, "https://login.microsoftonline.com/acme", id="public cloud"),
        pytest.param("https://login.microsoftonline.us/", "https://login.microsoftonline.us/acme", id="host"),
        pytest.param("https://localhost:8443/other", "https://localhost:8443/other", id="with a path"),
        pytest.param("https://adfs.acme.example/adfs/", "https://adfs.acme.example/adfs", id="AD FS"),
    ],
)
def test_the_tenant_is_added_to_an_authority_without_a_path(authority: str | None, url: str) -> None:
    assert authority_url(authority, "acme") == url


@pytest.mark.parametrize("authority", ["http://localhost:8443", "localhost/acme", "https:///acme"])
def test_an_authority_is_https(authority: str) -> None:
    with pytest.raises(ValueError, match="https"):
        authority_url(authority, "acme")
