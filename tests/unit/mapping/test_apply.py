"""A contact's choices → column values: every format, what is left out, and what is reported."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from didomi_dataverse.consent.model import Basis, Item, Selection, Subject, Value
from didomi_dataverse.consent.registers import Resolved
from didomi_dataverse.mapping.apply import Finding, apply
from didomi_dataverse.mapping.convert import ConversionIssue

from .mappings import HOUR, NEWSLETTER, NOON, chosen, columns, fact, mapping, picked, purposes

TOPICS = Item("gdpr", "p", "topics")


def preference(text: str) -> str:
    return f"gdpr: {{ purposes: {{ p: {{ preferences: {{ topics: {text} }} }} }} }}"


ONE_OF = preference("{ column: c, as: choice, values: { a: 1, b: 2, 'x,y': 3 } }")
ONE_OF_OR_NONE = preference("{ column: c, as: choice, values: { a: 1, b: 2 }, none: 9 }")
MANY_OF = preference("{ column: c, as: choices, values: { a: 16, b: 9, 'x,y': 3 } }")
TEXT = preference("{ column: c, as: text }")
SHORT_TEXT = preference("{ column: c, as: text, max_length: 3 }")
YES_NO = preference("c")
EACH = preference("{ each: { a: c, b: { column: d, invert: true }, 'x,y': e } }")


# --- Consent --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "granted", "refused"),
    [
        pytest.param("c", True, False, id="Yes/No"),
        pytest.param("{ column: c, invert: true }", False, True, id="inverted"),
        pytest.param("{ column: c, as: choice, granted: 1, refused: 2 }", 1, 2, id="option"),
        pytest.param("{ column: c, as: text, granted: yes, refused: no }", "yes", "no", id="words"),
    ],
)
def test_a_consent_in_each_format(rule: str, granted: object, refused: object) -> None:
    rules = purposes(f"newsletter: {rule}")

    assert columns(rules, chosen(NEWSLETTER, True)) == {"c": granted}
    assert columns(rules, chosen(NEWSLETTER, False)) == {"c": refused}


def test_without_a_choice_nothing_is_written() -> None:
    assert columns(purposes("newsletter: c, other: d"), chosen(Item("gdpr", "third"), True)) == {}


@pytest.mark.parametrize("value", ["true", 1, 1.0, picked("a")], ids=["text", "number", "float", "selection"])
def test_what_is_not_a_choice_is_reported_and_not_written(value: Value) -> None:
    values = apply(purposes("newsletter: c"), chosen(NEWSLETTER, value))

    assert values.values == {}
    assert values.findings == (
        Finding("mapping.gdpr.purposes.newsletter", ConversionIssue.VALUE_NOT_OF_THIS_KIND),
    )


def test_legitimate_interest_and_consent_are_kept_apart() -> None:
    rules = purposes("newsletter: { consent: c, legitimate_interest: d }")
    objection = chosen(Item("gdpr", "newsletter", basis=Basis.LEGITIMATE_INTEREST), False)

    assert columns(rules, objection) == {"d": False}
    assert columns(rules, objection | chosen(NEWSLETTER, True)) == {"c": True, "d": False}


def test_regulations_never_mix() -> None:
    rules = mapping("gdpr: { purposes: { newsletter: c } }\ncpra: { purposes: { newsletter: d } }")

    assert columns(rules, chosen(Item("cpra", "newsletter"), True)) == {"d": True}


def test_a_column_value_can_be_explained() -> None:
    resolved = chosen(NEWSLETTER, False, at=NOON + HOUR, source_id="E7")

    value = apply(purposes("newsletter: { consent: { column: c, invert: true } }"), resolved).values["c"]

    assert (value.column, value.value, value.withdrawal) == ("c", True, True)
    assert value.rule == "mapping.gdpr.purposes.newsletter.consent"
    assert value.stated_at == NOON + HOUR
    assert value.sources == ("E7",)
    assert value.notifications == ("digest-of-E7",)
    assert value.follows is None


# --- Channels -------------------------------------------------------------------------------------


def test_a_yes_to_a_channel_of_one_purpose_is_not_a_yes_to_the_channel() -> None:
    rules = mapping(
        "gdpr: { channels: { email: c }, purposes: { p: { channels: { email: d },"
        " preferences: { topics: { channels: { email: e } } } } } }"
    )

    assert columns(rules, chosen(Item("gdpr", "p", channel="email"), True)) == {"d": True}
    assert columns(rules, chosen(Item("gdpr", "p", "topics", "email"), True)) == {"e": True}
    assert columns(rules, chosen(Item("gdpr", channel="email"), True)) == {"c": True}


# --- Preferences ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        pytest.param(ONE_OF, picked("b"), {"c": 2}, id="one: a value"),
        pytest.param(ONE_OF, picked(), {"c": None}, id="one: none, as nothing"),
        pytest.param(ONE_OF_OR_NONE, picked(), {"c": 9}, id="one: none, as an option"),
        pytest.param(ONE_OF_OR_NONE, False, {"c": 9}, id="one: a v1 refusal is none"),
        pytest.param(ONE_OF, picked("x", "y", text="x,y"), {"c": 3}, id="one: an id with a comma"),
        pytest.param(ONE_OF, picked("x", "y", text=" x,y "), {"c": 3}, id="one: blanks around it"),
        pytest.param(MANY_OF, picked("a", "b"), {"c": "9,16"}, id="many: sorted as numbers"),
        pytest.param(MANY_OF, picked(), {"c": None}, id="many: none"),
        pytest.param(MANY_OF, False, {"c": None}, id="many: a v1 refusal is none"),
        pytest.param(MANY_OF, picked("x", "y", text="x,y"), {"c": "3"}, id="many: an id with a comma"),
        pytest.param(TEXT, picked("a", "b", text="b, a"), {"c": "b, a"}, id="text: as received"),
        pytest.param(TEXT, picked(), {"c": None}, id="text: empty"),
        pytest.param(TEXT, Selection((), " , "), {"c": None}, id="text: nothing but separators"),
        pytest.param(TEXT, False, {"c": None}, id="text: a v1 refusal is empty"),
        pytest.param(SHORT_TEXT, picked("abcdef"), {"c": "abc"}, id="text: cut"),
        pytest.param(SHORT_TEXT, picked("ab😀"), {"c": "ab"}, id="text: never half a character"),
        pytest.param(YES_NO, True, {"c": True}, id="yes/no: v1 consent"),
        pytest.param(YES_NO, False, {"c": False}, id="yes/no: v1 refusal"),
        pytest.param(YES_NO, picked(), {"c": False}, id="yes/no: nothing picked"),
        pytest.param(EACH, picked("a"), {"c": True, "d": True, "e": False}, id="each: one picked"),
        pytest.param(EACH, picked("a", "b"), {"c": True, "d": False, "e": False}, id="each: two picked"),
        pytest.param(
            EACH, picked("x", "y", text="x,y"), {"c": False, "d": True, "e": True}, id="each: comma"
        ),
        pytest.param(EACH, picked(), {"c": False, "d": True, "e": False}, id="each: none"),
        pytest.param(EACH, False, {"c": False, "d": True, "e": False}, id="each: a v1 refusal"),
    ],
)
def test_a_preference_in_each_format(rule: str, value: Value, expected: dict[str, object]) -> None:
    values = apply(mapping(rule), chosen(TOPICS, value))

    assert {column: one.value for column, one in values.values.items()} == expected
    assert values.findings == ()


@pytest.mark.parametrize(
    ("rule", "value", "expected", "finding"),
    [
        pytest.param(ONE_OF, picked("z"), {}, ("unmapped_value", ("z",)), id="one: unmapped"),
        pytest.param(ONE_OF, picked("a", "b"), {}, ("several_values", ("a", "b")), id="one: several"),
        pytest.param(ONE_OF, True, {}, ("value_not_of_this_kind", ()), id="one: a v1 yes"),
        pytest.param(MANY_OF, picked("a", "z"), {"c": "16"}, ("unmapped_value", ("z",)), id="many: unmapped"),
        pytest.param(
            MANY_OF, picked("z"), {"c": None}, ("unmapped_value", ("z",)), id="many: nothing mapped"
        ),
        pytest.param(MANY_OF, True, {}, ("value_not_of_this_kind", ()), id="many: a v1 yes"),
        pytest.param(TEXT, True, {}, ("value_not_of_this_kind", ()), id="text: a v1 yes"),
        pytest.param(YES_NO, picked("a"), {}, ("value_not_of_this_kind", ()), id="yes/no: values"),
        pytest.param(EACH, True, {}, ("value_not_of_this_kind", ()), id="each: a v1 yes"),
        pytest.param(
            EACH,
            picked("a", "z"),
            {"c": True, "d": True, "e": False},
            ("unmapped_value", ("z",)),
            id="each: unmapped, told once",
        ),
    ],
)
def test_a_value_without_a_place_is_reported(
    rule: str, value: Value, expected: dict[str, object], finding: tuple[str, tuple[str, ...]]
) -> None:
    values = apply(mapping(rule), chosen(TOPICS, value))

    assert {column: one.value for column, one in values.values.items()} == expected
    assert [(found.problem, found.ids) for found in values.findings] == [finding]
    assert {found.rule for found in values.findings} == {"mapping.gdpr.purposes.p.preferences.topics"}


def test_more_values_than_a_column_can_hold_are_reported() -> None:
    known = ", ".join(f"v{n}: {n}" for n in range(151))
    rules = mapping(preference(f"{{ column: c, as: choices, values: {{ {known} }} }}"))

    values = apply(rules, chosen(TOPICS, picked(*(f"v{n}" for n in range(151)))))

    assert values.values == {}
    assert [found.problem for found in values.findings] == ["out_of_range"]


def test_what_a_person_wrote_is_not_repeated_as_an_id() -> None:
    """A free-text preference that is mapped as if it held ids."""
    values = apply(mapping(ONE_OF), chosen(TOPICS, picked("please call ada@example.com")))

    assert values.findings == (
        Finding("mapping.gdpr.purposes.p.preferences.topics", ConversionIssue.UNMAPPED_VALUE),
    )


def test_under_any_purpose_the_newest_choice_counts() -> None:
    rules = mapping("gdpr: { preferences: { language: { column: c, as: text } } }")
    older = chosen(Item("gdpr", "p", "language"), picked("fr"))
    newer = chosen(Item("gdpr", "q", "language"), picked("en"), at=NOON + HOUR, source_id="E2")

    for resolved in (older | newer, newer | older):
        value = apply(rules, resolved).values["c"]
        assert (value.value, value.stated_at, value.sources) == ("en", NOON + HOUR, ("E2",))


def test_under_any_purpose_at_the_same_time_the_restrictive_choice_counts() -> None:
    rules = mapping("gdpr: { preferences: { t: { column: c, as: choices, values: { a: 1, b: 2 } } } }")
    more = chosen(Item("gdpr", "p", "t"), picked("a", "b"))
    fewer = chosen(Item("gdpr", "q", "t"), picked("a"))

    assert columns(rules, more | fewer) == columns(rules, fewer | more) == {"c": "1"}


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(Item("cpra", "p", "language"), id="of another regulation"),
        pytest.param(Item("gdpr", "p", "language", "email"), id="a channel of it"),
        pytest.param(Item("gdpr", "language"), id="a purpose of that name"),
    ],
)
def test_under_any_purpose_means_the_preference_itself(item: Item) -> None:
    rules = mapping("gdpr: { preferences: { language: c } }")

    assert columns(rules, chosen(item, True)) == {}


# --- What is told of the person -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        pytest.param("text", "FR", "FR", id="text"),
        pytest.param("text, max_length: 1", "FR", "F", id="text, cut"),
        pytest.param("text", "", None, id="text, empty"),
        pytest.param("text", 12, "12", id="number as text"),
        pytest.param("text", True, "true", id="true as text"),
        pytest.param("text", False, "false", id="false as text"),
        pytest.param("integer", 12, 12, id="integer"),
        pytest.param("integer", "-12", -12, id="integer in text"),
        pytest.param("integer", 12.0, 12, id="integer as a float"),
        pytest.param("decimal", 1.5, 1.5, id="decimal"),
        pytest.param("decimal", 2, 2.0, id="decimal from an integer"),
        pytest.param("decimal", "1.50", 1.5, id="decimal in text"),
        pytest.param("yes_no", True, True, id="yes"),
        pytest.param("yes_no, invert: true", True, False, id="yes, inverted"),
    ],
)
def test_a_fact_in_each_format(kind: str, value: Value, expected: object) -> None:
    rules = mapping(f"gdpr: {{ person: {{ metadata.x: {{ column: c, as: {kind} }} }} }}")

    found = columns(rules, fact("metadata.x", value))

    assert found == {"c": expected}
    assert type(found["c"]) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        pytest.param("integer", "twelve", "value_not_of_this_kind", id="a word for a number"),
        pytest.param("integer", 1.5, "value_not_of_this_kind", id="a fraction for an integer"),
        pytest.param("integer", "1.5", "value_not_of_this_kind", id="a fraction in text"),
        pytest.param("integer", True, "value_not_of_this_kind", id="true for a number"),
        pytest.param("integer", 2**31, "out_of_range", id="more than 32 bits"),
        pytest.param("decimal", float("inf"), "out_of_range", id="infinity"),
        pytest.param("decimal", "1e5", "value_not_of_this_kind", id="an exponent"),
        pytest.param("decimal", "١٢", "value_not_of_this_kind", id="other digits"),
        pytest.param("yes_no", "true", "value_not_of_this_kind", id="a word for yes"),
        pytest.param("yes_no", 1, "value_not_of_this_kind", id="one for yes"),
        pytest.param("text", picked("a"), "value_not_of_this_kind", id="a selection"),
    ],
)
def test_a_fact_that_does_not_fit_is_reported_without_its_value(
    kind: str, value: Value, problem: str
) -> None:
    rules = mapping(f"gdpr: {{ person: {{ metadata.x: {{ column: c, as: {kind} }} }} }}")

    values = apply(rules, fact("metadata.x", value))

    assert values.values == {}
    assert values.findings == (Finding("mapping.gdpr.person.metadata.x", ConversionIssue(problem)),)


# --- Audit columns ---------------------------------------------------------------------------------------

AUDITED = mapping(
    "gdpr: { purposes: { newsletter: c, p: { preferences: { topics:"
    " { column: d, as: choice, values: { a: 1 } } } } },"
    " person: { country: e }, stamps: { changed_at: at, notification_id: by } }"
)


def test_audit_columns_describe_the_newest_mapped_choice() -> None:
    resolved = chosen(NEWSLETTER, True) | chosen(TOPICS, picked("a"), at=NOON + HOUR, source_id="E2")

    values = apply(AUDITED, resolved).values

    assert values["at"].value == "2026-03-01T13:00:00Z"
    assert values["by"].value == "E2"
    assert values["at"].follows == ("c", "d")
    assert values["at"].sources == ("E2",)


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(chosen(Item("gdpr", "unmapped"), True, at=NOON + HOUR, source_id="E2"), id="not mapped"),
        pytest.param(
            chosen(TOPICS, picked("z"), at=NOON + HOUR, source_id="E2"), id="without a column value"
        ),
        pytest.param(fact("country", "FR"), id="a fact is not a choice"),
        pytest.param(chosen(Item("cpra", "newsletter"), True, at=NOON + HOUR), id="another regulation"),
    ],
)
def test_audit_columns_pass_over_what_wrote_nothing(later: dict[Subject, Resolved]) -> None:
    values = apply(AUDITED, chosen(NEWSLETTER, True) | later).values

    assert (values["at"].value, values["by"].value) == ("2026-03-01T12:00:00Z", "E1")


def test_without_a_choice_audit_columns_are_not_written() -> None:
    assert columns(AUDITED, fact("country", "FR")) == {"e": "FR"}


@pytest.mark.parametrize(
    ("form", "at", "expected"),
    [
        pytest.param(
            "d", datetime(2026, 3, 1, 1, tzinfo=timezone(2 * HOUR)), "2026-02-28T23:00:00Z", id="UTC"
        ),
        pytest.param("d", NOON + timedelta(milliseconds=999), "2026-03-01T12:00:00Z", id="whole seconds"),
        pytest.param("{ column: d, as: date }", NOON, "2026-03-01", id="a date"),
    ],
)
def test_a_time_in_each_format(form: str, at: datetime, expected: str) -> None:
    rules = purposes(f"newsletter: {{ changed_at: {form} }}")

    assert columns(rules, chosen(NEWSLETTER, True, at=at)) == {"d": expected}


def test_a_time_that_no_column_can_hold_is_reported() -> None:
    values = apply(
        purposes("newsletter: { changed_at: d }"),
        chosen(NEWSLETTER, True, at=datetime(1752, 1, 1, tzinfo=UTC)),
    )

    assert values.values == {}
    assert values.findings == (
        Finding("mapping.gdpr.purposes.newsletter.changed_at", ConversionIssue.OUT_OF_RANGE),
    )


def test_changed_at_of_a_purpose_is_the_newer_of_consent_and_legitimate_interest() -> None:
    rules = purposes("newsletter: { consent: c, changed_at: at }")
    objection = Item("gdpr", "newsletter", basis=Basis.LEGITIMATE_INTEREST)
    resolved = chosen(NEWSLETTER, True) | chosen(objection, False, at=NOON + HOUR, source_id="E2")

    value = apply(rules, resolved).values["at"]

    assert (value.value, value.sources, value.follows) == ("2026-03-01T13:00:00Z", ("E2",), ("c",))


def test_a_choice_without_an_event_id_leaves_the_id_empty() -> None:
    assert columns(AUDITED, chosen(NEWSLETTER, True, source_id=""))["by"] is None
