"""Columns of a table and what each accepts over the wire (dataverse.md 6.1)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from types import MappingProxyType

from dataverse_sandbox import errors
from dataverse_sandbox.errors import ODataError, literal_mismatch
from dataverse_sandbox.guid import GUID

Value = str | int | float | bool | None
"""A stored value: dates, instants, GUIDs and the options of a multi-select are texts."""

Convert = Callable[[object], Value]
"""JSON value (never null) → stored value. Raises ODataError."""

DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
INSTANT = re.compile(
    r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,7}))?(Z|[+-]\d{2}:\d{2})", re.ASCII
)
MAX_SELECTED_OPTIONS = 150
"""Options that one multi-select value may hold (dataverse.md 6.1)."""

MIN_YEAR = 1753
"""First year that a date or an instant may have (dataverse.md 6.1)."""


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
    """One column of the table."""

    name: str
    """Logical name."""

    type: ColumnType

    max_length: int = 100
    """Of a text, in UTF-16 code units."""

    options: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    """Labels by value of a choice or a multi-select; empty for other types."""

    default: Value = None
    """How the column reads until it is written."""

    creatable: bool = True
    """A create may set it."""

    updatable: bool = True
    """An update may set it."""

    required: bool = False
    """It cannot be set to null."""

    minimum: float = -2147483648
    """Smallest value of a number."""

    maximum: float = 2147483647
    """Largest value of a number."""

    precision: int = 2
    """Decimal places of a decimal or money."""

    targets: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Entity sets by navigation property of a lookup; empty for other types."""

    @property
    def wire_name(self) -> str:
        """The property name in a row that is read: a lookup shows as `_name_value`."""
        return f"_{self.name}_value" if self.type is ColumnType.LOOKUP else self.name


_TABLES_BY_ENTITY_SET = MappingProxyType({"transactioncurrencies": "transactioncurrency"})


def table_name(entity_set: str) -> str:
    """The logical name of the table behind an entity set that a lookup of `contact` points to.

    >>> table_name("accounts"), table_name("transactioncurrencies")
    ('account', 'transactioncurrency')
    """
    return _TABLES_BY_ENTITY_SET.get(entity_set, entity_set.removesuffix("s"))


def converter(column: Column) -> Convert:
    """The function that turns a JSON value (never null) into the stored one, or refuses it.

    >>> converter(Column(name="topics", type=ColumnType.MULTISELECT, options={1: "a", 2: "b"}))(" 2, 1")
    '2,1'
    >>> converter(Column(name="seen", type=ColumnType.DATETIME))("2026-07-01T12:00:00.50+02:00")
    '2026-07-01T10:00:00.5Z'
    """
    match column.type:
        case ColumnType.BOOLEAN:
            return _convert_boolean
        case ColumnType.STRING | ColumnType.MEMO:
            return _text_converter(column)
        case ColumnType.PICKLIST:
            return _option_converter(column)
        case ColumnType.MULTISELECT:
            return _options_converter(column)
        case ColumnType.INTEGER | ColumnType.VERSION:
            return _whole_number_converter(column)
        case ColumnType.DECIMAL | ColumnType.MONEY:
            return _decimal_converter(column)
        case ColumnType.DATE:
            return _convert_date
        case ColumnType.DATETIME:
            return _convert_instant
        case ColumnType.GUID | ColumnType.LOOKUP:
            return _convert_guid


def _convert_boolean(value: object) -> Value:
    # dataverse.md 6.1: numbers and strings are refused for Yes/No.
    if value is True or value is False:
        return value
    raise literal_mismatch(value, "Edm.Boolean")


def _text_converter(column: Column) -> Convert:
    limit = column.max_length

    def convert(value: object) -> Value:
        if not isinstance(value, str):
            raise literal_mismatch(value, "Edm.String")
        # dataverse.md 6.1: MaxLength counts UTF-16 units; no text has more than two for each character.
        if len(value) * 2 > limit and len(value.encode("utf-16-le", "surrogatepass")) > limit * 2:
            raise ODataError(
                400,
                "0x80044331",
                f"A validation error occurred. The length of the '{column.name}' attribute of the 'contact' "
                f"entity exceeded the maximum allowed length of '{limit}'.",
            )
        return value

    return convert


