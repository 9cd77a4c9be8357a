"""The recipes of CONTRIBUTING.md work: each is walked on a copy of the tree, and its proof is run."""

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.repository import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

BLOCK = re.compile(r"^```(?P<info>[^\n]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
EDIT = re.compile(r"(?P<language>\w+) (?P<file>\S+)(?: (?P<how>after|instead of) `(?P<line>.+)`)?")


@dataclass
class Recipe:
    """What one section of the page asks for."""

    name: str
    edits: list[tuple[str, str | None, str, str]] = field(default_factory=list)
    """File, `after` or `instead of` or None for a new file, the line it refers to, and the text."""
    proofs: list[tuple[str, list[str]]] = field(default_factory=list)
    """A command, and the lines that its output must hold."""


def recipes() -> list[Recipe]:
    section = PAGE.split("\n## Recipes\n")[1].split("\n## ")[0]
    found = []
    for part in section.split("\n### ")[1:]:
        title, _, text = part.partition("\n")
        recipe = Recipe(title)
        for block in BLOCK.finditer(text):
            if block["info"] == "console":
                for command in block["text"].split("$ ")[1:]:
                    line, *output = command.splitlines()
                    recipe.proofs.append((line, [expected for expected in output if expected.strip()]))
            elif edit := EDIT.fullmatch(block["info"]):
                recipe.edits.append((edit["file"], edit["how"], edit["line"] or "", block["text"]))
        found.append(recipe)
    return found


RECIPES = recipes()

CONFIG = """
store: { url: "sqlite:///didomi-dataverse.db" }
didomi: { auth: { anonymous: true } }
dataverse: { url: "https://example.crm4.dynamics.com", tenant_id: t, client_id: c, client_secret: s }
contact: { match: { alternate_key: new_didomikey } }
mapping:
  gdpr:
    purposes: { newsletter: new_newsletter }
    person: { country: { column: address1_country, as: FORMAT } }
"""
"""The configuration of the proofs, `recipe.yaml`: one column has the format that a recipe adds."""


def apply(recipe: Recipe, tree: Path) -> None:
    for name, how, line, text in recipe.edits:
        file = tree / name
        if how is None:
            assert not file.exists(), f"{recipe.name}: {name} exists already"
            file.write_text(text, encoding="utf-8")
            continue
        before = file.read_text(encoding="utf-8")
        places = [row for row in before.splitlines(keepends=True) if line in row]
        assert len(places) == 1, f"{recipe.name}: `{line}` stands in {name} {len(places)} times"
        after = places[0] + text if how == "after" else text
        file.write_text(before.replace(places[0], after), encoding="utf-8")


def run(command: str, tree: Path) -> str:
    words = shlex.split(command)
    if words[0] == "didomi-dataverse":
        words = [sys.executable, "-m", "didomi_dataverse", *words[1:]]
    elif words[0] in {"python", "pytest"}:
        words = [sys.executable, *(["-m", "pytest"] if words[0] == "pytest" else []), *words[1:]]
    done = subprocess.run(
        words,
        cwd=tree,
        env={"PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def is_proven(command: str, expected: list[str], tree: Path) -> bool:
    output = run(command, tree)
    return all(line in output for line in expected)


def test_every_recipe_that_is_promised_is_there() -> None:
    assert [recipe.name for recipe in RECIPES] == [
        "Add a command",
        "Add a setting",
        "Add a kind of column",
        "Add a metric",
        "Add a finding",
        "Add a migration",
        "Add an error code",
    ]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_works(recipe: Recipe, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "notification.example.json", tmp_path)
    (tmp_path / "recipe.yaml").write_text(
        CONFIG.replace("FORMAT", "lower" if recipe.name == "Add a kind of column" else "text"),
        encoding="utf-8",
    )
    assert recipe.edits
    assert recipe.proofs
    assert not all(is_proven(command, expected, tmp_path) for command, expected in recipe.proofs), (
        "the proof proves nothing"
    )

    apply(recipe, tmp_path)

    for command, expected in recipe.proofs:
        assert expected
        assert is_proven(command, expected, tmp_path), f"{command}\n{run(command, tmp_path)}"
