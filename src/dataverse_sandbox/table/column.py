"""Columns of a table and what each accepts over the wire (dataverse.md 6.1)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from types import MappingProxyType

from dataverse_sandbox.errors import Refusal, wrong_literal

Value = str | int | float | bool | None
Convert = Callable[[object], Value]

GUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
INSTANT = re.compile(
    r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,7}))?(Z|[+-]\d{2}:\d{2})", re.ASCII
)
MOST_OPTIONS_CHOSEN = 150
EARLIEST_YEAR = 1753


class ColumnType(StrEnum):
    """The kinds of column that the sandbox knows; the names are those of its control interface."""

    BOOLEAN = "boolean"
    STRING = "string"
    MEMO = "memo"
    PICKLIST = "picklist"
    MULTISELECT = "multiselect"
    INTEGER = "integer"
    DECIMAL = "decimal"
    MONEY = "money"
    DATE = "date"
    DATETIME = "datetime"
    LOOKUP = "lookup"
    GUID = "guid"
    VERSION = "version"


EDM = {
    ColumnType.BOOLEAN: "Edm.Boolean",
    ColumnType.STRING: "Edm.String",
    ColumnType.MEMO: "Edm.String",
    ColumnType.PICKLIST: "Edm.Int32",
    ColumnType.MULTISELECT: "Edm.String",
    ColumnType.INTEGER: "Edm.Int32",
    ColumnType.DECIMAL: "Edm.Decimal",
    ColumnType.MONEY: "Edm.Decimal",
    ColumnType.DATE: "Edm.Date",
    ColumnType.DATETIME: "Edm.DateTimeOffset",
    ColumnType.LOOKUP: "Edm.Guid",
    ColumnType.GUID: "Edm.Guid",
    ColumnType.VERSION: "Edm.Int64",
}
TEXTUAL = frozenset({ColumnType.STRING, ColumnType.MEMO})


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    `max_length` counts UTF-16 units; `targets` maps a lookup's navigation properties to entity sets.
    """

    name: str
    type: ColumnType
    max_length: int = 100
    options: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    default: Value = None
    creatable: bool = True
    updatable: bool = True
    required: bool = False
    minimum: float = -2147483648
    maximum: float = 2147483647
    precision: int = 2
    targets: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def wire_name(self) -> str:
        """The property name in a row that is read: a lookup shows as `_name_value`."""
        return f"_{self.name}_value" if self.type is ColumnType.LOOKUP else self.name


def converter(column: Column) -> Convert:
    """The function that turns a JSON value (never null) into the stored one, or refuses it."""
    match column.type:
        case ColumnType.BOOLEAN:
            return _boolean
        case ColumnType.STRING | ColumnType.MEMO:
            return _text(column)
        case ColumnType.PICKLIST:
            return _option(column)
        case ColumnType.MULTISELECT:
            return _options(column)
        case ColumnType.INTEGER | ColumnType.VERSION:
            return _whole_number(column)
        case ColumnType.DECIMAL | ColumnType.MONEY:
            return _decimal(column)
        case ColumnType.DATE:
            return _date
        case ColumnType.DATETIME:
            return _instant
        case ColumnType.GUID | ColumnType.LOOKUP:
            return _guid


def _boolean(value: object) -> Value:
    # dataverse.md 6.1: numbers and strings are refused for Yes/No.
    if value is True or value is False:
        return value
    raise wrong_literal(value, "Edm.Boolean")


def _text(column: Column) -> Convert:
    limit = column.max_length

    def convert(value: object) -> Value:
        if not isinstance(value, str):
            raise wrong_literal(value, "Edm.String")
        # dataverse.md 6.1: MaxLength counts UTF-16 units; no text has more than two for each character.
        if len(value) * 2 > limit and len(value.encode("utf-16-le", "surrogatepass")) > limit * 2:
            raise Refusal(
                400,
                "0x80044331",
                f"A validation error occurred. The length of the '{column.name}' attribute of the 'contact' "
                f"entity exceeded the maximum allowed length of '{limit}'.",
            )
        return value

    return convert


