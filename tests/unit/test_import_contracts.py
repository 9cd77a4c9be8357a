"""The direction of imports, and that the check which holds it can fail."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.repository import ROOT

SOURCE = Path("src")


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    """Run the contracts of `tree`'s pyproject.toml on `tree`'s own source."""
    command = (
        "import sys; sys.path.insert(0, 'src'); from importlinter import cli; cli.lint_imports_command()"
    )
    return subprocess.run(
        [sys.executable, "-c", command, "--no-cache", "--no-logo"],
        cwd=tree,
        # Wide enough that no line of the report is broken in the middle of an import.
        env=os.environ | {"COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
    )


def copied(tree: Path) -> Path:
    """The source and its contracts, free to be spoilt."""
    shutil.copytree(ROOT / SOURCE, tree / SOURCE, ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "tests").mkdir()
    for file in ("pyproject.toml", "tests/__init__.py", "tests/pure_contract.py"):
        shutil.copy(ROOT / file, tree / file)
    return tree


def test_the_contracts_hold() -> None:
    answer = lint_imports(ROOT)

    assert answer.returncode == 0, answer.stdout + answer.stderr


VIOLATIONS = {
    # A module of each stage imports one of the stage above it.
    "earlier stage": [
        ("didomi_dataverse.errors", "didomi_dataverse.privacy.mask"),
        ("didomi_dataverse.text", "didomi_dataverse.privacy.mask"),
        ("didomi_dataverse.clock", "didomi_dataverse.privacy.mask"),
        ("didomi_dataverse.privacy.pseudonym", "didomi_dataverse.findings"),
        ("didomi_dataverse.findings", "didomi_dataverse.config.types"),
        ("didomi_dataverse.config.types", "didomi_dataverse.consent.model"),
        ("didomi_dataverse.consent.model", "didomi_dataverse.didomi.identity"),
        ("didomi_dataverse.didomi.identity", "didomi_dataverse.ledger.tables"),
        ("didomi_dataverse.ledger.tables", "didomi_dataverse.mapping.rules"),
        ("didomi_dataverse.mapping.rules", "didomi_dataverse.dataverse.replies"),
        ("didomi_dataverse.dataverse.replies", "didomi_dataverse.delivery.outcome"),
        ("didomi_dataverse.delivery.outcome", "didomi_dataverse.wiring.policies"),
        ("didomi_dataverse.wiring.policies", "didomi_dataverse.admin.session"),
        ("didomi_dataverse.admin.session", "didomi_dataverse.observability.metrics"),
        ("didomi_dataverse.observability.logging", "didomi_dataverse.console"),
        ("didomi_dataverse.reconcile", "didomi_dataverse.console"),
        ("didomi_dataverse.console", "didomi_dataverse.service.app"),
        ("didomi_dataverse.service.app", "didomi_dataverse.demo.story"),
        ("didomi_dataverse.demo.story", "didomi_dataverse.cli.main"),
        ("didomi_dataverse.cli.options", "didomi_dataverse.__main__"),
    ],
    "none of the stages before it": [
        ("didomi_dataverse.dataverse.batch_body", "didomi_dataverse.mapping.rules")
    ],
    "Only the ledger speaks SQL": [("didomi_dataverse.mapping.apply", "sqlalchemy")],
    "interprets no notification": [("didomi_dataverse.ledger.codec", "didomi_dataverse.didomi.interpret")],
    "no web stack": [("didomi_dataverse.admin.session", "fastapi")],
    "Commands do not import each other": [("didomi_dataverse.cli.parked", "didomi_dataverse.cli.contacts")],
    "nothing of the service": [("dataverse_sandbox.table", "didomi_dataverse.dataverse.keys")],
    "nor with each other": [("didomi_sandbox.bodies", "dataverse_sandbox.table.row")],
    "Packages of the Dataverse sandbox": [
        ("dataverse_sandbox.errors", "dataverse_sandbox.options"),
        ("dataverse_sandbox.users", "dataverse_sandbox.messages"),
        ("dataverse_sandbox.messages", "dataverse_sandbox.table.row"),
        ("dataverse_sandbox.table.column", "dataverse_sandbox.environment.limits"),
        ("dataverse_sandbox.entra.identity", "dataverse_sandbox.web_api.query"),
        ("dataverse_sandbox.web_api.query", "dataverse_sandbox.metadata.csdl"),
        ("dataverse_sandbox.metadata.csdl", "dataverse_sandbox.control.bodies"),
        ("dataverse_sandbox.control.bodies", "dataverse_sandbox.server.clock"),
        ("dataverse_sandbox.server.clock", "dataverse_sandbox.__main__"),
    ],
    "Decisions": [
        ("didomi_dataverse.consent.registers", "time"),
        ("didomi_dataverse.delivery.settle", "random"),
        ("didomi_dataverse.didomi.new_idea", "logging"),
        ("didomi_dataverse.mapping.apply", "didomi_dataverse.clock"),
    ],
}
"""For each contract, by a part of its name: which module breaks it by importing what."""


def spoil(tree: Path, module: str, imported: str) -> None:
    file = tree / SOURCE / Path(*module.split("."))
    file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
    with file.open("a") as source:
        source.write(f"\nimport {imported}\n")


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the contracts say of a tree with every violation in it. One run takes seconds."""
    tree = copied(tmp_path_factory.mktemp("spoilt"))
    for violations in VIOLATIONS.values():
        for module, imported in violations:
            spoil(tree, module, imported)
    return lint_imports(tree).stdout


def test_every_contract_has_a_violation_to_prove_it() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    names = [contract["name"] for contract in contracts]

    assert [sum(part in name for part in VIOLATIONS) for name in names] == [1] * len(names)


@pytest.mark.parametrize("part", VIOLATIONS)
def test_a_broken_contract_is_reported(spoilt: str, part: str) -> None:
    assert any(part in line and line.endswith(" BROKEN") for line in spoilt.splitlines()), spoilt


@pytest.mark.parametrize(
    ("module", "imported"), [pair for violations in VIOLATIONS.values() for pair in violations]
)
def test_the_import_that_breaks_it_is_named(spoilt: str, module: str, imported: str) -> None:
    assert f"{module} -> {imported} (l" in spoilt


def test_a_module_that_has_no_place_is_found(tmp_path: Path) -> None:
    tree = copied(tmp_path)
    (tree / SOURCE / "didomi_dataverse" / "helpers.py").touch()

    answer = lint_imports(tree)

    assert answer.returncode == 1
    assert "helpers" in answer.stdout


def test_an_edge_that_has_become_pure_leaves_the_list(tmp_path: Path) -> None:
    tree = copied(tmp_path)
    (tree / SOURCE / "didomi_dataverse" / "delivery" / "retention.py").write_text("")

    answer = lint_imports(tree)

    assert answer.returncode == 1
    assert "delivery.retention reaches nothing forbidden" in answer.stdout
