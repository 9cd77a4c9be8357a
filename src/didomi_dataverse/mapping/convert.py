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
    ConsentLabels,
    DateTimeFormat,
    FactText,
    Form,
    ManyOf,
    Number,
    OneOf,
    SelectionFlag,
    SelectionText,
    SourceId,
    YesNo,
)

INT32_RANGE = range(-(2**31), 2**31)
EARLIEST = datetime(1753, 1, 1, tzinfo=UTC)
"""dataverse.md 6.1: no date column takes anything earlier."""

MAX_SELECTED = 150
"""dataverse.md 6.1: a Choices column takes no more."""

ANY_FORM_BUT_STAMPS = (
    YesNo | ConsentLabels | OneOf | ManyOf | SelectionFlag | SelectionText | FactText | Number
)

_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?")


class ConversionIssue(StrEnum):
    """Why a choice became no column value, or not wholly. Stored, counted and shown."""

    UNMAPPED_VALUE = "unmapped_value"  # a value id that the rule does not know
    SEVERAL_VALUES = "several_values"  # for a column that takes one
    VALUE_NOT_OF_THIS_KIND = "value_not_of_this_kind"  # e.g. Yes/No for a rule that maps values
    OUT_OF_RANGE = "out_of_range"  # no such column can hold it


@dataclass(frozen=True, slots=True)
class Converted:
    """A column's value. `withdrawal`: it says that consent is refused, or nothing is chosen any more."""

    value: JsonScalar
    withdrawal: bool = False


@dataclass(frozen=True, slots=True)
class Conversion:
    """What became of a value: a cell, a trouble with the Didomi ids concerned, or both."""

    cell: Converted | None
    trouble: ConversionIssue | None = None
    ids: tuple[str, ...] = ()


_NOTHING_PICKED = Selection((), "")
_WRONG_KIND = Conversion(None, ConversionIssue.VALUE_NOT_OF_THIS_KIND)


def convert(form: ANY_FORM_BUT_STAMPS, value: Value) -> Conversion:
    """The cell that a chosen value makes. Only True, False and a selection are choices; a fact is what it
    is. What is unset makes no cell here: see `convert_unset`.
    """
    match form:
        case YesNo() | ConsentLabels():
            return _decision(form, value)
        case OneOf() | ManyOf() | SelectionFlag() | SelectionText():
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


def convert_unset(form: Form) -> Converted:
    """What a row holds where nothing was chosen, or all of it deleted: no consent, in so many words
    (dataverse.md 6.2).
    """
    match form:
        case YesNo():
            return Converted(form.unset, withdrawal=form.unset is not None)
        case ConsentLabels():
            return Converted(form.refused, withdrawal=True)
        case OneOf():
            return Converted(form.none, withdrawal=True)
        case SelectionFlag():
            return Converted(form.invert, withdrawal=True)
        case ManyOf():
            return Converted(None, withdrawal=True)
        case SelectionText() | FactText() | Number() | DateTimeFormat() | SourceId():
            return Converted(None)
        case _:
            assert_never(form)


def format_moment(form: DateTimeFormat, at: datetime) -> Conversion:
    """An instant as a date column takes it: UTC, whole seconds, `Z` (dataverse.md 6.1)."""
    if at < EARLIEST:
        return Conversion(None, ConversionIssue.OUT_OF_RANGE)
    return Conversion(
        Converted(at.astimezone(UTC).strftime("%Y-%m-%d" if form.date_only else "%Y-%m-%dT%H:%M:%SZ"))
    )


def _decision(form: YesNo | ConsentLabels, value: Value) -> Conversion:
    if isinstance(value, Selection) and not value.ids:
        value = False
    if not isinstance(value, bool):
        return _WRONG_KIND
    if isinstance(form, YesNo):
        return Conversion(Converted(value is not form.invert, withdrawal=not value))
    return Conversion(Converted(form.granted if value else form.refused, withdrawal=not value))


def _selection(form: OneOf | ManyOf | SelectionFlag | SelectionText, selection: Selection) -> Conversion:
    match form:
        case SelectionText():
            text = clipped(selection.text, form.max_units) if selection.ids else ""
            return Conversion(Converted(text or None, withdrawal=not text))
        case OneOf():
            return _one_of(form, _picked_ids(selection, form.values))
        case ManyOf():
            return _many_of(form, _picked_ids(selection, form.values))
        case SelectionFlag():
            ids = _picked_ids(selection, form.known)
            is_picked = form.value_id in ids
            cell = Converted(is_picked is not form.invert, withdrawal=not is_picked)
            return _with_unmapped(cell, ids, form.known)
        case _:
            assert_never(form)


def _one_of(form: OneOf, ids: tuple[str, ...]) -> Conversion:
    if not ids:
        return Conversion(Converted(form.none, withdrawal=True))
    if len(ids) > 1:
        return Conversion(None, ConversionIssue.SEVERAL_VALUES, ids)
    option = form.values.get(ids[0])
    return (
        Conversion(None, ConversionIssue.UNMAPPED_VALUE, ids)
        if option is None
        else Conversion(Converted(option))
    )


def _many_of(form: ManyOf, ids: tuple[str, ...]) -> Conversion:
    options = sorted({form.values[value_id] for value_id in ids if value_id in form.values})
    if len(options) > MAX_SELECTED:
        return Conversion(None, ConversionIssue.OUT_OF_RANGE)
    cell = Converted(",".join(map(str, options)) or None, withdrawal=not options)
    return _with_unmapped(cell, ids, form.values)


def _with_unmapped(cell: Converted, ids: tuple[str, ...], known: Collection[str]) -> Conversion:
    unmapped = tuple(value_id for value_id in ids if value_id not in known)
    return Conversion(cell, ConversionIssue.UNMAPPED_VALUE, unmapped) if unmapped else Conversion(cell)


def _picked_ids(selection: Selection, known: Collection[str]) -> tuple[str, ...]:
    # didomi.md 2.3: an id may itself hold a comma, so the whole string is compared with the known ids first.
    whole = selection.text.strip()
    return (whole,) if whole in known else selection.ids


def _fact_text(form: FactText, value: Value) -> Conversion:
    match value:
        case Selection() | Unset():
            return _WRONG_KIND
        case bool():
            text = "true" if value else "false"
        case str():
            text = value
        case _:
            text = str(value)
    return Conversion(Converted(clipped(text, form.max_units) or None))


def _number(form: Number, value: Value) -> Conversion:
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
        return Conversion(None, ConversionIssue.OUT_OF_RANGE)
    if not form.whole:
        return Conversion(Converted(float(number)))
    if number != int(number):
        return _WRONG_KIND
    return (
        Conversion(Converted(int(number)))
        if int(number) in INT32_RANGE
        else Conversion(None, ConversionIssue.OUT_OF_RANGE)
    )


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
