"""A client whose wire is seen from httpx, with a token from nowhere and request ids that are known."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
import respx
from tests.clocks import FrozenClock

from didomi_dataverse.dataverse.auth.credentials import ClientSecret
from didomi_dataverse.dataverse.auth.token_cache import TokenCache
from didomi_dataverse.dataverse.client import DataverseClient
from didomi_dataverse.dataverse.factory import create_client

from .fakes import API, ONE, ORG, FakeEntra


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def entra() -> FakeEntra:
    return FakeEntra()


@pytest.fixture
def api() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=API, assert_all_called=False) as router:
        yield router


@pytest.fixture
async def client(entra: FakeEntra, clock: FrozenClock) -> AsyncIterator[DataverseClient]:
    """As `create_client` builds it, but with a token from nowhere and request ids that are known."""
    opened = create_client(
        url=f"{ORG}/",
        tenant_id="acme",
        client_id="app",
        credential=ClientSecret("s3cret"),
        authority=None,
        api_path="/api/data/v9.2",
        ca_bundle=None,
        connect_timeout=timedelta(seconds=10),
        read_timeout=timedelta(seconds=120),
        max_parallel=4,
        clock=clock,
    )
    client = DataverseClient(
        opened._http,
        TokenCache(entra.opener(), scope=f"{ORG}/.default", clock=clock),
        api_path="/api/data/v9.2",
        clock=clock,
        longest_call=opened.longest_call,
        new_guid=lambda: ONE,
    )
    yield client
    await client.aclose()
