"""A row → JSON values, with the annotations that `Prefer` asks for (dataverse.md 1.3, 6.1)."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from functools import partial

from dataverse_sandbox.table.column import Column, ColumnType, Value, table_name
from dataverse_sandbox.table.row import AUTHORS, COMPUTED, Row, computed_values, stored_value
from dataverse_sandbox.table.schema import Schema

FORMATTED_VALUE = "OData.Community.Display.V1.FormattedValue"
LOOKUP_TABLE = "Microsoft.Dynamics.CRM.lookuplogicalname"
NAVIGATION = "Microsoft.Dynamics.CRM.associatednavigationproperty"
TOTAL_COUNT = "Microsoft.Dynamics.CRM.totalrecordcount"
TOTAL_EXCEEDED = "Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"

Render = Callable[[Row], dict[str, object]]
_Format = Callable[[Value], str]


def row_renderer(schema: Schema, selected: Sequence[Column] | None, preference: str | None = None) -> Render:
    """A function that renders the selected columns of a row (None: all), always with its id and ETag.

    `preference` is the value of `odata.include-annotations`, or None.
    """
    annotate = _annotator(preference, tuple(schema.columns.values()) if selected is None else selected)
    render = partial(_render_all, schema=schema) if selected is None else _selection_renderer(selected)
    if annotate is None:
        return render
    return lambda row: render(row) | annotate(row)


def all_values(row: Row, schema: Schema) -> dict[str, object]:
    """Every column of a row by property name, including nulls and defaults."""
    values: dict[str, object] = {**schema.blank_row, **computed_values(row)}
    for name in AUTHORS:
        values[f"_{name}_value"] = values.pop(name)
    for name, value in row.values.items():
        column = schema.columns.get(name)
        if column is not None:
            values[column.wire_name] = value
    values["contactid"] = row.contactid
    if row.values.get("overriddencreatedon"):
        values["createdon"] = row.values["overriddencreatedon"]
    return values


def _render_all(row: Row, schema: Schema) -> dict[str, object]:
    return {"@odata.etag": row.etag, **all_values(row, schema)}


def _selection_renderer(selected: Sequence[Column]) -> Render:
    plan = [
        (column.wire_name, column.name, column.default) for column in selected if column.name != "contactid"
    ]
    needs_computed = any(column.name in COMPUTED for column in selected)

    def render(row: Row) -> dict[str, object]:
        values: dict[str, object] = {"@odata.etag": row.etag}
        computed: Mapping[str, Value] = computed_values(row) if needs_computed else {}
        for wire_name, name, default in plan:
            values[wire_name] = computed[name] if name in COMPUTED else row.values.get(name, default)
        values["contactid"] = row.contactid
        return values

    return render


def is_requested(annotation: str, preference: str | None) -> bool:
    """Whether a preference includes this annotation: by name, by `namespace.*` or by `*`; `-name` excludes.

    >>> is_requested("OData.Community.Display.V1.FormattedValue", "OData.Community.*")
    True
    >>> is_requested("a.b", "*,-a.b")
    False
    """
    patterns = [piece.strip() for piece in (preference or "").split(",")]
    if any(fnmatchcase(annotation, pattern[1:]) for pattern in patterns if pattern.startswith("-")):
        return False
    return any(fnmatchcase(annotation, pattern) for pattern in patterns)


def _annotator(preference: str | None, columns: Sequence[Column]) -> Render | None:
    """A function that renders the requested annotations of a row's columns; None when none is requested."""
    if preference is None:
        return None
    formats = _formats(columns) if is_requested(FORMATTED_VALUE, preference) else []
    fixed = [
        (column, f"{column.wire_name}@{name}", text)
        for column in columns
        for name, text in _lookup_annotations(column).items()
        if is_requested(name, preference)
    ]
    if not formats and not fixed:
        return None

    def annotate(row: Row) -> dict[str, object]:
        labels: dict[str, object] = {
            f"{column.wire_name}@{FORMATTED_VALUE}": format_value(value)
            for column, format_value in formats
            if (value := stored_value(row, column.name, column.default)) is not None
        }
        targets = {
            name: text for column, name, text in fixed if stored_value(row, column.name, None) is not None
        }
        return labels | targets

    return annotate


def _lookup_annotations(column: Column) -> Mapping[str, str]:
    """The target of a lookup. A lookup with several possible targets does not keep which, and states none."""
    if column.type is not ColumnType.LOOKUP or len(column.targets) != 1:
        return {}
    ((navigation, entity_set),) = column.targets.items()
    return {LOOKUP_TABLE: table_name(entity_set), NAVIGATION: navigation}


def _formats(columns: Sequence[Column]) -> list[tuple[Column, _Format]]:
    found = ((column, _value_format(column)) for column in columns)
    return [(column, format_value) for column, format_value in found if format_value is not None]


def _value_format(column: Column) -> _Format | None:
    """How the service displays a value, in English (United States); None: it has no formatted value."""
    options = column.options
    match column.type:
        case ColumnType.BOOLEAN:
            return lambda value: "Yes" if value else "No"
        case ColumnType.PICKLIST:
            return lambda value: options.get(int(value or 0), str(value))
        case ColumnType.MULTISELECT:
            return lambda value: "; ".join(options.get(int(part), part) for part in str(value).split(","))
        case ColumnType.DATE:
            return lambda value: _format_date(datetime.fromisoformat(str(value)))
        case ColumnType.DATETIME:
            return lambda value: _format_minute(datetime.fromisoformat(str(value)[:16]))
        case ColumnType.INTEGER | ColumnType.VERSION:
            return lambda value: f"{int(value or 0):,}"
        case ColumnType.DECIMAL:
            return lambda value: f"{float(value or 0):,.{column.precision}f}"
        case ColumnType.MONEY:
            return lambda value: f"${float(value or 0):,.{column.precision}f}"
        case _:
            return None


def _format_date(moment: datetime) -> str:
    return f"{moment.month}/{moment.day}/{moment.year}"


def _format_minute(moment: datetime) -> str:
    """The date and the time in the twelve-hour clock.

    >>> _format_minute(datetime(2026, 7, 1, 0, 5))
    '7/1/2026 12:05 AM'
    """
    hour = moment.hour % 12 or 12
    return f"{_format_date(moment)} {hour}:{moment.minute:02d} {'AM' if moment.hour < 12 else 'PM'}"
