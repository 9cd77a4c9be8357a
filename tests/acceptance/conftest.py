"""tests/acceptance: the command as people and platforms run it: processes, signals, restarts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.processes import Town, town


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Town]:
    """A town with a running sandbox."""
    with town(tmp_path) as opened:
        yield opened