def _out_of_options(column: Column, chosen: int) -> Refusal:
    accepted = ",".join(str(option) for option in column.options)
    return Refusal(
        400,
        "0x8004431a",
        f"A validation error occurred. The value {chosen} of '{column.name}' on record of type 'contact' is "
        f"outside the valid range. Accepted Values: {accepted}",
    )


def _option(column: Column) -> Convert:
    options = column.options

    def convert(value: object) -> Value:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_literal(value, "Edm.Int32")
        if value not in options:
            raise _out_of_options(column, value)
        return value

    return convert


def _options(column: Column) -> Convert:
    def convert(value: object) -> Value:
        if not isinstance(value, str):
            raise wrong_literal(value, "Edm.String")
        if not value.strip():
            return None  # dataverse.md 6.1: an empty text clears
        chosen: dict[int, None] = {}
        for piece in value.split(","):
            # dataverse.md 6.1: blanks are accepted on write and absent on read.
            text = piece.strip()
            if not re.fullmatch(r"-?\d{1,10}", text, re.ASCII):
                raise wrong_literal(piece, "Edm.Int32")
            chosen[int(text)] = None
        for option in chosen:
            if option not in column.options:
                raise _out_of_options(column, option)
        if len(chosen) > MOST_OPTIONS_CHOSEN:
            raise Refusal(
                400,
                "0x80040203",
                f"The attribute '{column.name}' takes at most {MOST_OPTIONS_CHOSEN} selected options.",
            )
        return ",".join(str(option) for option in chosen)

    return convert


def _out_of_range(column: Column, code: str) -> Refusal:
    return Refusal(
        400,
        code,
        f"A validation error occurred. The value of '{column.name}' is outside the valid "
        f"range {column.minimum} to {column.maximum}.",
    )


def _whole_number(column: Column) -> Convert:
    def convert(value: object) -> Value:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_literal(value, "Edm.Int32")
        if not column.minimum <= value <= column.maximum:
            raise _out_of_range(column, "0x8004432f")
        return value

    return convert


def _decimal(column: Column) -> Convert:
    def convert(value: object) -> Value:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong_literal(value, "Edm.Decimal")
        if not column.minimum <= value <= column.maximum:
            raise _out_of_range(column, "0x80044330")
        return round(value, column.precision)

    return convert


def _invalid_date(value: str) -> Refusal:
    return Refusal(
        400,
        "0x80040239",
        f"DateTime is less than minumum value supported by CrmDateTime. Actual value: {value}, Minimum value "
        f"supported: 01/01/{EARLIEST_YEAR} 00:00:00",
    )


def _date(value: object) -> Value:
    if not isinstance(value, str) or not DATE.fullmatch(value):
        raise wrong_literal(value, "Edm.Date")
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise wrong_literal(value, "Edm.Date") from None
    if day.year < EARLIEST_YEAR:
        raise _invalid_date(value)
    return value


def _instant(value: object) -> Value:
    found = INSTANT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise wrong_literal(value, "Edm.DateTimeOffset")
    seconds, fraction, zone = found.groups()
    try:
        instant = datetime.fromisoformat(f"{seconds}{'+00:00' if zone == 'Z' else zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise wrong_literal(value, "Edm.DateTimeOffset") from None
    if instant.year < EARLIEST_YEAR:
        raise _invalid_date(str(value))
    kept = (fraction or "").rstrip("0")
    # dataverse.md 6.1: stored in UTC, whatever the zone it was sent in.
    return f"{instant:%Y-%m-%dT%H:%M:%S}{'.' + kept if kept else ''}Z"


def _guid(value: object) -> Value:
    if not isinstance(value, str) or not GUID.fullmatch(value):
        raise wrong_literal(value, "Edm.Guid")
    return value.lower()
