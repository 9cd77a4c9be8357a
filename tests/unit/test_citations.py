"""Whatever code, tests and pages name as the place where something stands is there (CONTRIBUTING.md)."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FACT_PAGES = ROOT / "docs" / "reference"
TEXT = {".md", ".mako", ".mjs", ".py", ".toml", ".yaml", ".yml"}
FOLDERS = ("benchmarks", "deploy", "docs", "scripts", "src", "tests")

GAP = r"[ \t]*\n[ \t]*(?:#[ \t]*)?|[ \t]+"  # between two words, or where a comment or docstring goes on
NUMBER = r"\d+(?:\.\d+)?\b(?!\.\d)"
AND = rf",(?:{GAP})(?:and(?:{GAP}))?|[-\u2013]|(?:{GAP})(?:and|or|to|vs)(?:{GAP})"

# didomi.md 1.6 · dataverse.md 2.1-2.3 and 2.6 · dataverse.md (1.5, 13)
FACT = re.compile(
    rf"(?<![\w/.-])(?P<page>didomi|dataverse)\.md"
    rf"(?:(?:{GAP})\(?(?P<numbers>{NUMBER}(?:(?:{AND}){NUMBER})*)"
    # 8.2, questions 13 and 14 · 1.5, rule 7 · 10, "Wrapper"
    rf"(?:,?(?:{GAP})(?:(?P<kind>rule|question)s?(?:{GAP})(?P<points>\d+(?:(?:{GAP})and(?:{GAP})\d+)*)"
    rf'|"(?P<words>[^"]+)"))?)?'
)
# docs/promises.md 3 · docs/howto/operate.md, "The log"
PAGE = re.compile(
    rf'(?<![\w/.-])(?P<page>docs/[\w./-]+\.md)(?:(?:{GAP})(?P<number>{NUMBER})|,(?:{GAP})"(?P<heading>[^"]+)")?'
)
LINK = re.compile(r"\]\((?!\w+:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
LINKED = re.compile(r"\[(?:didomi|dataverse)\.md(?=\]\()|\]\((?:didomi|dataverse)\.md[#)]")

# Functions with these decorators show their docstring: as `--help`, or in the description of the HTTP routes.
SHOWN = {"command", "group", "get", "post", "put", "patch", "delete"}
OF_A_PAGE = re.compile(r"(?<![\w-])(?:didomi|dataverse|design)\.md")


def files() -> Iterator[Path]:
    candidates = [*ROOT.iterdir(), *(file for folder in FOLDERS for file in (ROOT / folder).rglob("*"))]
    for file in candidates:
        is_ours = not {"node_modules", "__pycache__"}.intersection(file.parts)
        is_text = file.suffix in TEXT or file.parent == ROOT / "scripts"
        if file.is_file() and is_ours and is_text and file != Path(__file__):
            yield file


@cache
def texts() -> dict[str, str]:
    """Every text of the repository by its path, without this file, whose examples lead nowhere."""
    return {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in files()}


def found(pattern: re.Pattern[str]) -> Iterator[tuple[str, re.Match[str]]]:
    """Every match, with the place where it begins."""
    for path, text in texts().items():
        for match in pattern.finditer(text):
            yield f"{path}:{text.count(chr(10), 0, match.start()) + 1}", match


def one_line(text: str) -> str:
    return re.sub(GAP, " ", text)


def page(path: str) -> str:
    """A page without its code blocks, in which `#` begins no heading. Empty where there is none."""
    file = ROOT / path
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


@cache
def sections(path: str) -> dict[str, str]:
    """The numbered sections of a page and, of a section that is a list, its points: `13.5`."""
    parts: dict[str, str] = {}
    headings = list(re.finditer(r"^(#+) (\d+(?:\.\d+)?)\.? .*$", page(path), re.MULTILINE))
    for place, heading in enumerate(headings):
        level, number = heading.groups()
        ends = [other.start() for other in headings[place + 1 :] if len(other.group(1)) <= len(level)]
        parts[number] = page(path)[heading.start() : ends[0] if ends else None]
        if "." not in number:
            for point in re.finditer(r"^(\d+)\. .*$", parts[number], re.MULTILINE):
                parts[f"{number}.{point.group(1)}"] = point.group()
    return parts


@cache
def headings(path: str) -> set[str]:
    """The headings of a page as they are read: without number and code marks."""
    titles = re.findall(r"^#+ (?:\d+(?:\.\d+)?\.? )?(.*)$", page(path), re.MULTILINE)
    return {title.replace("`", "") for title in titles}


@cache
def anchors(path: str) -> set[str]:
    """What a link may name of a page, as GitHub makes it of the headings."""
    titles = re.findall(r"^#+ (.*)$", page(path), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_there_are_citations_of_every_kind() -> None:
    """Else the other tests would hold of nothing."""
    facts = [match for _, match in found(FACT)]
    pages = [match for _, match in found(PAGE)]

    assert sum(match["numbers"] is not None for match in facts) > 200
    assert {match["kind"] for match in facts} == {"rule", "question", None}
    assert any(match["words"] for match in facts)
    assert any(match["number"] for match in pages)
    assert any(match["heading"] for match in pages)


def test_a_cited_section_of_a_fact_page_exists() -> None:
    broken = [
        f"{place}: {match['page']}.md {number}"
        for place, match in found(FACT)
        for number in re.findall(NUMBER, match["numbers"] or "")
        if number not in sections(f"docs/reference/{match['page']}.md")
    ]

    assert broken == []


def test_a_cited_rule_question_or_phrase_stands_in_its_section() -> None:
    broken = []
    for place, match in found(FACT):
        if match["kind"] is None and match["words"] is None:
            continue
        number = re.findall(NUMBER, match["numbers"])[-1]
        section = sections(f"docs/reference/{match['page']}.md").get(number, "")
        form = "({})" if match["kind"] == "rule" else "\n| {} |"
        wanted = [form.format(point) for point in re.findall(r"\d+", match["points"] or "")]
        if match["words"] is not None:
            wanted = [one_line(match["words"])]
        plain = section if match["words"] is None else one_line(section)
        broken += [f"{place}: {number} has no {one!r}" for one in wanted if one not in plain]

    assert broken == []


def test_a_fact_page_is_never_cited_without_a_section() -> None:
    """A link to the whole page is fine."""
    linked = {
        (path, match.start() + shift)
        for path, text in texts().items()
        for match in LINKED.finditer(text)
        for shift in range(len(match.group()))
    }
    broken = [
        place
        for place, match in found(FACT)
        if match["numbers"] is None and (place.rpartition(":")[0], match.start()) not in linked
    ]

    assert broken == []


def test_a_cited_page_its_section_and_its_number_exist() -> None:
    broken = []
    for place, match in found(PAGE):
        path, number, heading = match["page"], match["number"], match["heading"]
        if not (ROOT / path).is_file():
            broken.append(f"{place}: {path}")
        elif number is not None and number not in sections(path):
            broken.append(f"{place}: {path} {number}")
        elif heading is not None and one_line(heading) not in headings(path):
            broken.append(f"{place}: {path}, {heading!r}")

    assert broken == []


def test_a_link_between_pages_leads_somewhere() -> None:
    broken = []
    for path, text in texts().items():
        if not path.endswith(".md"):
            continue
        for match in LINK.finditer(re.sub(r"`[^`\n]*`", "", text)):
            target = (ROOT / path).parent / match["path"] if match["path"] else ROOT / path
            if not target.exists():
                broken.append(f"{path}: {match['path']}")
            elif match["anchor"] and match["anchor"] not in anchors(str(target.resolve().relative_to(ROOT))):
                broken.append(f"{path}: {match['path']}#{match['anchor']}")

    assert broken == []


def test_every_section_that_the_sandbox_page_names_exists() -> None:
    """Its table of options names sections of dataverse.md by number alone."""
    table = page("docs/sandbox.md").split("\n| Option |", 1)[1].split("\n\n", 1)[0]
    cells = re.findall(r"\| ([\d., ]+) \|$", table, re.MULTILINE)
    named = {number for cell in cells for number in re.findall(NUMBER, cell)}

    assert len(cells) == table.count("\n| `")
    assert named <= set(sections("docs/reference/dataverse.md"))


def test_nothing_is_cited_that_is_not_in_the_repository() -> None:
    assert [place for place, _ in found(re.compile(r"(?<![\w-])design\.md"))] == []


def is_shown(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether people see its docstring."""
    called = [one.func if isinstance(one, ast.Call) else one for one in function.decorator_list]
    return any(isinstance(one, ast.Attribute) and one.attr in SHOWN for one in called)


