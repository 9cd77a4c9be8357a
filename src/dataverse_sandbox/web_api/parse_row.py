"""The JSON of a write → stored values, strictly: types, unknown columns, lookups (dataverse.md 6.1)."""

import json
import re
from collections.abc import Callable, Mapping
from typing import NoReturn

from dataverse_sandbox import errors
from dataverse_sandbox.guid import GUID
from dataverse_sandbox.messages import Request, has_lone_surrogate
from dataverse_sandbox.options import SandboxOptions
from dataverse_sandbox.table.column import ColumnType, Value
from dataverse_sandbox.table.schema import Schema
from dataverse_sandbox.table.table import Table
from dataverse_sandbox.web_api.key_url import parse_address

_BIND = "@odata.bind"
_REFERENCE = re.compile(r"/?([A-Za-z_][A-Za-z0-9_]*)\(([^()]*)\)$")

FindRowId = Callable[[str, str], str]
"""(entity set, text in brackets) → id of the row that a lookup points to. Raises ODataError."""


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


# `NaN` and `Infinity` are not JSON.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def json_object(request: Request) -> dict[str, object]:
    """The body of a write. Raises 400 when it is not a JSON object, or not declared as JSON."""
    content_type = request.headers.get("content-type", "")
    if not content_type.lower().startswith("application/json"):
        raise errors.malformed_body("The Content-Type of a body must be application/json.")
    try:
        document = _DECODER.decode(request.body.decode())
        if has_lone_surrogate(request.body, document):
            raise errors.malformed_body("A text of the request body is no Unicode text.")
    except (ValueError, RecursionError):
        raise errors.malformed_body("The request body is not valid JSON.") from None
    if not isinstance(document, dict):
        raise errors.malformed_body("A JSON object was expected.")
    return document


def parse_values(
    document: Mapping[str, object], schema: Schema, find_row_id: FindRowId, *, creating: bool | None
) -> tuple[str | None, dict[str, Value]]:
    """(contactid or None, stored values) of a body. Raises 400 for what the table does not accept.

    `creating` None means an upsert, which may name create-only columns.
    """
    values: dict[str, Value] = {}
    contactid: str | None = None
    writable = schema.writable
    for name, value in document.items():
        convert = writable.get(name)
        if convert is not None:
            values[name] = None if value is None else convert(value)
        elif name == "contactid":
            contactid = str(schema.converters[name](value))
        else:
            navigation = schema.navigation_properties.get(name.removesuffix(_BIND))
            if navigation is not None:
                column, entity_set = navigation
                values[column.name] = _parse_navigation(name, value, entity_set, find_row_id)
            else:
                _parse_other(name, value, schema, values, creating=creating)
    return contactid, values


def _parse_other(
    name: str, value: object, schema: Schema, values: dict[str, Value], *, creating: bool | None
) -> None:
    """A property that is neither a writable column nor a navigation property."""
    if name.endswith(_BIND):
        raise errors.undeclared_property(name)
    if "@" not in name:  # annotations of a row that was read, such as @odata.etag, are ignored
        column = schema.by_wire_name.get(name)
        if column is None:
            raise errors.undeclared_property(name)
        if column.type is ColumnType.LOOKUP:
            raise errors.malformed_body(f"'{name}' cannot be written directly: use its navigation property.")
        if not column.creatable or (creating is False and not column.updatable):
            raise errors.invalid_argument(f"The property '{name}' cannot be modified.")
        if value is None and column.required:
            raise errors.ODataError(400, "0x80040200", f"Required field '{name}' is missing.")
        values[name] = None if value is None else schema.converters[name](value)


def _parse_navigation(name: str, value: object, entity_set: str, find_row_id: FindRowId) -> Value:
    """`navigation@odata.bind` takes the URL of a row, `navigation` itself only null (dataverse.md 6.1)."""
    if value is None:
        return None
    if not name.endswith(_BIND):
        raise errors.malformed_body(f"'{name}' is a navigation property: bind it with '{name}{_BIND}'.")
    if not isinstance(value, str):
        raise errors.literal_mismatch(value, "Edm.String")
    reference = _REFERENCE.search(value)
    if reference is None:
        raise errors.query_syntax_error(f"'{name}' does not hold the URL of a row.")
    if reference[1] != entity_set:
        raise errors.malformed_body(f"'{name}' points to '{reference[1]}', not to '{entity_set}'.")
    return find_row_id(entity_set, reference[2])


def row_id_finder(table: Table, options: SandboxOptions) -> FindRowId:
    """A function that finds the row of a lookup, by id or by alternate key (dataverse.md 6.1).

    A contact must exist; the id of a row in another table is accepted unchecked.
    """

    def find_row_id(entity_set: str, predicate: str) -> str:
        if entity_set == "contacts":
            return table.get(parse_address(predicate, table.schema, options)).contactid
        if "=" in predicate:
            raise errors.not_simulated(f"A reference by key to '{entity_set}'")
        if not GUID.fullmatch(predicate):
            raise errors.query_syntax_error(f"A reference to '{entity_set}' needs the id of a row.")
        return predicate.lower()

    return find_row_id
