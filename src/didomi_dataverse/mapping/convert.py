"""One choice or fact → the value of one column, in the column's format (dataverse.md 6.1). Pure."""

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import assert_never

from didomi_dataverse.consent.model import JsonScalar, Selection, Unset, Value
from didomi_dataverse.mapping.rules import (
    ColumnFormat,
    ConsentLabels,
    DateTimeFormat,
    FactText,
    ManyOf,
    Number,
    OneOf,
    SelectionFlag,
    SelectionText,
    SourceId,
    ValueFormat,
    YesNo,
)

INT32_RANGE = range(-(2**31), 2**31)
"""What a Whole number column and an option value can hold (dataverse.md 6.1)."""

EARLIEST_DATE = datetime(1753, 1, 1, tzinfo=UTC)
"""dataverse.md 6.1: no date column takes an earlier time."""

MAX_SELECTED = 150
"""dataverse.md 6.1: a Choices column takes no more options."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?")


class ConversionIssue(StrEnum):
    """Why a choice has no column value, or an incomplete one. Stored, counted and shown."""

    UNMAPPED_VALUE = "unmapped_value"  # a value id that the rule does not name
    SEVERAL_VALUES = "several_values"  # for a column that takes one
    VALUE_NOT_OF_THIS_KIND = "value_not_of_this_kind"  # e.g. Yes/No for a rule that maps values
    OUT_OF_RANGE = "out_of_range"  # the column cannot hold it


@dataclass(frozen=True, slots=True)
class Converted:
    """The value of a column."""

    value: JsonScalar
    """As the Web API takes it. None empties the column."""

    withdrawal: bool = False
    """True: the value says that consent is refused, or that nothing is selected any more."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """The result of a conversion: a value, an issue, or both when only a part could be converted."""

    converted: Converted | None
    """None: the column is not written."""

    issue: ConversionIssue | None = None

    ids: tuple[str, ...] = ()
    """The Didomi value ids that `issue` is about."""


_NOTHING_SELECTED = Selection((), "")
_WRONG_KIND = Conversion(None, ConversionIssue.VALUE_NOT_OF_THIS_KIND)


def convert(column_format: ValueFormat, value: Value) -> Conversion:
    """The column value for a choice or a fact.

    Only True, False and a selection are choices; a fact is written as it is. An unset value is not converted
    here: see `convert_unset`.

    >>> convert(YesNo(invert=True, unset=True), False)
    Conversion(converted=Converted(value=True, withdrawal=True), issue=None, ids=())
    >>> convert(ManyOf({"sport": 20, "culture": 9}), Selection(("culture", "sport"), "sport,culture"))
    Conversion(converted=Converted(value='9,20', withdrawal=False), issue=None, ids=())
    >>> convert(OneOf({"daily": 1}, none=None), Selection(("hourly",), "hourly"))
    Conversion(converted=None, issue=<ConversionIssue.UNMAPPED_VALUE: 'unmapped_value'>, ids=('hourly',))
    """
    match column_format:
        case YesNo() | ConsentLabels():
            return _convert_decision(column_format, value)
        case OneOf() | ManyOf() | SelectionFlag() | SelectionText():
            # Schema v1 refuses a preference by `false`: none of its values. Its `true` names none
            # (didomi.md 2.3).
            selection = _NOTHING_SELECTED if value is False else value
            if isinstance(selection, Selection):
                return _convert_selection(column_format, selection)
            return _WRONG_KIND
        case FactText():
            return _convert_to_text(column_format, value)
        case Number():
            return _convert_to_number(column_format, value)
        case _:
            assert_never(column_format)


def convert_unset(column_format: ColumnFormat) -> Converted:
    """The column value where nothing was chosen, or everything chosen was deleted: "no consent", written out
    (dataverse.md 6.2).

    >>> convert_unset(ConsentLabels(granted="yes", refused="no"))
    Converted(value='no', withdrawal=True)
    """
    match column_format:
        case YesNo():
            return Converted(column_format.unset, withdrawal=column_format.unset is not None)
        case ConsentLabels():
            return Converted(column_format.refused, withdrawal=True)
        case OneOf():
            return Converted(column_format.none, withdrawal=True)
        case SelectionFlag():
            return Converted(column_format.invert, withdrawal=True)
        case ManyOf():
            return Converted(None, withdrawal=True)
        case SelectionText() | FactText() | Number() | DateTimeFormat() | SourceId():
            return Converted(None)
        case _:
            assert_never(column_format)


def convert_time(column_format: DateTimeFormat, at: datetime) -> Conversion:
    """The column value for an aware time: UTC, whole seconds, `Z` (dataverse.md 6.1).

    >>> convert_time(DateTimeFormat(date_only=False), datetime(2026, 3, 1, 12, tzinfo=UTC)).converted
    Converted(value='2026-03-01T12:00:00Z', withdrawal=False)
    """
    if at < EARLIEST_DATE:
        return Conversion(None, ConversionIssue.OUT_OF_RANGE)
    pattern = "%Y-%m-%d" if column_format.date_only else "%Y-%m-%dT%H:%M:%SZ"
    return Conversion(Converted(at.astimezone(UTC).strftime(pattern)))


def clip_text(text: str, max_units: int | None) -> str:
    """`text`, cut to `max_units` UTF-16 units, which is how Dataverse counts (dataverse.md 6.1). None: not
    cut. A character of two units is kept whole or dropped.

    >>> clip_text("ab😀", 3)
    'ab'
    """
    if max_units is None:
        return text
    units = 0
    for position, character in enumerate(text):
        units += 2 if ord(character) > 0xFFFF else 1
        if units > max_units:
            return text[:position]
    return text


def _convert_decision(column_format: YesNo | ConsentLabels, value: Value) -> Conversion:
    if isinstance(value, Selection) and not value.ids:
        value = False
    if not isinstance(value, bool):
        return _WRONG_KIND
    if isinstance(column_format, YesNo):
        return Conversion(Converted(value is not column_format.invert, withdrawal=not value))
    label = column_format.granted if value else column_format.refused
    return Conversion(Converted(label, withdrawal=not value))


def _convert_selection(
    column_format: OneOf | ManyOf | SelectionFlag | SelectionText, selection: Selection
) -> Conversion:
    match column_format:
        case SelectionText():
            text = clip_text(selection.text, column_format.max_units) if selection.ids else ""
            return Conversion(Converted(text or None, withdrawal=not text))
        case OneOf():
            return _convert_to_option(column_format, _selected_ids(selection, column_format.values))
        case ManyOf():
            return _convert_to_options(column_format, _selected_ids(selection, column_format.values))
        case SelectionFlag():
            ids = _selected_ids(selection, column_format.known)
            is_selected = column_format.value_id in ids
            flag = Converted(is_selected is not column_format.invert, withdrawal=not is_selected)
            return _report_unmapped(flag, ids, column_format.known)
        case _:
            assert_never(column_format)


def _convert_to_option(column_format: OneOf, ids: tuple[str, ...]) -> Conversion:
    if not ids:
        return Conversion(Converted(column_format.none, withdrawal=True))
    if len(ids) > 1:
        return Conversion(None, ConversionIssue.SEVERAL_VALUES, ids)
    option = column_format.values.get(ids[0])
    if option is None:
        return Conversion(None, ConversionIssue.UNMAPPED_VALUE, ids)
    return Conversion(Converted(option))


def _convert_to_options(column_format: ManyOf, ids: tuple[str, ...]) -> Conversion:
    known = column_format.values
    options = sorted({known[value_id] for value_id in ids if value_id in known})
    if len(options) > MAX_SELECTED:
        return Conversion(None, ConversionIssue.OUT_OF_RANGE)
    converted = Converted(",".join(map(str, options)) or None, withdrawal=not options)
    return _report_unmapped(converted, ids, known)


def _report_unmapped(converted: Converted, ids: tuple[str, ...], known: Collection[str]) -> Conversion:
    unmapped = tuple(value_id for value_id in ids if value_id not in known)
    return Conversion(converted, ConversionIssue.UNMAPPED_VALUE if unmapped else None, unmapped)


def _selected_ids(selection: Selection, known: Collection[str]) -> tuple[str, ...]:
    # didomi.md 2.3: an id may itself hold a comma, so the whole string is compared with the known ids first.
    whole = selection.text.strip()
    return (whole,) if whole in known else selection.ids


def _convert_to_text(column_format: FactText, value: Value) -> Conversion:
    match value:
        case Selection() | Unset():
            return _WRONG_KIND
        case bool():
            text = "true" if value else "false"
        case str():
            text = value
        case _:
            text = str(value)
    return Conversion(Converted(clip_text(text, column_format.max_units) or None))


def _convert_to_number(column_format: Number, value: Value) -> Conversion:
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
    if not column_format.whole:
        return Conversion(Converted(float(number)))
    if number != int(number):
        return _WRONG_KIND
    if int(number) not in INT32_RANGE:
        return Conversion(None, ConversionIssue.OUT_OF_RANGE)
    return Conversion(Converted(int(number)))
