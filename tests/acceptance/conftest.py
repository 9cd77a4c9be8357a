"""tests/acceptance: the command as people and platforms run it: processes, signals, restarts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.processes import RunningSandbox, run_sandbox


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningSandbox]:
    """A sandbox that runs in a process of its own."""
    with run_sandbox(tmp_path) as opened:
        yield opened
