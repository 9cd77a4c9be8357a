"""tests/service: the parts put together in one process, from a webhook's body to the sandbox's table."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dataverse_sandbox import SandboxServer, running_sandbox
from tests.service.harness import Harness, open_house


@pytest.fixture(scope="session")
def sandbox_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sandboxes of all tests keep their certificates: making them once is enough."""
    return tmp_path_factory.mktemp("sandbox")


@pytest.fixture
async def sandbox(sandbox_folder: Path) -> AsyncIterator[SandboxServer]:
    async with running_sandbox(sandbox_folder) as server:
        yield server


@pytest.fixture
def mode() -> str:
    """The delivery mode. Modules that must hold in all of them say so."""
    return "batch"


@pytest.fixture
async def house(sandbox: SandboxServer, tmp_path: Path, mode: str) -> AsyncIterator[Harness]:
    """The configuration of `didomi-dataverse sandbox`, unchanged but for the mode."""
    async with open_house(sandbox, tmp_path, mode=mode) as opened:
        yield opened
