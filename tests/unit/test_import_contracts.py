"""The direction of imports, and that the check which holds it can fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = Path("src/didomi_dataverse")


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    """Run the contracts of `tree`'s pyproject.toml on `tree`'s own source."""
    command = (
        "import sys; sys.path.insert(0, 'src'); from importlinter import cli; cli.lint_imports_command()"
    )
    return subprocess.run(
        [sys.executable, "-c", command, "--no-cache", "--no-logo"],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The tree's source and contracts, free to be spoilt."""
    shutil.copytree(ROOT / PACKAGE, tmp_path / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests").mkdir()
    for file in ("pyproject.toml", "tests/__init__.py", "tests/pure_contract.py"):
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def spoil(tree: Path, module: str, line: str) -> None:
    with (tree / PACKAGE / module).open("a") as source:
        source.write(f"\n{line}\n")


def test_every_import_points_to_the_same_or_an_earlier_stage() -> None:
    answer = lint_imports(ROOT)

    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        pytest.param(
            "mapping/apply.py", "import didomi_dataverse.delivery", "earlier stage", id="a later stage"
        ),
        pytest.param("errors.py", "import didomi_dataverse.didomi", "earlier stage", id="below all stages"),
        pytest.param(
            "app.py", "import didomi_dataverse.cli", "earlier stage", id="the command line in the app"
        ),
        pytest.param(
            "operate/health.py", "import didomi_dataverse.sandbox", "earlier stage", id="sandbox in use"
        ),
        pytest.param("helpers.py", "", "earlier stage", id="a module that has no place"),
        pytest.param(
            "sandbox/table.py", "import didomi_dataverse.dataverse.key", "shares no code", id="shared code"
        ),
        pytest.param("ledger/contact.py", "import sqlalchemy", "Decisions", id="SQL in a decision"),
        pytest.param("delivery/decide.py", "from random import random", "Decisions", id="dice in a decision"),
        pytest.param(
            "mapping/apply.py", "import didomi_dataverse.clock", "Decisions", id="a clock by a detour"
        ),
        pytest.param("didomi/new_idea.py", "import logging", "Decisions", id="a log in a new module"),
    ],
)
def test_a_forbidden_import_is_found(copy: Path, module: str, line: str, contract: str) -> None:
    spoil(copy, module, line)

    answer = lint_imports(copy)

    assert answer.returncode == 1, answer.stdout + answer.stderr
    broken = [row for row in answer.stdout.splitlines() if row.endswith("BROKEN")]
    assert len(broken) == 1, answer.stdout
    assert contract in broken[0]


def test_an_edge_that_has_become_pure_leaves_the_list(copy: Path) -> None:
    (copy / PACKAGE / "delivery/janitor.py").write_text("")

    answer = lint_imports(copy)

    assert answer.returncode == 1
    assert "delivery.janitor reaches nothing forbidden" in answer.stdout
