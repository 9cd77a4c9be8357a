"""docs/decisions: every page has the one form, and the index names each by its number and title."""

import re
from pathlib import Path

import pytest

from tests.repository import ROOT

FOLDER = ROOT / "docs" / "decisions"
PAGES = sorted(page for page in FOLDER.glob("*.md") if page.name != "README.md")
FORM = re.compile(
    r"# (?P<number>\d{4}): (?P<title>[^\n]+)\n\n\*\*Status:\*\* (?:accepted|superseded by)\b[^\n]*\n\n"
    r"## Context\n\n.+\n\n## Decision\n\n.+\n\n## Consequences\n\n.+\n",
    re.DOTALL,
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name[:4])
def test_a_decision_has_the_form(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    form = FORM.fullmatch(text)

    assert form is not None
    assert page.name.startswith(f"{form['number']}-")
    assert re.findall(r"^## .*$", text, re.MULTILINE) == ["## Context", "## Decision", "## Consequences"]


def test_the_index_names_every_decision_by_its_title() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\d{4})\]\((.+?)\) \| (.+?) \|", index, re.MULTILINE)
    titles = [page.read_text(encoding="utf-8").split("\n", 1)[0] for page in PAGES]

    assert [name for _, name, _ in rows] == [page.name for page in PAGES]
    assert [f"# {number}: {title}" for number, _, title in rows] == titles