def _option_not_accepted(column: Column, chosen: int) -> ODataError:
    accepted = ",".join(str(option) for option in column.options)
    return ODataError(
        400,
        "0x8004431a",
        f"A validation error occurred. The value {chosen} of '{column.name}' on record of type 'contact' is "
        f"outside the valid range. Accepted Values: {accepted}",
    )


def _option_converter(column: Column) -> Convert:
    options = column.options

    def convert(value: object) -> Value:
        if isinstance(value, bool) or not isinstance(value, int):
            raise literal_mismatch(value, "Edm.Int32")
        if value not in options:
            raise _option_not_accepted(column, value)
        return value

    return convert


def _options_converter(column: Column) -> Convert:
    def convert(value: object) -> Value:
        if not isinstance(value, str):
            raise literal_mismatch(value, "Edm.String")
        if not value.strip():
            return None  # dataverse.md 6.1: an empty text clears
        chosen: dict[int, None] = {}
        for piece in value.split(","):
            # dataverse.md 6.1: blanks are accepted on write and absent on read.
            text = piece.strip()
            if not re.fullmatch(r"-?\d{1,10}", text, re.ASCII):
                raise literal_mismatch(piece, "Edm.Int32")
            chosen[int(text)] = None
        for option in chosen:
            if option not in column.options:
                raise _option_not_accepted(column, option)
        if len(chosen) > MAX_SELECTED_OPTIONS:
            raise errors.invalid_argument(
                f"The attribute '{column.name}' takes at most {MAX_SELECTED_OPTIONS} selected options."
            )
        return ",".join(str(option) for option in chosen)

    return convert


def _out_of_range(column: Column, code: str) -> ODataError:
    return ODataError(
        400,
        code,
        f"A validation error occurred. The value of '{column.name}' is outside the valid "
        f"range {column.minimum} to {column.maximum}.",
    )


def _whole_number_converter(column: Column) -> Convert:
    def convert(value: object) -> Value:
        if isinstance(value, bool) or not isinstance(value, int):
            raise literal_mismatch(value, "Edm.Int32")
        if not column.minimum <= value <= column.maximum:
            raise _out_of_range(column, "0x8004432f")
        return value

    return convert


def _decimal_converter(column: Column) -> Convert:
    def convert(value: object) -> Value:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise literal_mismatch(value, "Edm.Decimal")
        if not column.minimum <= value <= column.maximum:
            raise _out_of_range(column, "0x80044330")
        return round(value, column.precision)

    return convert


def _invalid_date(value: str) -> ODataError:
    return ODataError(
        400,
        "0x80040239",
        f"DateTime is less than minumum value supported by CrmDateTime. Actual value: {value}, Minimum value "
        f"supported: 01/01/{MIN_YEAR} 00:00:00",
    )


def _convert_date(value: object) -> Value:
    if not isinstance(value, str) or not DATE.fullmatch(value):
        raise literal_mismatch(value, "Edm.Date")
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise literal_mismatch(value, "Edm.Date") from None
    if day.year < MIN_YEAR:
        raise _invalid_date(value)
    return value


def _convert_instant(value: object) -> Value:
    found = INSTANT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise literal_mismatch(value, "Edm.DateTimeOffset")
    seconds, fraction, zone = found.groups()
    try:
        instant = datetime.fromisoformat(f"{seconds}{'+00:00' if zone == 'Z' else zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise literal_mismatch(value, "Edm.DateTimeOffset") from None
    if instant.year < MIN_YEAR:
        raise _invalid_date(str(value))
    kept = (fraction or "").rstrip("0")
    # dataverse.md 6.1: stored in UTC, for any zone of the value sent.
    return f"{instant:%Y-%m-%dT%H:%M:%S}{'.' + kept if kept else ''}Z"


def _convert_guid(value: object) -> Value:
    if not isinstance(value, str) or not GUID.fullmatch(value):
        raise literal_mismatch(value, "Edm.Guid")
    return value.lower()