def seen_by_operators(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The strings that may reach an operator, with their lines: all but docstrings that nothing shows."""
    nodes = list(ast.walk(tree))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    shown = {id(function.body[0]) for function in functions if is_shown(function)}
    silent = {id(node.value) for node in nodes if isinstance(node, ast.Expr) and id(node) not in shown}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            yield node.lineno, node.value


PACKAGES = sorted(folder.name for folder in (ROOT / "src").iterdir() if any(folder.rglob("*.py")))


@pytest.mark.parametrize("package", PACKAGES)
def test_no_text_that_an_operator_sees_cites_a_page(package: str) -> None:
    """What it relies on is of no use to whoever runs the service; a comment beside it may say it."""
    broken = [
        f"{module.relative_to(ROOT)}:{line}: {text!r}"
        for module in sorted((ROOT / "src" / package).rglob("*.py"))
        for line, text in seen_by_operators(ast.parse(module.read_text(encoding="utf-8")))
        if OF_A_PAGE.search(text)
    ]

    assert broken == []


def test_the_readme_makes_the_promises_of_the_page() -> None:
    told = re.findall(
        r"^\d+\. \*\*(.*?)\*\*", page("README.md").split("\n## What it promises\n", 1)[1], re.MULTILINE
    )
    kept = re.findall(r"^## \d+\. (.*)$", page("docs/promises.md"), re.MULTILINE)

    assert [promise.rstrip(".") for promise in told[: len(kept)]] == kept
    assert list(sections("docs/promises.md")) == [str(number + 1) for number in range(len(kept))]


def test_every_promise_is_shown_by_tests_that_there_are() -> None:
    tests = "\n".join(text for path, text in texts().items() if path.startswith("tests/"))
    defined = set(re.findall(r"^ *(?:async )?(?:def|class) (\w+)", tests, re.MULTILINE))

    for number, promise in sections("docs/promises.md").items():
        named = set(re.findall(r"`(test_\w+|\w+Life)`", promise))
        assert len(named) >= 3, number
        assert named <= defined, named - defined
