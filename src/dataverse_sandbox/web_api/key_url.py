"""The address of a row in a URL: `contacts(…)` with an id or an alternate key (dataverse.md 1.4)."""

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from dataverse_sandbox import errors
from dataverse_sandbox.options import Switches
from dataverse_sandbox.table.column import GUID, Column, ColumnType, Value
from dataverse_sandbox.table.schema import AlternateKey, Schema
from dataverse_sandbox.table.table import RowAddress

# dataverse.md 1.4: no encoding saves these in a key value.
BANNED = re.compile(r"[/<>*%&:\\?+]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PAIR = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*('(?:[^']|'')*'|[^',()\s]+)\s*(,|$)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)


def decoded(segment: str) -> str:
    """Percent-decode exactly once, as UTF-8."""
    if "%" not in segment:
        return segment
    if _BAD_ESCAPE.search(segment):
        raise errors.query_syntax("A percent sign is not followed by two hexadecimal digits.")
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise errors.query_syntax("The URL is not UTF-8.") from None


def parse_address(predicate: str, schema: Schema, switches: Switches, *, in_body: bool = False) -> RowAddress:
    """Read what stands between the brackets, still percent-encoded. `in_body`: of an `@odata.id`."""
    text = decoded(predicate)
    if GUID.fullmatch(text):
        return RowAddress(contactid=text.lower())
    written = _pairs(text)
    if written.keys() == {"contactid"}:
        if not GUID.fullmatch(written["contactid"]):
            raise errors.query_syntax("contactid takes a GUID without quotes or braces.")
        return RowAddress(contactid=written["contactid"].lower())
    named = [schema.by_wire_name[name].name if name in schema.by_wire_name else name for name in written]
    key = schema.key_of(named)
    if key is None:
        waiting = schema.inactive_key_of(named)
        if waiting is not None and switches.inactive_key == "violated":
            raise errors.key_violated(waiting.name)
        raise errors.no_such_key(switches.unknown_key_status)
    characters = switches.bulk_key_characters if in_body else switches.key_characters
    values = tuple(
        _key_value(written[schema.columns[name].wire_name], schema.columns[name], characters)
        for name in key.columns
    )
    return RowAddress(None, key, values)


def _pairs(text: str) -> dict[str, str]:
    written: dict[str, str] = {}
    position = 0
    more = True
    while more:
        found = _PAIR.match(text, position)
        if found is None or found[1] in written:
            # A parameter alias (`key=@p`) ends here too: refused in key predicates, dataverse.md 1.4.
            raise errors.query_syntax("The key predicate cannot be read.")
        written[found[1]] = found[2]
        more = found[3] == ","
        position = found.end()
    return written


def _key_value(literal: str, column: Column, characters: str) -> Value:
    match column.type:
        case ColumnType.STRING | ColumnType.MEMO:
            return _quoted(literal, characters)
        case ColumnType.INTEGER | ColumnType.PICKLIST | ColumnType.DECIMAL:
            if not _NUMBER.fullmatch(literal):
                raise errors.query_syntax(f"'{column.name}' takes a number without quotes.")
            return float(literal) if "." in literal else int(literal)
        case ColumnType.LOOKUP | ColumnType.GUID:
            if not GUID.fullmatch(literal):
                raise errors.query_syntax(f"'{column.name}' takes a GUID without quotes.")
            return literal.lower()
        case _:
            return literal


def _quoted(literal: str, characters: str) -> str:
    if not literal.startswith("'"):
        raise errors.query_syntax("A text value stands in single quotes.")
    value = literal[1:-1].replace("''", "'")
    if characters == "taken":
        return value
    if BANNED.search(value):
        raise errors.query_syntax("A key value holds a character that a URL cannot carry.")
    if "#" in value:
        # dataverse.md 1.4: an encoded number sign gets through the parser and then matches nothing.
        raise errors.missing_by_key()
    return value


def key_columns(address: RowAddress) -> Mapping[str, Value]:
    """The columns that an address gives away."""
    if address.contactid is not None:
        return {"contactid": address.contactid}
    key: AlternateKey | None = address.key
    return {} if key is None else dict(zip(key.columns, address.key_values, strict=True))
