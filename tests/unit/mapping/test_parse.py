"""The grammar of the mapping section: what each key means, and what is refused with which advice."""

from typing import get_args

import pytest

from didomi_dataverse.config.document import Document
from didomi_dataverse.consent.model import Basis, Fact, Item
from didomi_dataverse.mapping.parse import parse_mapping
from didomi_dataverse.mapping.rules import (
    AnyPurpose,
    ColumnFormat,
    ConsentLabels,
    DateTimeFormat,
    FactText,
    ManyOf,
    NewestMapped,
    NewestOf,
    Number,
    OneOf,
    Rule,
    SelectionFlag,
    SelectionText,
    Source,
    SourceId,
    YesNo,
    mapped_regulations,
)

from .mappings import mapping, read

YES_NO = YesNo(invert=False, unset=False)
INVERTED = YesNo(invert=True, unset=True)
TOPICS = Item("gdpr", "p", "topics")


def only_rule(text: str) -> Rule:
    (rule,) = mapping(text).rules
    return rule


def in_purpose(text: str) -> str:
    return f"gdpr: {{ purposes: {{ p: {text} }} }}"


def in_preference(text: str) -> str:
    return in_purpose(f"{{ preferences: {{ topics: {text} }} }}")


@pytest.mark.parametrize(
    ("text", "path", "source", "column_format"),
    [
        pytest.param(in_purpose("c"), "purposes.p", Item("gdpr", "p"), YES_NO, id="short"),
        pytest.param(in_purpose("{ column: c }"), "purposes.p", Item("gdpr", "p"), YES_NO, id="long"),
        pytest.param(
            in_purpose("{ column: c, as: yes_no, invert: no }"),
            "purposes.p",
            Item("gdpr", "p"),
            YES_NO,
            id="yes_no",
        ),
        pytest.param(
            in_purpose("{ column: c, invert: true }"), "purposes.p", Item("gdpr", "p"), INVERTED, id="invert"
        ),
        pytest.param(
            in_purpose("{ column: c, as: choice, granted: 1, refused: 2 }"),
            "purposes.p",
            Item("gdpr", "p"),
            ConsentLabels(1, 2),
            id="choice",
        ),
        pytest.param(
            in_purpose("{ column: c, as: text, granted: yes, refused: 'no' }"),
            "purposes.p",
            Item("gdpr", "p"),
            ConsentLabels("yes", "no"),
            id="words, which YAML would take for true and false",
        ),
        pytest.param(
            in_purpose("{ consent: c }"), "purposes.p.consent", Item("gdpr", "p"), YES_NO, id="consent"
        ),
        pytest.param(
            in_purpose("{ legitimate_interest: { column: c, invert: true } }"),
            "purposes.p.legitimate_interest",
            Item("gdpr", "p", basis=Basis.LEGITIMATE_INTEREST),
            INVERTED,
            id="legitimate interest",
        ),
        pytest.param(
            in_purpose("{ channels: { email: c } }"),
            "purposes.p.channels.email",
            Item("gdpr", "p", channel="email"),
            YES_NO,
            id="a channel of a purpose",
        ),
        pytest.param(
            in_purpose("{ changed_at: c }"),
            "purposes.p.changed_at",
            NewestOf((Item("gdpr", "p"), Item("gdpr", "p", basis=Basis.LEGITIMATE_INTEREST))),
            DateTimeFormat(date_only=False),
            id="changed_at",
        ),
        pytest.param(
            in_purpose("{ changed_at: { column: c, as: date } }"),
            "purposes.p.changed_at",
            NewestOf((Item("gdpr", "p"), Item("gdpr", "p", basis=Basis.LEGITIMATE_INTEREST))),
            DateTimeFormat(date_only=True),
            id="changed_at as a date",
        ),
        pytest.param(
            in_preference("c"), "purposes.p.preferences.topics", TOPICS, YES_NO, id="a v1 preference"
        ),
        pytest.param(
            in_preference("{ column: c, as: choice, values: { no: 1, '2': 2 }, none: 0 }"),
            "purposes.p.preferences.topics",
            TOPICS,
            OneOf({"no": 1, "2": 2}, 0),
            id="one of several values",
        ),
        pytest.param(
            in_preference("{ column: c, as: choices, values: { a: 100_000_000 } }"),
            "purposes.p.preferences.topics",
            TOPICS,
            ManyOf({"a": 100000000}),
            id="several values",
        ),
        pytest.param(
            in_preference("{ column: c, as: text, max_length: 10 }"),
            "purposes.p.preferences.topics",
            TOPICS,
            SelectionText(10),
            id="free text",
        ),
        pytest.param(
            in_preference("{ each: { a: { column: c, invert: true } } }"),
            "purposes.p.preferences.topics.each.a",
            TOPICS,
            SelectionFlag(
                "a", frozenset("a"), invert=True, preference_path="mapping.gdpr.purposes.p.preferences.topics"
            ),
            id="a column per value",
        ),
        pytest.param(
            in_preference("{ channels: { email: c } }"),
            "purposes.p.preferences.topics.channels.email",
            Item("gdpr", "p", "topics", "email"),
            YES_NO,
            id="a channel of a preference",
        ),
        pytest.param(
            "gdpr: { preferences: { topics: { column: c, as: text } } }",
            "preferences.topics",
            AnyPurpose("gdpr", "topics"),
            SelectionText(None),
            id="a preference under any purpose",
        ),
        pytest.param(
            "gdpr: { channels: { sms: c } }",
            "channels.sms",
            Item("gdpr", channel="sms"),
            YES_NO,
            id="a channel beside the purposes",
        ),
        pytest.param(
            "gdpr: { person: { country: c } }",
            "person.country",
            Fact("gdpr", "country"),
            FactText(None),
            id="country",
        ),
        pytest.param(
            "gdpr: { person: { metadata.a.b: { column: c, as: integer } } }",
            "person.metadata.a.b",
            Fact("gdpr", "metadata.a.b"),
            Number(whole=True),
            id="metadata as a number",
        ),
        pytest.param(
            "gdpr: { person: { metadata.a: { column: c, as: yes_no, invert: true } } }",
            "person.metadata.a",
            Fact("gdpr", "metadata.a"),
            YesNo(invert=True, unset=None),
            id="metadata as Yes/No",
        ),
    ],
)
def test_each_rule_of_the_grammar(text: str, path: str, source: Source, column_format: ColumnFormat) -> None:
    assert only_rule(text) == Rule(
        path=f"mapping.gdpr.{path}", regulation="gdpr", column="c", source=source, format=column_format
    )


