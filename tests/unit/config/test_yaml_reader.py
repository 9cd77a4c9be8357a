"""What is read of a configuration file and its environment, and where each thing stands."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from didomi_dataverse.config.document import Document
from didomi_dataverse.config.yaml_reader import MAX_FILE_BYTES, MAX_VALUES, read_document
from didomi_dataverse.errors import Problem

SECRET = "hunter2-hunter2"


def read(text: str | bytes, environ: Mapping[str, str] | None = None) -> Document:
    raw = text if isinstance(text, bytes) else text.encode()
    return read_document(raw, "c.yaml", environ or {}, existing_only=("mapping",))


def only_problem(document: Document) -> Problem:
    assert len(document.problems) == 1, document.problems
    return document.problems[0]


# --- Plain reading --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("no", id="YAML's false"),
        pytest.param("0123", id="an octal number"),
        pytest.param("12345678", id="a number"),
        pytest.param("1e3", id="a float"),
        pytest.param("2026-11-23", id="a date"),
        pytest.param("12:30", id="a base 60 number"),
        pytest.param("=", id="YAML's default value"),
    ],
)
def test_a_scalar_stays_the_text_that_was_written(written: str) -> None:
    assert read(f"a: {written}").root == {"a": written}


@pytest.mark.parametrize("written", ["", "~", "null"])
def test_nothing_written_is_nothing(written: str) -> None:
    assert read(f"a: {written}").root == {"a": None}


def test_quoted_null_is_text() -> None:
    assert read("a: 'null'").root == {"a": "null"}


@pytest.mark.parametrize(
    ("written", "typed"),
    [
        pytest.param("12", 12, id="number"),
        pytest.param("1.5", 1.5, id="decimal"),
        pytest.param("true", True, id="true"),
        pytest.param("'12'", None, id="quoted"),
        pytest.param("12:30", None, id="base 60"),
        pytest.param("text", None, id="text"),
    ],
)
def test_what_yaml_takes_a_scalar_for_is_kept_beside_it(written: str, typed: object) -> None:
    assert read(f"a: {written}").typed.get(("a",)) == typed


def test_keys_are_text_too() -> None:
    assert read("no: 1\n1: 2\non: 3").root == {"no": "1", "1": "2", "on": "3"}


def test_every_key_and_list_element_has_its_line() -> None:
    document = read("a:\n  b: 1\n\n  c:\n    - x\n    - y\n")

    assert {path: document.lines[path] for path in document.lines if path} == {
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 4,
        ("a", "c", 0): 5,
        ("a", "c", 1): 6,
    }


def test_an_alias_repeats_its_value() -> None:
    assert read("a: &v { x: '1' }\nb: *v").root == {"a": {"x": "1"}, "b": {"x": "1"}}


# --- What cannot be read --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        pytest.param("", None, "is empty", id="empty"),
        pytest.param("# only a comment\n", None, "is empty", id="only comments"),
        pytest.param("- a\n- b\n", 1, "must contain sections", id="a list"),
        pytest.param("just text", 1, "must contain sections", id="text"),
        pytest.param("a: 1\nb: [1, 2\nc: 3\n", 3, "is not valid YAML", id="an open bracket"),
        pytest.param("a: 1\n\tb: 2\n", 2, "Indent with spaces", id="a tab"),
        pytest.param("a: 1\n---\nb: 2\n", 2, "is not valid YAML", id="two documents"),
        pytest.param("a: 1\nb: *nowhere\n", 2, "is not valid YAML", id="an unknown alias"),
        pytest.param("a: 1\nb: \x07\n", 2, "control character", id="a control character"),
        pytest.param(b"a: 1\nb: \xff\n", 2, "is not UTF-8", id="not UTF-8"),
        pytest.param("[" * 5_000, None, "nested too deeply", id="deep nesting"),
        pytest.param("a: " + "x" * MAX_FILE_BYTES, None, "is larger than", id="a large file"),
    ],
)
def test_an_unreadable_file_is_one_problem_with_its_line(
    text: str | bytes, line: int | None, says: str
) -> None:
    document = read(text)

    problem = only_problem(document)
    assert problem.line == line
    assert says in str(problem)
    assert document.root == {}


@pytest.mark.parametrize(
    ("text", "line", "key", "says"),
    [
        pytest.param("a: 1\nb: 2\na: 3\n", 3, "a", "is written twice, first on line 1", id="twice"),
        pytest.param("s:\n  a: 1\n  a: 2\n", 3, "s.a", "is written twice, first on line 2", id="nested"),
        pytest.param("a:\n  <<: { b: 1 }\n", 2, "a.<<", "Merge keys", id="merge key"),
        pytest.param("? [a]\n: 1\n", 1, "", "a key that is a list", id="a list as key"),
        pytest.param("a: 1\nb: !!python/name:os.system\n", 2, "b", "a YAML tag", id="a tagged scalar"),
        pytest.param("a: 1\nb: !thing { c: 1 }\n", 2, "b", "a YAML tag", id="a tagged section"),
    ],
)
def test_yaml_that_is_surely_a_mistake_is_refused(text: str, line: int, key: str, says: str) -> None:
    problem = only_problem(read(text))

    assert (problem.line, problem.key) == (line, key)
    assert says in str(problem)


def test_of_a_key_written_twice_the_first_is_kept() -> None:
    assert read("a: 1\na: 2\n").root == {"a": "1"}


def test_aliases_cannot_stand_for_more_values_than_a_configuration_needs() -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12))

    problem = only_problem(read(f"l0: &l0 [x]\n{levels}\n"))

    assert f"more than {MAX_VALUES} values" in problem.message


def test_a_value_that_holds_itself_is_refused() -> None:
    problem = only_problem(read("a: 1\nb: &b { c: *b }\n"))

    assert problem.line == 2
    assert "contains itself" in problem.message


def test_a_yaml_error_does_not_repeat_what_it_stumbled_over() -> None:
    document = read(f"a: *{SECRET}\n")

    assert SECRET not in str(only_problem(document))


# --- ${NAME} --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "value"),
    [
        pytest.param("a: ${X}", SECRET, id="alone"),
        pytest.param("a: '${X}'", SECRET, id="quoted"),
        pytest.param("a: https://u:${X}@h/${Y}", f"https://u:{SECRET}@h/y", id="inside"),
        pytest.param("a: $${X}", "${X}", id="escaped"),
        pytest.param("a: $${X", "${X", id="escaped and open"),
        pytest.param("a: $X costs $5", "$X costs $5", id="no braces"),
        pytest.param("a: x${X}x${X}", f"x{SECRET}x{SECRET}", id="twice"),
    ],
)
def test_variables_are_filled_in(written: str, value: str) -> None:
    document = read(written, {"X": SECRET, "Y": "y"})

    assert document.root == {"a": value}
    assert document.problems == ()


def test_a_variable_needs_no_quotes_between_braces() -> None:
    """As README.md writes it; to YAML alone the inner braces would be syntax."""
    document = read("a: { b: ${X}, c: [${X}, '${X}'] }", {"X": SECRET})

    assert document.root == {"a": {"b": SECRET, "c": [SECRET, SECRET]}}


@pytest.mark.parametrize("value", ["a: [b", "#x", "*y", "${Z}", "true", " x "])
def test_the_value_of_a_variable_is_never_read_as_yaml(value: str) -> None:
    assert read("a: ${X}", {"X": value}).root == {"a": value}


def test_a_missing_variable_is_named_with_its_line() -> None:
    problem = only_problem(read("a: 1\nb: ${NOPE}\n"))

    assert (problem.line, problem.key) == (2, "b")
    assert "NOPE" in problem.message
    assert "NOPE_FILE" in problem.advice


@pytest.mark.parametrize("written", ["${a b}", "${}", "${X:-default}", "${1X}", "'${X'"])
def test_a_malformed_reference_is_refused(written: str) -> None:
    problem = only_problem(read(f"a: {written}\n", {"X": SECRET}))

    assert "`${`" in problem.message
    assert SECRET not in str(problem)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        pytest.param(b"s3cret\n", "s3cret", id="a newline at the end"),
        pytest.param(b"s3cret\r\n", "s3cret", id="a Windows newline"),
        pytest.param(b"s3cret\n\n", "s3cret\n", id="only one newline is taken"),
        pytest.param(b" s3cret ", " s3cret ", id="blanks are kept"),
        pytest.param("schlüssel".encode(), "schlüssel", id="UTF-8"),
    ],
)
def test_a_variable_can_come_from_a_file(tmp_path: Path, content: bytes, value: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)

    assert read("a: ${X}", {"X_FILE": str(file)}).root == {"a": value}


def test_a_variable_that_is_set_comes_before_its_file(tmp_path: Path) -> None:
    environ = {"X": "set", "X_FILE": str(tmp_path / "missing")}

    assert read("a: ${X}", environ).root == {"a": "set"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(None, "cannot be read", id="no file"),
        pytest.param(b"\xff\xfe" + SECRET.encode(), "is not UTF-8", id="not text"),
        pytest.param(SECRET.encode() * 10_000, "more than", id="too large"),
    ],
)
def test_a_file_that_holds_no_secret_is_a_problem(tmp_path: Path, content: bytes | None, says: str) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)

    problem = only_problem(read("a: ${X}", {"X_FILE": str(file)}))

    assert "X_FILE" in problem.message
    assert says in problem.message
    assert SECRET not in str(problem)


def test_a_path_that_cannot_be_one_is_a_problem() -> None:
    assert "not a usable path" in only_problem(read("a: ${X}", {"X_FILE": "a\0b"})).message


# --- DIDOMI_DATAVERSE__SECTION__KEY ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "root"),
    [
        pytest.param({"S__PORT": "9"}, {"s": {"port": "9", "Host": "h"}}, id="an existing key"),
        pytest.param({"s__host": "x"}, {"s": {"port": "8", "Host": "x"}}, id="any case"),
        pytest.param(
            {"S__NEW__DEEP": "1"}, {"s": {"port": "8", "Host": "h", "new": {"deep": "1"}}}, id="new"
        ),
        pytest.param({"S": "{ a: 1, b: [x, y] }"}, {"s": {"a": "1", "b": ["x", "y"]}}, id="a whole section"),
        pytest.param({"S": "{ a: 1 }", "S__B": "2"}, {"s": {"a": "1", "b": "2"}}, id="a section, then a key"),
        pytest.param({"S__PORT": ""}, {"s": {"port": None, "Host": "h"}}, id="empty is nothing"),
        pytest.param({"S__PORT": "a: b # c"}, {"s": {"port": "a: b # c", "Host": "h"}}, id="to the letter"),
        pytest.param({"S__PORT": "${X}"}, {"s": {"port": "${X}", "Host": "h"}}, id="no interpolation"),
        pytest.param({"S__PORT": "[x"}, {"s": {"port": "[x", "Host": "h"}}, id="no list after all"),
    ],
)
def test_overrides_take_the_place_of_what_is_written(environ: dict[str, str], root: object) -> None:
    overrides = {f"DIDOMI_DATAVERSE__{name}": value for name, value in environ.items()}

    document = read("s: { port: 8, Host: h }", {**overrides, "X": SECRET})

    assert document.root == root
    assert document.problems == ()


def test_the_variable_that_names_the_file_is_not_an_override() -> None:
    assert read("a: 1", {"DIDOMI_DATAVERSE_CONFIG": "c.yaml"}).root == {"a": "1"}


def test_an_override_mends_what_is_wrong_in_the_file() -> None:
    assert read("s: { a: ${NOPE} }", {"DIDOMI_DATAVERSE__S__A": "x"}).problems == ()


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        pytest.param({"DIDOMI_DATAVERSE__": "x"}, "does not name a key", id="no key"),
        pytest.param({"DIDOMI_DATAVERSE__S____A": "x"}, "does not name a key", id="an empty key"),
        pytest.param({"DIDOMI_DATAVERSE__T__A": "x"}, "is not a section", id="below text"),
        pytest.param({"DIDOMI_DATAVERSE__MAPPING__GDPR__B": "x"}, "does not contain", id="an unknown item"),
        pytest.param(
            {"DIDOMI_DATAVERSE__S__A": "x", "DIDOMI_DATAVERSE__s__a": "y"},
            "two environment",
            id="two of them",
        ),
        pytest.param({"DIDOMI_DATAVERSE__S": "{ a: 1, a: 2 }"}, "is written twice", id="twice in a section"),
    ],
)
def test_an_override_that_cannot_be_meant_is_refused(environ: dict[str, str], says: str) -> None:
    problem = only_problem(read("s: {}\nt: 1\nmapping: { gdpr: { a: 1 } }\n", environ))

    assert problem.line is None
    assert says in problem.message
    assert "DIDOMI_DATAVERSE__" in str(problem)


def test_an_item_of_the_mapping_can_be_overridden_whatever_its_case() -> None:
    document = read("mapping: { gdpr: { Item: a } }", {"DIDOMI_DATAVERSE__MAPPING__GDPR__ITEM": "b"})

    assert document.root == {"mapping": {"gdpr": {"Item": "b"}}}
