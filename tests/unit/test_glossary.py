"""The words of public classes and modules are the glossary's, or plain terms that every engineer knows."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.repository import ROOT
from tests.standard_words import STANDARD_WORDS

GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
TERM = re.compile(r"^\| \*\*(.+?)\*\* \|", re.MULTILINE)
PACKAGES = ("didomi_dataverse", "dataverse_sandbox", "didomi_sandbox")


def glossary_words() -> set[str]:
    """The single words of every term in the glossary's tables."""
    terms = re.findall(TERM, GLOSSARY)
    return {word for term in terms for word in words_in(term)}


def words_in(name: str) -> list[str]:
    """`HTTPCallError` and `http_call_error` are `http`, `call`, `error`."""
    parts = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+", name)
    return [part.lower() for part in parts if not part.isdigit()]


def singular(word: str) -> str:
    """Good enough for names: `entries` → `entry`, `indexes` → `index`, `choices` → `choice`."""
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    if word.endswith("xes"):
        return word.removesuffix("es")
    return word if word.endswith(("is", "ss", "us", "yes")) else word.removesuffix("s")


def public_names() -> Iterator[tuple[str, str]]:
    """Every public module, package and class, with the file that holds it."""
    for package in PACKAGES:
        for file in sorted((ROOT / "src" / package).rglob("*.py")):
            place = str(file.relative_to(ROOT))
            if "migrations" in file.parts:
                continue
            name = file.parent.name if file.name == "__init__.py" else file.stem
            if not name.startswith("_"):
                yield place, name
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    yield place, node.name


def test_every_word_of_a_public_name_is_known() -> None:
    known = glossary_words() | STANDARD_WORDS
    unknown = {
        f"{word} (of {name} in {place})"
        for place, name in public_names()
        for word in words_in(name)
        if word not in known and singular(word) not in known
    }

    assert not unknown, "explain these in docs/glossary.md, or take the field's word: " + ", ".join(
        sorted(unknown)
    )


def test_no_standard_word_is_kept_that_nothing_uses() -> None:
    used = {form for _, name in public_names() for word in words_in(name) for form in (word, singular(word))}

    assert sorted(STANDARD_WORDS - used) == []


def test_a_word_has_one_entry() -> None:
    terms = [term.lower() for term in re.findall(TERM, GLOSSARY)]

    assert len(terms) == len(set(terms))
    assert terms == sorted(terms)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("HTTPCallError", ["http", "call", "error"]),
        ("ip_allowlist", ["ip", "allowlist"]),
        ("WhoAmI", ["who", "am", "i"]),
    ],
)
def test_names_are_split_into_words(name: str, words: list[str]) -> None:
    assert words_in(name) == words