def test_audit_columns_describe_the_newest_mapped_choice() -> None:
    rules = mapping(
        "gdpr: { purposes: { p: c }, stamps: { changed_at: d, notification_id: { column: e } } }"
    ).rules

    assert [(rule.column, rule.source, rule.format) for rule in rules[1:]] == [
        ("d", NewestMapped("gdpr"), DateTimeFormat(date_only=False)),
        ("e", NewestMapped("gdpr"), SourceId()),
    ]


def test_a_preference_may_have_a_column_and_channels() -> None:
    rules = mapping(in_preference("{ column: c, channels: { email: d } }")).rules

    assert {rule.column: rule.source for rule in rules} == {
        "c": TOPICS,
        "d": Item("gdpr", "p", "topics", "email"),
    }


def test_regulations_are_in_lower_case() -> None:
    rules = mapping("GDPR: { purposes: { P: c } }\nCPRA: { purposes: { P: d } }")

    assert mapped_regulations(rules) == {"gdpr", "cpra"}
    assert rules.rules[0].source == Item("gdpr", "P")


@pytest.mark.parametrize(
    ("column", "unset"),
    [
        pytest.param("{ column: donotemail, as: yes_no, invert: false }", True, id="true forbids"),
        pytest.param("{ column: followemail, as: yes_no }", False, id="false forbids"),
        pytest.param("{ column: new_any, as: yes_no }", None, id="a column that is not a consent"),
    ],
)
def test_a_created_row_starts_restrictive_even_where_a_fact_decides(column: str, unset: bool | None) -> None:
    rule = only_rule(f"gdpr: {{ person: {{ metadata.x: {column} }} }}")

    assert isinstance(rule.format, YesNo)
    assert rule.format.unset is unset


# --- What is refused ------------------------------------------------------------------------------

