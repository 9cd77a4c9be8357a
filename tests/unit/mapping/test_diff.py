"""Which columns Dataverse still has to be told (docs/how-choices-are-decided.md, "What is sent")."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from didomi_dataverse.consent.model import Item, Subject
from didomi_dataverse.consent.registers import Resolved
from didomi_dataverse.ledger.delivery_state import Written
from didomi_dataverse.mapping import rules
from didomi_dataverse.mapping.apply import ColumnValue, ColumnValues, apply
from didomi_dataverse.mapping.diff import diff_columns

from .mappings import HOUR, NEWSLETTER, NOON, chosen, mapping, purposes

OTHER = Item("gdpr", "other")
RULES = purposes("newsletter: { consent: c, changed_at: c_at }, other: { consent: d, changed_at: d_at }")
AUDITED = mapping(
    "gdpr: { purposes: { newsletter: c, other: d }, stamps: { changed_at: at, notification_id: by } }"
)


def confirmed(values: Mapping[str, ColumnValue]) -> dict[str, Written]:
    return {column: Written(value.value, value.stated_at) for column, value in values.items()}


def sent(
    rules: rules.ColumnMapping, before: Mapping[Subject, Resolved], after: Mapping[Subject, Resolved]
) -> set[str]:
    """The columns sent for `after`, once everything of `before` is confirmed."""
    return set(diff_columns(apply(rules, after), confirmed(apply(rules, before).values)))


def test_everything_is_sent_at_first() -> None:
    values = apply(RULES, chosen(NEWSLETTER, True))

    assert diff_columns(values, {}) == values.values


def test_nothing_is_sent_twice() -> None:
    assert sent(RULES, chosen(NEWSLETTER, True), chosen(NEWSLETTER, True)) == set()


def test_only_what_differs_is_sent() -> None:
    before = chosen(NEWSLETTER, True) | chosen(OTHER, True)

    assert sent(RULES, before, before | chosen(OTHER, False, at=NOON + HOUR)) == {"d", "d_at"}


def test_a_value_that_differs_is_sent_even_without_a_statement() -> None:
    """A snapshot healed a notification that we missed."""
    assert sent(
        RULES, chosen(NEWSLETTER, True), chosen(NEWSLETTER, False, at=NOON + HOUR, stated_at=None)
    ) == {
        "c",
        "c_at",
    }


def test_a_repeated_choice_is_sent_to_override_an_edit_in_the_crm() -> None:
    assert sent(RULES, chosen(NEWSLETTER, True), chosen(NEWSLETTER, True, at=NOON + HOUR)) == {"c", "c_at"}


def test_a_first_statement_is_sent_although_a_snapshot_told_the_same() -> None:
    assert "c" in sent(RULES, chosen(NEWSLETTER, True, stated_at=None), chosen(NEWSLETTER, True))


def test_an_older_statement_sends_nothing() -> None:
    assert sent(RULES, chosen(NEWSLETTER, True), chosen(NEWSLETTER, True, stated_at=NOON - HOUR)) == set()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(True, 1, id="an option where a Yes was"),
        pytest.param(False, 0, id="an option where a No was"),
        pytest.param(1, 1.0, id="a decimal where an integer was"),
        pytest.param("1", 1, id="an integer where text was"),
        pytest.param(None, False, id="a No where nothing was"),
    ],
)
def test_values_of_another_type_differ(before: Any, after: Any) -> None:  # noqa: ANN401 - any column value
    value = ColumnValue("c", after, None, "r", (), (), withdrawal=False)

    assert diff_columns(ColumnValues({"c": value}), {"c": Written(before, NOON)}) == {"c": value}


# --- Audit columns ---------------------------------------------------------------------------------------


def test_a_snapshot_that_only_moves_an_audit_column_sends_nothing() -> None:
    before = chosen(NEWSLETTER, True, stated_at=None)
    after = chosen(NEWSLETTER, True, at=NOON + HOUR, stated_at=None, source_id="U1:17")

    assert sent(RULES, before, after) == set()
    assert (
        sent(AUDITED, before, {**after, **chosen(NEWSLETTER, True, at=NOON + HOUR, stated_at=None)}) == set()
    )


def test_an_audit_column_that_moved_goes_with_a_column_that_it_describes() -> None:
    before = chosen(NEWSLETTER, True, stated_at=None) | chosen(OTHER, True, stated_at=None)
    snapshot = chosen(NEWSLETTER, True, at=NOON + HOUR, stated_at=None) | chosen(
        OTHER, False, at=NOON + HOUR, stated_at=None
    )

    assert sent(RULES, before, snapshot) == {"d", "d_at"}
    assert sent(AUDITED, before, snapshot) == {"d", "at"}


def test_an_audit_column_that_was_never_written_goes_by_itself() -> None:
    resolved = chosen(NEWSLETTER, True)
    without = confirmed(apply(purposes("newsletter: c"), resolved).values)

    assert set(diff_columns(apply(AUDITED, resolved), without)) == {"at", "by"}


def test_an_audit_column_in_another_format_goes_by_itself() -> None:
    """The rule was changed: only differences go out, but this is one."""
    resolved = chosen(NEWSLETTER, True)
    values = apply(AUDITED, resolved)
    as_date: dict[str, Written] = {**confirmed(values.values), "at": Written("2026-03-01", NOON)}

    assert set(diff_columns(values, as_date)) == {"at"}


def test_an_audit_column_that_is_empty_in_a_created_row_goes_out() -> None:
    values = apply(AUDITED, chosen(NEWSLETTER, True, stated_at=None))
    empty: dict[str, Written] = {
        **confirmed(values.values),
        "at": Written(None, None),
        "by": Written(None, None),
    }

    assert set(diff_columns(values, empty)) == {"at", "by"}


def test_a_statement_that_only_an_audit_column_describes_is_sent() -> None:
    rules = purposes("newsletter: { changed_at: at }")

    assert sent(rules, chosen(NEWSLETTER, True), chosen(NEWSLETTER, False, at=NOON + HOUR)) == {"at"}


def test_an_audit_column_never_goes_with_a_column_of_another_regulation() -> None:
    rules = mapping(
        "gdpr: { purposes: { a: c }, stamps: { changed_at: at } }\n"
        "cpra: { purposes: { a: d }, stamps: { changed_at: at2 } }"
    )
    gdpr, cpra = Item("gdpr", "a"), Item("cpra", "a")
    before = chosen(gdpr, True, stated_at=None) | chosen(cpra, True)

    def later(at: datetime) -> Mapping[Subject, Resolved]:
        return chosen(gdpr, True, at=at, stated_at=None) | chosen(cpra, False, at=at)

    assert sent(rules, before, later(NOON + HOUR)) == {"d", "at2"}
