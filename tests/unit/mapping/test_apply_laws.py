"""Laws of the mapping that hold for any choices."""

from collections.abc import Mapping
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from didomi_dataverse.consent.model import Basis, Fact, Item, Selection, Subject, Value
from didomi_dataverse.consent.registers import Resolved
from didomi_dataverse.ledger.delivery_state import Written
from didomi_dataverse.mapping.apply import apply, for_creation
from didomi_dataverse.mapping.convert import clip_text
from didomi_dataverse.mapping.diff import diff_columns
from didomi_dataverse.mapping.rules import build_mapping

from .mappings import HOUR, NOON, chosen, mapping

RULES = mapping(
    """
    gdpr:
      purposes:
        a: c_a
        b: { column: donotemail, invert: true }
        p:
          consent: { column: c_p, as: choice, granted: 1, refused: 2 }
          legitimate_interest: { column: c_li, as: text, granted: given, refused: refused }
          changed_at: c_at
          preferences:
            t: { column: c_many, as: choices, values: { x: 1, y: 2, "x,y": 3 } }
            u: { column: c_one, as: choice, values: { x: 1, y: 2 }, none: 9 }
            v: { each: { x: c_x, y: { column: c_y, invert: true } } }
            w: c_w
          channels: { email: c_email }
      preferences: { t: { column: c_any, as: choice, values: { x: 1 } } }
      channels: { email: { column: donotphone, invert: true } }
      person: { country: c_country, metadata.n: { column: c_n, as: integer } }
      stamps: { changed_at: c_when, notification_id: c_by }
    cpra:
      purposes: { a: c_cpra }
      stamps: { changed_at: c_cpra_when }
    """
)
AUDIT_COLUMNS = {"c_at", "c_when", "c_by", "c_cpra_when"}
ITEMS: list[Item] = [
    Item(regulation, purpose, preference, channel, basis)
    for regulation in ("gdpr", "cpra")
    for purpose in ("", "a", "b", "p")
    for preference in ("", "t", "u", "v", "w")
    for channel in ("", "email")
    for basis in Basis
]

ids = st.lists(st.sampled_from(["x", "y", "z"]), max_size=3, unique=True)
selections = ids.map(lambda picked: Selection(tuple(sorted(picked)), ",".join(picked)))
values: st.SearchStrategy[Value] = st.one_of(st.booleans(), selections, st.text(max_size=3), st.integers())
nothing_granted: st.SearchStrategy[Value] = st.sampled_from([False, Selection((), "")])
hours = st.integers(0, 5)


@st.composite
def contacts(draw: st.DrawFn, of: st.SearchStrategy[Value] = values) -> dict[Subject, Resolved]:
    """The resolved choices of a person."""
    resolved: dict[Subject, Resolved] = {}
    for item in draw(st.lists(st.sampled_from(ITEMS), max_size=12, unique=True)):
        stated = draw(st.one_of(st.none(), hours))
        resolved |= chosen(
            item,
            draw(of),
            at=NOON + draw(hours) * HOUR,
            stated_at=None if stated is None else NOON + stated * HOUR,
            source_id=draw(st.sampled_from(["E1", "E2"])),
        )
    return resolved


facts = st.fixed_dictionaries(
    {},
    optional={
        Fact("gdpr", "country"): st.text(max_size=3),
        Fact("gdpr", "metadata.n"): st.one_of(st.integers(), st.text(max_size=3), st.floats()),
    },
)


def confirmed(resolved: Mapping[Subject, Resolved]) -> dict[str, Written]:
    return {
        column: Written(value.value, value.stated_at)
        for column, value in for_creation(RULES, apply(RULES, resolved)).items()
    }


@given(contacts(of=nothing_granted))
def test_nothing_is_granted_without_a_grant(resolved: dict[Subject, Resolved]) -> None:
    """Whatever was refused, a column holds what it would hold if nothing had ever been chosen."""
    unset = for_creation(RULES, apply(RULES, {}))

    found = apply(RULES, resolved).values

    for column in found.keys() - AUDIT_COLUMNS:
        assert found[column].value == unset[column].value
        assert found[column].withdrawal


@given(contacts())
def test_what_was_written_is_not_sent_again(resolved: dict[Subject, Resolved]) -> None:
    found = apply(RULES, resolved)
    written = {column: Written(value.value, value.stated_at) for column, value in found.values.items()}

    assert diff_columns(found, written) == {}


@given(contacts())
def test_what_a_created_row_holds_is_not_sent_again(resolved: dict[Subject, Resolved]) -> None:
    assert diff_columns(apply(RULES, resolved), confirmed(resolved)) == {}


@given(contacts(), contacts())
def test_after_a_diff_every_value_of_its_own_is_as_it_must_be(
    before: dict[Subject, Resolved], after: dict[Subject, Resolved]
) -> None:
    written = confirmed(before)
    found = apply(RULES, after)

    sent = diff_columns(found, written)

    held = {column: one.value for column, one in written.items()} | {
        column: one.value for column, one in sent.items()
    }
    for column, value in found.values.items():
        if column not in AUDIT_COLUMNS:
            assert held[column] == value.value
            assert type(held[column]) is type(value.value)


@given(contacts())
def test_creation_writes_exactly_the_mapped_columns(resolved: dict[Subject, Resolved]) -> None:
    creation = for_creation(RULES, apply(RULES, resolved))

    assert list(creation) == [rule.column for rule in RULES.rules]


@given(contacts())
def test_a_column_is_written_only_where_its_own_regulation_chose(resolved: dict[Subject, Resolved]) -> None:
    of_gdpr = {subject: one for subject, one in resolved.items() if subject.regulation == "gdpr"}
    gdpr_columns = {rule.column for rule in RULES.rules if rule.regulation == "gdpr"}

    alone, together = apply(RULES, of_gdpr).values, apply(RULES, resolved).values

    assert {c: v for c, v in together.items() if c in gdpr_columns} == alone


@given(contacts(), st.randoms(use_true_random=False))
def test_the_order_of_choices_and_rules_does_not_matter(
    resolved: dict[Subject, Resolved], random: Random
) -> None:
    shuffled = list(resolved.items())
    random.shuffle(shuffled)
    rules = list(RULES.rules)
    random.shuffle(rules)

    found, again = apply(RULES, resolved), apply(build_mapping(rules), dict(shuffled))

    assert {column: value.value for column, value in again.values.items()} == {
        column: value.value for column, value in found.values.items()
    }
    assert set(again.findings) == set(found.findings)
    assert build_mapping(rules).fingerprint == RULES.fingerprint


@given(facts)
def test_any_fact_is_written_or_reported(told: dict[Fact, Value]) -> None:
    resolved: dict[Subject, Resolved] = {}
    for subject, value in told.items():
        resolved |= chosen(subject, value)

    found = apply(RULES, resolved)

    assert len(found.values) + len(found.findings) == len(told)


@given(st.text(), st.integers(1, 10))
def test_clipped_text_fits_and_loses_no_more_than_it_must(text: str, max_units: int) -> None:
    def units(part: str) -> int:
        return len(part.encode("utf-16-le", "surrogatepass")) // 2

    kept = clip_text(text, max_units)

    assert text.startswith(kept)
    assert units(kept) <= max_units
    assert kept == text or units(text[: len(kept) + 1]) > max_units
