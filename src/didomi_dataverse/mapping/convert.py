"""One value → one column's value, in the form its column takes (dataverse.md 6.1). Pure."""

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import assert_never

from didomi_dataverse.consent.model import Selection, Unset, Value
from didomi_dataverse.consent.registers import JsonScalar
from didomi_dataverse.mapping.rules import (
    FactText,
    Form,
    ManyOf,
    Marked,
    Moment,
    Number,
    OneOf,
    Picked,
    SelectionText,
    SourceId,
    YesNo,
)

INT32_RANGE = range(-(2**31), 2**31)
EARLIEST = datetime(1753, 1, 1, tzinfo=UTC)
"""dataverse.md 6.1: no date column takes anything earlier."""

MAX_SELECTED = 150
"""dataverse.md 6.1: a Choices column takes no more."""

ANY_FORM_BUT_STAMPS = YesNo | Marked | OneOf | ManyOf | Picked | SelectionText | FactText | Number

_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?")


class Trouble(StrEnum):
    """Why a choice became no column value, or not wholly. Stored, counted and shown."""

    UNMAPPED_VALUE = "unmapped_value"  # a value id that the rule does not know
    SEVERAL_VALUES = "several_values"  # for a column that takes one
    VALUE_NOT_OF_THIS_KIND = "value_not_of_this_kind"  # e.g. Yes/No for a rule that maps values
    OUT_OF_RANGE = "out_of_range"  # no such column can hold it


@dataclass(frozen=True, slots=True)
class Cell:
    """A column's value. `withdrawal`: it says that consent is refused, or nothing is chosen any more."""

    value: JsonScalar
    withdrawal: bool = False


@dataclass(frozen=True, slots=True)
class Rendered:
    """What became of a value: a cell, a trouble with the Didomi ids concerned, or both."""

    cell: Cell | None
    trouble: Trouble | None = None
    ids: tuple[str, ...] = ()


_NOTHING_PICKED = Selection((), "")
_WRONG_KIND = Rendered(None, Trouble.VALUE_NOT_OF_THIS_KIND)


def render(form: ANY_FORM_BUT_STAMPS, value: Value) -> Rendered:
    """The cell that a chosen value makes. Only True, False and a selection are choices; a fact is what it
    is. What is unset makes no cell here: see `unset_cell`.
    """
    match form:
        case YesNo() | Marked():
            return _decision(form, value)
        case OneOf() | ManyOf() | Picked() | SelectionText():
            # Schema v1 refuses a preference by `false`: none of its values. Its `true` names none
            # (didomi.md 2.3).
            selection = _NOTHING_PICKED if value is False else value
            return _selection(form, selection) if isinstance(selection, Selection) else _WRONG_KIND
        case FactText():
            return _fact_text(form, value)
        case Number():
            return _number(form, value)
        case _:
            assert_never(form)


def unset_cell(form: Form) -> Cell:
    """What a row holds where nothing was chosen, or all of it deleted: no consent, in so many words
    (dataverse.md 6.2).
    """
    match form:
        case YesNo():
            return Cell(form.unset, withdrawal=form.unset is not None)
        case Marked():
            return Cell(form.refused, withdrawal=True)
        case OneOf():
            return Cell(form.none, withdrawal=True)
        case Picked():
            return Cell(form.invert, withdrawal=True)
        case ManyOf():
            return Cell(None, withdrawal=True)
        case SelectionText() | FactText() | Number() | Moment() | SourceId():
            return Cell(None)
        case _:
            assert_never(form)


def moment(form: Moment, at: datetime) -> Rendered:
    """An instant as a date column takes it: UTC, whole seconds, `Z` (dataverse.md 6.1)."""
    if at < EARLIEST:
        return Rendered(None, Trouble.OUT_OF_RANGE)
    return Rendered(Cell(at.astimezone(UTC).strftime("%Y-%m-%d" if form.date_only else "%Y-%m-%dT%H:%M:%SZ")))


