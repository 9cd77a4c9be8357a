"""A demo whose service cannot start says why and where its log is, and fails."""

import logging
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner

from didomi_dataverse.cli.main import main
from didomi_dataverse.errors import StoreUnavailableError
from didomi_dataverse.ledger.ledger import Ledger


@pytest.fixture(autouse=True)
def _log() -> Iterator[None]:
    """The demo sends the log to a file of its own."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        pytest.param(StoreUnavailableError("The disk is full."), "The disk is full.", id="ours"),
        pytest.param(ZeroDivisionError("by mistake"), "ZeroDivisionError: by mistake", id="unforeseen"),
    ],
)
def test_a_service_that_cannot_start_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, cause: str
) -> None:
    async def fails(*_: object, **__: object) -> Ledger:
        raise error

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(Ledger, "open_for_serving", fails)

    result = CliRunner().invoke(main, ["demo"])

    assert result.exit_code == 1, result.output
    assert f"The service could not start. {cause}" in " ".join(result.stderr.split())
    found = re.search(r"Its log is (\S+)\.", result.stderr)
    assert found is not None
    assert "Application startup failed" in Path(found[1]).read_text(encoding="utf-8")
