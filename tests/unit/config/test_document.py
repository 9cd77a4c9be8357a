"""Where a problem of a document is placed, and what of the document a message may quote."""

from collections.abc import Mapping

import pytest

from didomi_dataverse.config.document import Document, KeyPath
from didomi_dataverse.config.yaml_reader import read_document

SECRET = "hunter2-hunter2"


def read(text: str, environ: Mapping[str, str] | None = None) -> Document:
    document = read_document(text.encode(), "c.yaml", environ or {})
    assert document.problems == ()
    return document


def test_a_problem_with_a_key_that_is_not_written_is_placed_at_the_section_above() -> None:
    problem = read("x: 1\na:\n  b: 1\n").problem(("a", "missing"), "is missing.")

    assert str(problem) == "c.yaml:2: a.missing: is missing."


def test_a_problem_with_an_override_names_the_variable_instead_of_a_line() -> None:
    document = read("s:\n  port: 8\n", {"DIDOMI_DATAVERSE__S__PORT": "x"})

    problem = document.problem(("s", "port"), "is wrong.")

    assert problem.line is None
    assert "DIDOMI_DATAVERSE__S__PORT" in problem.message


def test_a_problem_with_a_value_that_quotes_variables_names_them_beside_its_line() -> None:
    problem = read("s:\n  url: ${HOST}/${PATH}\n", {"HOST": SECRET, "PATH": "x"}).problem(
        ("s", "url"), "is bad."
    )

    assert problem.line == 2
    assert problem.message == "is bad. The value comes from the environment: HOST, PATH."


@pytest.mark.parametrize(
    ("path", "quoted"),
    [
        pytest.param(("a",), "x", id="text in the file"),
        pytest.param(("b",), None, id="a variable"),
        pytest.param(("c",), None, id="an override"),
        pytest.param(("d",), None, id="a list"),
        pytest.param(("d", 0), "z", id="in a list"),
        pytest.param(("d", 1), None, id="beyond the list"),
        pytest.param(("e",), None, id="not written"),
    ],
)
def test_only_text_in_the_file_may_be_quoted(path: KeyPath, quoted: str | None) -> None:
    document = read("a: x\nb: ${X}\nc: y\nd: [z]\n", {"X": SECRET, "DIDOMI_DATAVERSE__C": SECRET})

    assert document.quotable_value(path) == quoted
