"""What `Prefer: odata.include-annotations` adds beside the values of a row (dataverse.md 1.3, 6.1)."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from types import MappingProxyType

from dataverse_sandbox.table.column import Column, ColumnType, Value
from dataverse_sandbox.table.row import Row, stored_value

FORMATTED = "OData.Community.Display.V1.FormattedValue"
LOOKUP_TABLE = "Microsoft.Dynamics.CRM.lookuplogicalname"
NAVIGATION = "Microsoft.Dynamics.CRM.associatednavigationproperty"
TOTAL_COUNT = "Microsoft.Dynamics.CRM.totalrecordcount"
TOTAL_EXCEEDED = "Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"

Annotate = Callable[[Row], dict[str, object]]
_Format = Callable[[Value], str]


def is_wanted(name: str, preference: str | None) -> bool:
    """Whether a preference names this annotation: by name, by `namespace.*` or by `*`; `-name` leaves out."""
    patterns = [piece.strip() for piece in (preference or "").split(",")]
    if any(fnmatchcase(name, pattern[1:]) for pattern in patterns if pattern.startswith("-")):
        return False
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def annotator(preference: str | None, columns: Sequence[Column]) -> Annotate | None:
    """A function that writes the wanted annotations of a row's columns; None when nobody asked for any."""
    if preference is None:
        return None
    formats = _formats(columns) if is_wanted(FORMATTED, preference) else []
    fixed = [
        (column, f"{column.wire_name}@{name}", text)
        for column in columns
        for name, text in _of_lookup(column).items()
        if is_wanted(name, preference)
    ]
    if not formats and not fixed:
        return None

    def annotate(row: Row) -> dict[str, object]:
        labels: dict[str, object] = {
            f"{column.wire_name}@{FORMATTED}": form(value)
            for column, form in formats
            if (value := stored_value(row, column.name, column.default)) is not None
        }
        leads = {
            name: text for column, name, text in fixed if stored_value(row, column.name, None) is not None
        }
        return labels | leads

    return annotate


def _of_lookup(column: Column) -> Mapping[str, str]:
    """Where a lookup leads. One that may lead to several tables does not keep which, and says nothing."""
    if column.type is not ColumnType.LOOKUP or len(column.targets) != 1:
        return {}
    ((navigation, entity_set),) = column.targets.items()
    return {LOOKUP_TABLE: table_of(entity_set), NAVIGATION: navigation}


def table_of(entity_set: str) -> str:
    """The logical name of the table behind an entity set that lookups of `contact` lead to."""
    return _TABLES.get(entity_set, entity_set.removesuffix("s"))


_TABLES = MappingProxyType({"transactioncurrencies": "transactioncurrency"})


def _formats(columns: Sequence[Column]) -> list[tuple[Column, _Format]]:
    found = ((column, _format_of(column)) for column in columns)
    return [(column, form) for column, form in found if form is not None]


def _format_of(column: Column) -> _Format | None:
    """How the service writes a value for people, in English (United States); None: not at all."""
    options = column.options
    match column.type:
        case ColumnType.BOOLEAN:
            return lambda value: "Yes" if value else "No"
        case ColumnType.PICKLIST:
            return lambda value: options.get(int(value or 0), str(value))
        case ColumnType.MULTISELECT:
            return lambda value: "; ".join(options.get(int(part), part) for part in str(value).split(","))
        case ColumnType.DATE:
            return lambda value: _day(datetime.fromisoformat(str(value)))
        case ColumnType.DATETIME:
            return lambda value: _minute(datetime.fromisoformat(str(value)[:16]))
        case ColumnType.INTEGER | ColumnType.VERSION:
            return lambda value: f"{int(value or 0):,}"
        case ColumnType.DECIMAL:
            return lambda value: f"{float(value or 0):,.{column.precision}f}"
        case ColumnType.MONEY:
            return lambda value: f"${float(value or 0):,.{column.precision}f}"
        case _:
            return None


def _day(moment: datetime) -> str:
    return f"{moment.month}/{moment.day}/{moment.year}"


def _minute(moment: datetime) -> str:
    hour = moment.hour % 12 or 12
    return f"{_day(moment)} {hour}:{moment.minute:02d} {'AM' if moment.hour < 12 else 'PM'}"
