"""What a created row holds: every mapped column, and no consent without a grant (docs/promises.md 6)."""

import pytest

from didomi_dataverse.mapping.apply import apply, for_creation

from .mappings import NEWSLETTER, NOON, chosen, mapping, purposes


@pytest.mark.parametrize(
    ("text", "unset", "withdrawal"),
    [
        pytest.param("purposes: { p: c }", False, True, id="Yes/No"),
        pytest.param("purposes: { p: { column: c, invert: true } }", True, True, id="inverted"),
        pytest.param("purposes: { p: followemail }", False, True, id="a column whose own default allows"),
        pytest.param(
            "purposes: { p: { column: c, as: choice, granted: 1, refused: 2 } }", 2, True, id="option"
        ),
        pytest.param(
            "purposes: { p: { column: c, as: text, granted: y, refused: n } }", "n", True, id="word"
        ),
        pytest.param(
            "preferences: { t: { column: c, as: choice, values: { a: 1 } } }", None, True, id="one of"
        ),
        pytest.param(
            "preferences: { t: { column: c, as: choice, values: { a: 1 }, none: 9 } }",
            9,
            True,
            id="one of, none",
        ),
        pytest.param(
            "preferences: { t: { column: c, as: choices, values: { a: 1 } } }", None, True, id="many of"
        ),
        pytest.param("preferences: { t: { column: c, as: text } }", None, False, id="free text"),
        pytest.param("preferences: { t: { each: { a: c } } }", False, True, id="each"),
        pytest.param(
            "preferences: { t: { each: { a: { column: c, invert: true } } } }", True, True, id="each inv."
        ),
        pytest.param("person: { country: c }", None, False, id="fact"),
        pytest.param("person: { metadata.n: { column: c, as: integer } }", None, False, id="number"),
        pytest.param("person: { metadata.b: { column: c, as: yes_no } }", None, False, id="fact as Yes/No"),
        pytest.param(
            "person: { metadata.b: { column: donotemail, as: yes_no, invert: false } }",
            True,
            True,
            id="a forbidding fact",
        ),
        pytest.param("purposes: { p: { changed_at: c } }", None, False, id="audit column"),
    ],
)
def test_where_nothing_was_chosen_the_row_says_so(text: str, unset: object, withdrawal: bool) -> None:
    rules = mapping(f"gdpr: {{ {text} }}")

    (value,) = for_creation(rules, apply(rules, {})).values()

    assert value.value == unset
    assert type(value.value) is type(unset)
    assert value.withdrawal is withdrawal
    assert (value.stated_at, value.sources, value.notifications) == (None, (), ())
    assert value.rule == rules.rules[0].path


def test_what_was_chosen_is_written_as_it_was_chosen() -> None:
    rules = purposes("newsletter: c, other: d")
    values = apply(rules, chosen(NEWSLETTER, True))

    creation = for_creation(rules, values)

    assert creation["c"] == values.values["c"]
    assert creation["c"].stated_at == NOON
    assert creation["d"].value is False
