"""The JSON of one row: read strictly on the way in, written as the service does on the way out."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NoReturn

from dataverse_sandbox import errors
from dataverse_sandbox.messages import has_lone_surrogate
from dataverse_sandbox.table.column import Column, ColumnType, Value
from dataverse_sandbox.table.row import AUTHORS, COMPUTED, Row, computed_values
from dataverse_sandbox.table.schema import Schema
from dataverse_sandbox.web_api.annotations import annotator

_BIND = "@odata.bind"
_BOUND = re.compile(r"/?([A-Za-z_][A-Za-z0-9_]*)\(([^()]*)\)$")


def _no_such_constant(name: str) -> NoReturn:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_no_such_constant)


def read_object(body: bytes) -> dict[str, object]:
    """The JSON object of a write, or 400 `0x80048d19`."""
    try:
        document = _DECODER.decode(body.decode())
        if has_lone_surrogate(body, document):
            raise errors.unreadable("A text of the request body is no Unicode text.")
    except (ValueError, RecursionError):
        raise errors.unreadable("The request body is not valid JSON.") from None
    if not isinstance(document, dict):
        raise errors.unreadable("A JSON object was expected.")
    return document


RowId = Callable[[str, str], str]


def read_values(
    document: Mapping[str, object], schema: Schema, row_id: RowId, *, creating: bool | None
) -> tuple[str | None, dict[str, Value]]:
    """(contactid or None, stored values). `creating` None = an upsert: create-only columns are allowed.

    `row_id` finds the id of a row that a lookup is bound to, by its set and what stands in brackets.
    """
    values: dict[str, Value] = {}
    contactid: str | None = None
    writable = schema.writable
    for name, value in document.items():
        convert = writable.get(name)
        if convert is not None:
            values[name] = None if value is None else convert(value)
        elif name == "contactid":
            contactid = str(schema.convert[name](value))
        else:
            navigation = schema.navigations.get(name.removesuffix(_BIND))
            if navigation is not None:
                column, entity_set = navigation
                values[column.name] = _navigated(name, value, entity_set, row_id)
            else:
                _read_other(name, value, schema, values, creating=creating)
    return contactid, values


def _read_other(
    name: str, value: object, schema: Schema, values: dict[str, Value], *, creating: bool | None
) -> None:
    """A property that is neither a writable column nor a navigation property."""
    if name.endswith(_BIND):
        raise errors.undeclared_property(name)
    if "@" not in name:  # annotations of a row that was read, such as @odata.etag, are passed over
        found = schema.by_wire_name.get(name)
        if found is None:
            raise errors.undeclared_property(name)
        if found.type is ColumnType.LOOKUP:
            raise errors.unreadable(f"'{name}' cannot be written directly: use its navigation property.")
        if not found.creatable or (creating is False and not found.updatable):
            raise _read_only(name)
        if value is None and found.required:
            raise errors.Refusal(400, "0x80040200", f"Required field '{name}' is missing.")
        values[name] = None if value is None else schema.convert[name](value)


def _navigated(name: str, value: object, entity_set: str, row_id: RowId) -> Value:
    """`navigation@odata.bind` takes the URL of a row, `navigation` itself only null (dataverse.md 6.1)."""
    if value is None:
        return None
    if not name.endswith(_BIND):
        raise errors.unreadable(f"'{name}' is a navigation property: bind it with '{name}{_BIND}'.")
    return _bound(name, value, entity_set, row_id)


def _read_only(name: str) -> errors.Refusal:
    return errors.Refusal(400, "0x80040203", f"The property '{name}' cannot be modified.")


def _bound(name: str, value: object, entity_set: str, row_id: RowId) -> Value:
    if not isinstance(value, str):
        raise errors.wrong_literal(value, "Edm.String")
    found = _BOUND.search(value)
    if found is None:
        raise errors.query_syntax(f"'{name}' does not hold the URL of a row.")
    if found[1] != entity_set:
        raise errors.unreadable(f"'{name}' points to '{found[1]}', not to '{entity_set}'.")
    return row_id(entity_set, found[2])


Render = Callable[[Row], dict[str, object]]


def renderer(schema: Schema, selected: Sequence[Column] | None, preference: str | None = None) -> Render:
    """A function that writes a row as JSON values: every column, or the selected ones; id and ETag always.

    `preference` is the value of `odata.include-annotations`, if the caller gave one.
    """
    annotate = annotator(preference, tuple(schema.columns.values()) if selected is None else selected)
    render = partial(_whole, schema=schema) if selected is None else _narrowed(selected)
    if annotate is None:
        return render
    return lambda row: render(row) | annotate(row)


def _narrowed(selected: Sequence[Column]) -> Render:
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


def all_values(row: Row, schema: Schema) -> dict[str, object]:
    """Every column of a row under its wire name, nulls and defaults included."""
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


def _whole(row: Row, schema: Schema) -> dict[str, object]:
    return {"@odata.etag": row.etag, **all_values(row, schema)}
