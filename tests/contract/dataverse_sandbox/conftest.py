"""A sandbox in the event loop of the test, and a caller that already holds a token."""

from collections.abc import AsyncIterator

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from dataverse_sandbox import SandboxApp, SandboxIdentity

BASE_URL = "https://sandbox.test"
CONTROL = f"{BASE_URL}/_sandbox"


class ManualClock:
    """Time that passes only when the sandbox sleeps or a test moves it."""

    def __init__(self) -> None:
        self.time = 1_780_000_000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


@pytest.fixture(scope="session")
def signing_key() -> rsa.RSAPrivateKey:
    """Creating a key is slow, and no test depends on its value."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def app(clock: ManualClock, signing_key: rsa.RSAPrivateKey) -> SandboxApp:
    return SandboxApp(SandboxIdentity(), clock=clock, signing_key=signing_key)


async def fetch_token(client: httpx.AsyncClient, identity: SandboxIdentity) -> str:
    response = await client.post(
        f"/{identity.tenant_id}/oauth2/v2.0/token",
        data={
            "client_id": identity.client_id,
            "client_secret": identity.client_secret,
            "grant_type": "client_credentials",
            "scope": f"{client.base_url!s}".rstrip("/") + "/.default",
        },
    )
    assert response.status_code == 200, response.text
    return str(response.json()["access_token"])


@pytest.fixture
async def stranger(app: SandboxApp) -> AsyncIterator[httpx.AsyncClient]:
    """A caller without a token."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE_URL) as client:
        yield client


@pytest.fixture
async def api(app: SandboxApp) -> AsyncIterator[httpx.AsyncClient]:
    """A caller with a token; relative URLs start at the service root of the Web API."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE_URL) as client:
        token = await fetch_token(client, app.identity)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url=f"{BASE_URL}/api/data/v9.2/",
        headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
    ) as client:
        yield client
