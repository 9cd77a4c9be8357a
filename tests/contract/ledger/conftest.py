"""One ledger on each of the two databases, empty for every test."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.clocks import FrozenClock
from tests.contract.ledger.steps import open_ledger
from tests.postgres import PostgresServer, postgres_server

from didomi_dataverse.ledger.ledger import Ledger

_TEMPLATE = "migrated"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        asyncio.run(_migrate(server.url(server.create(_TEMPLATE))))
        yield server


async def _migrate(url: str) -> None:
    ledger = await open_ledger(url, clock=FrozenClock())
    await ledger.close()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    with postgres.copied(_TEMPLATE) as name:
        yield postgres.url(name)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """Everything that takes it, directly or through `ledger`, runs on both databases."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
async def ledger(url: str, clock: FrozenClock) -> AsyncIterator[Ledger]:
    ledger = await open_ledger(url, clock=clock)
    yield ledger
    await ledger.close()