_GIVEN = "is not a key of this section."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Nothing there
        pytest.param("", "mapping: is empty.", id="empty mapping"),
        pytest.param("[]", "mapping: must be a section.", id="a list for the mapping"),
        pytest.param("gdpr:", "mapping.gdpr: is empty.", id="empty regulation"),
        pytest.param("gdpr: {}", "mapping.gdpr: is empty.", id="empty braces"),
        pytest.param("gdpr: { purposes: {} }", "mapping.gdpr.purposes: is empty.", id="no purposes"),
        pytest.param(in_purpose("{}"), "mapping.gdpr.purposes.p: is empty.", id="an empty purpose"),
        pytest.param(in_purpose(""), "p: must be a column, or a section", id="a purpose without a column"),
        pytest.param(in_purpose("[c]"), "p: must be a column, or a section", id="a list for a column"),
        pytest.param(in_purpose("{ column: }"), "p.column: must be a column's logical name.", id="no name"),
        pytest.param(in_preference("{}"), "topics: is empty.", id="an empty preference"),
        pytest.param(in_preference("{ each: {} }"), "topics.each: is empty.", id="an empty each"),
        pytest.param(in_preference("{ channels: {} }"), "topics.channels: is empty.", id="empty channels"),
        # Unknown keys
        pytest.param(
            "gdpr: { purpose: { a: b } }", f"gdpr.purpose: {_GIVEN} Did you mean `purposes`?", id="regulation"
        ),
        pytest.param(
            in_purpose("{ concent: c }"), f"p.concent: {_GIVEN} Did you mean `consent`?", id="purpose"
        ),
        pytest.param(in_purpose("{ colum: c }"), f"p.colum: {_GIVEN} Did you mean `column`?", id="column"),
        pytest.param(in_purpose("{ column: c, inverted: yes }"), "Did you mean `invert`?", id="option key"),
        pytest.param(in_preference("{ each: { a: c }, eech: x }"), "Did you mean `each`?", id="beside each"),
        pytest.param(
            in_preference("{ each: { a: { column: c, as: x } } }"), f"each.a.as: {_GIVEN}", id="in each"
        ),
        pytest.param(
            "gdpr: { purposes: { p: c }, stamps: { change_at: d } }",
            "Did you mean `changed_at`?",
            id="audit key",
        ),
        pytest.param(
            "gdpr: { purposes: { p: c }, stamps: { notification_id: { column: d, as: text } } }",
            f"notification_id.as: {_GIVEN}",
            id="form of an id",
        ),
        pytest.param("gdpr: { person: { county: c } }", "Did you mean `country`?", id="person"),
        pytest.param("gdpr: { person: { metadata: c } }", '`"metadata.<path>"`', id="metadata as a whole"),
        pytest.param(
            "gdpr: { person: { metadata.: c } }", '`"metadata.<path>"`', id="metadata without a path"
        ),
        pytest.param(
            "gdpr: { preferences: { t: { channels: { e: c } } } }",
            "t: does not name a column.",
            id="channels of any",
        ),
        pytest.param(
            "purposes: { p: c }", "mapping.purposes: belongs under a regulation.", id="no regulation"
        ),
        pytest.param(
            "gdpr: { channels: { e: c } }\nGDPR: { channels: { e: d } }", "same regulation", id="twice"
        ),
        # Names
        pytest.param(in_purpose("New_C"), "Logical names are in lower case: `new_c`.", id="a schema name"),
        pytest.param(in_purpose("new-c"), "must be a column's logical name.", id="a hyphen"),
        pytest.param(in_purpose("1c"), "must be a column's logical name.", id="a digit first"),
        pytest.param('gdpr: { purposes: { "": c } }', "is not an id", id="an empty purpose id"),
        pytest.param('gdpr: { purposes: { " p": c } }', "is not an id", id="a blank in an id"),
        pytest.param('gdpr: { channels: { "": c } }', "is not an id", id="an empty channel id"),
        pytest.param(in_preference('{ each: { "": c } }'), "is not an id", id="an empty value id"),
        # Columns
        pytest.param(
            "gdpr: { purposes: { a: c, b: c } }",
            "gdpr.purposes.b: writes c, which mapping.gdpr.purposes.a already writes.",
            id="a column twice",
        ),
        pytest.param(
            "gdpr: { purposes: { a: c } }\ncpra: { purposes: { a: { column: c } } }",
            "cpra.purposes.a.column: writes c, which mapping.gdpr.purposes.a already writes.",
            id="a column twice across regulations",
        ),
        pytest.param(in_purpose("new_key"), "writes new_key, the key.", id="a reserved column"),
        pytest.param(
            in_purpose("donotemail"),
            "without `invert`: a refusal would become a permission",
            id="donotemail as consent",
        ),
        pytest.param(
            in_preference("{ each: { a: donotphone } }"), "without `invert`", id="donotphone in each"
        ),
        pytest.param(
            "gdpr: { person: { metadata.x: { column: donotsendmm, as: yes_no } } }",
            "without `invert`",
            id="fact",
        ),
        pytest.param(
            in_purpose("{ column: followemail, invert: true }"),
            "inverts followemail, where true allows: a refusal would become a permission",
            id="followemail",
        ),
        pytest.param(
            in_purpose("{ column: donotemail, as: choice, granted: 1, refused: 2 }"),
            "Write `as: yes_no`.",
            id="option",
        ),
        pytest.param("gdpr: { person: { country: donotemail } }", "a Yes/No column of Dataverse", id="text"),
        # Forms
        pytest.param(
            in_purpose("{ column: c, as: choices }"),
            "must be one of `yes_no`, `choice`, `text`",
            id="choices for a consent",
        ),
        pytest.param(in_purpose("{ column: c, as: }"), "as: must be one of", id="as nothing"),
        pytest.param(
            "gdpr: { person: { country: { column: c, as: choice } } }",
            "must be one of `text`",
            id="choice for a fact",
        ),
        pytest.param(
            in_purpose("{ column: c, invert: maybe }"), "invert: must be true or false.", id="invert"
        ),
        pytest.param(
            in_purpose("{ column: c, as: choice, granted: 1, refused: 2, invert: true }"),
            "invert: does not apply to a consent that is written as `choice`.",
            id="invert a choice",
        ),
        pytest.param(
            in_purpose("{ column: c, values: { a: 1 } }"), "values: does not apply", id="values of consent"
        ),
        pytest.param(
            in_purpose("{ column: c, granted: 1, refused: 2 }"), "Write `as: choice`", id="which form"
        ),
        pytest.param(in_purpose("{ column: c, as: choice, granted: 1 }"), "needs `refused:", id="no refused"),
        pytest.param(
            in_purpose("{ column: c, as: choice, granted: 1, refused: 1 }"), "the same value for", id="same"
        ),
        pytest.param(
            in_purpose("{ column: c, as: choice, granted: x, refused: 1 }"), "granted: must be", id="word"
        ),
        pytest.param(
            in_purpose(f"{{ column: c, as: choice, granted: {2**31}, refused: 1 }}"),
            "granted: must be",
            id="large",
        ),
        pytest.param(
            in_purpose("{ column: c, as: text, granted: a }"), "needs `refused: <text>`", id="no word"
        ),
        pytest.param(
            in_purpose("{ column: c, as: text, granted: a, refused: a }"),
            "the same value for",
            id="same word",
        ),
        pytest.param(
            in_preference("{ column: c, values: { a: 1 } }"), "Write `as: choice` for", id="one or many"
        ),
        pytest.param(in_preference("{ column: c, as: choice }"), "needs at least one value.", id="no values"),
        pytest.param(
            in_preference("{ column: c, as: choices, values: {} }"), "needs at least one", id="empty values"
        ),
        pytest.param(
            in_preference("{ column: c, as: choices, values: { a: 1, b: 1 } }"),
            "values.b: has the same option value as a.",
            id="one option twice",
        ),
        pytest.param(
            in_preference("{ column: c, as: choice, values: { a: 1.5 } }"), "values.a: must be", id="1.5"
        ),
        pytest.param(
            in_preference("{ column: c, as: choice, values: { a: 1 }, none: 1 }"),
            "none: is also",
            id="none twice",
        ),
        pytest.param(
            in_preference("{ column: c, as: choices, values: { a: 1 }, none: 2 }"),
            "none: does not apply",
            id="none",
        ),
        pytest.param(in_preference("{ column: c, as: text, max_length: 0 }"), "from 1 to", id="max_length"),
        pytest.param(
            in_preference("{ each: { a: c }, column: d }"),
            "cannot be combined with `each`",
            id="each and column",
        ),
        pytest.param(
            in_preference("{ each: { a: [] } }"), "each.a: must be a column's logical name", id="each list"
        ),
        pytest.param(
            in_purpose("{ consent: c, column: d }"), "p.column: cannot be combined with `consent`.", id="both"
        ),
        pytest.param(
            in_purpose("{ changed_at: { column: c, as: text } }"), "`datetime`, `date`", id="a time as text"
        ),
        pytest.param(
            "gdpr: { person: { country: c }, stamps: { changed_at: d } }",
            "no choice to describe",
            id="idle audit columns",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_once_with_its_place(text: str, expected: str) -> None:
    """Twice would send people looking for two mistakes."""
    _, problems = read(text, reserved={"new_key": "the key"})

    assert len(problems) == 1, problems
    assert expected in str(problems[0])
    assert problems[0].line is not None


def test_a_missing_mapping_is_a_problem_although_it_has_no_line() -> None:
    _, (problem,) = parse_mapping(Document("c.yaml"))

    assert str(problem).startswith("c.yaml: mapping: is missing.")


def test_every_problem_is_reported_with_its_own_line() -> None:
    _, problems = read(
        """
        gdpr:
          purposes:
            a: A
            b: { column: c, as: no }
          person:
            county: d
        """
    )

    assert [problem.line for problem in problems] == [5, 6, 8]


# --- The fingerprint ------------------------------------------------------------------------------

BASE = "gdpr: { purposes: { a: c, b: { column: d, as: choice, granted: 1, refused: 2 } } }"


@pytest.mark.parametrize(
    "same",
    [
        pytest.param(
            "GDPR:\n  purposes:\n    b: { refused: 2, granted: 1, as: choice, column: d }\n    a: c",
            id="order",
        ),
        pytest.param(
            BASE.replace("a: c", "a: { consent: { column: c, as: yes_no, invert: false } }"), id="long form"
        ),
    ],
)
def test_spelling_does_not_change_the_fingerprint(same: str) -> None:
    assert mapping(same).fingerprint == mapping(BASE).fingerprint


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(BASE.replace("a: c", "a: e"), id="column"),
        pytest.param(BASE.replace("a: c", "x: c"), id="purpose"),
        pytest.param(BASE.replace("a: c", "a: { column: c, invert: true }"), id="invert"),
        pytest.param(BASE.replace("granted: 1", "granted: 3"), id="option"),
        pytest.param(BASE.replace("gdpr", "cpra"), id="regulation"),
        pytest.param(BASE.replace("a: c", "a: { legitimate_interest: c }"), id="basis"),
        pytest.param(BASE.replace("a: c", "a: c, x: y"), id="one more"),
    ],
)
def test_whatever_changes_a_value_changes_the_fingerprint(other: str) -> None:
    assert mapping(other).fingerprint != mapping(BASE).fingerprint