def _decision(form: YesNo | Marked, value: Value) -> Rendered:
    if isinstance(value, Selection) and not value.ids:
        value = False
    if not isinstance(value, bool):
        return _WRONG_KIND
    if isinstance(form, YesNo):
        return Rendered(Cell(value is not form.invert, withdrawal=not value))
    return Rendered(Cell(form.granted if value else form.refused, withdrawal=not value))


def _selection(form: OneOf | ManyOf | Picked | SelectionText, selection: Selection) -> Rendered:
    match form:
        case SelectionText():
            text = clipped(selection.text, form.max_units) if selection.ids else ""
            return Rendered(Cell(text or None, withdrawal=not text))
        case OneOf():
            return _one_of(form, _picked_ids(selection, form.values))
        case ManyOf():
            return _many_of(form, _picked_ids(selection, form.values))
        case Picked():
            ids = _picked_ids(selection, form.known)
            is_picked = form.value_id in ids
            cell = Cell(is_picked is not form.invert, withdrawal=not is_picked)
            return _with_unmapped(cell, ids, form.known)
        case _:
            assert_never(form)


def _one_of(form: OneOf, ids: tuple[str, ...]) -> Rendered:
    if not ids:
        return Rendered(Cell(form.none, withdrawal=True))
    if len(ids) > 1:
        return Rendered(None, Trouble.SEVERAL_VALUES, ids)
    option = form.values.get(ids[0])
    return Rendered(None, Trouble.UNMAPPED_VALUE, ids) if option is None else Rendered(Cell(option))


def _many_of(form: ManyOf, ids: tuple[str, ...]) -> Rendered:
    options = sorted({form.values[value_id] for value_id in ids if value_id in form.values})
    if len(options) > MAX_SELECTED:
        return Rendered(None, Trouble.OUT_OF_RANGE)
    cell = Cell(",".join(map(str, options)) or None, withdrawal=not options)
    return _with_unmapped(cell, ids, form.values)


def _with_unmapped(cell: Cell, ids: tuple[str, ...], known: Collection[str]) -> Rendered:
    unmapped = tuple(value_id for value_id in ids if value_id not in known)
    return Rendered(cell, Trouble.UNMAPPED_VALUE, unmapped) if unmapped else Rendered(cell)


def _picked_ids(selection: Selection, known: Collection[str]) -> tuple[str, ...]:
    # didomi.md 2.3: an id may itself hold a comma, so the whole string is compared with the known ids first.
    whole = selection.text.strip()
    return (whole,) if whole in known else selection.ids


def _fact_text(form: FactText, value: Value) -> Rendered:
    match value:
        case Selection() | Unset():
            return _WRONG_KIND
        case bool():
            text = "true" if value else "false"
        case str():
            text = value
        case _:
            text = str(value)
    return Rendered(Cell(clipped(text, form.max_units) or None))


def _number(form: Number, value: Value) -> Rendered:
    number: int | float
    match value:
        case bool() | Selection() | Unset():
            return _WRONG_KIND
        case str() if _WHOLE.fullmatch(value):
            number = int(value)
        case str() if _DECIMAL.fullmatch(value):
            number = float(value)
        case str():
            return _WRONG_KIND
        case _:
            number = value
    if not math.isfinite(number):
        return Rendered(None, Trouble.OUT_OF_RANGE)
    if not form.whole:
        return Rendered(Cell(float(number)))
    if number != int(number):
        return _WRONG_KIND
    return Rendered(Cell(int(number))) if int(number) in INT32_RANGE else Rendered(None, Trouble.OUT_OF_RANGE)


def clipped(text: str, max_units: int | None) -> str:
    """The text, cut to `max_units` UTF-16 units, which is how Dataverse counts (dataverse.md 6.1)."""
    if max_units is None:
        return text
    units = 0
    for position, character in enumerate(text):
        units += 2 if ord(character) > 0xFFFF else 1
        if units > max_units:
            return text[:position]
    return text