def test_the_other_values_of_each_count_because_they_tell_commas_apart() -> None:
    one = mapping(in_preference("{ each: { a: c } }"))
    two = mapping(in_preference("{ each: { a: c, 'a,b': d } }"))

    assert one.fingerprint != two.fingerprint


def test_the_fingerprint_is_the_same_on_every_machine() -> None:
    """It is stored: a change here maps every known contact again after an upgrade."""
    assert mapping("gdpr: { purposes: { a: c } }").fingerprint == (
        "8ba4b0f23a3a471329b76994580d3b6c15ef4e703064ca8834d65ecd67659494"
    )


def test_the_fingerprint_names_every_source_and_format_as_it_always_did() -> None:
    """Renaming a class or a field of `rules` must not map every known contact again."""
    rules = mapping(
        """
        gdpr:
          purposes:
            a: c_a
            b: { column: donotbulkemail, invert: true }
            c: { column: c_choice, as: choice, granted: 1, refused: 2 }
            d: { column: c_words, as: text, granted: y, refused: n }
            p:
              consent: c_p
              legitimate_interest: { column: c_li, invert: true }
              changed_at: c_p_at
              preferences:
                one: { column: c_one, as: choice, values: { x: 1, y: 2 }, none: 9 }
                many: { column: c_many, as: choices, values: { x: 1, y: 2 } }
                each: { each: { x: c_x, y: { column: c_y, invert: true } } }
                text: { column: c_text, as: text, max_length: 9 }
              channels: { email: c_email }
          preferences: { language: { column: c_language, as: text } }
          channels: { sms: { column: donotphone, invert: true } }
          person:
            country: c_country
            metadata.n: { column: c_n, as: integer }
            metadata.d: { column: c_d, as: decimal }
          stamps: { changed_at: { column: c_at, as: date }, notification_id: c_by }
        """
    )

    assert {type(rule.source) for rule in rules.rules} == set(get_args(Source))
    assert {type(rule.format) for rule in rules.rules} == set(get_args(ColumnFormat))
    assert rules.fingerprint == "a4f9a15cee2ab8a52bde18a4a6c4401a508ba3c07051b656066042a6ad1013a0"
