"""The address of a row in a URL: `contacts(…)` with an id or an alternate key (dataverse.md 1.4)."""

import re
from urllib.parse import unquote_to_bytes

from dataverse_sandbox import errors
from dataverse_sandbox.guid import GUID
from dataverse_sandbox.options import SandboxOptions
from dataverse_sandbox.table.column import Column, ColumnType, Value
from dataverse_sandbox.table.schema import Schema
from dataverse_sandbox.table.table import RowAddress

# dataverse.md 1.4: no encoding makes these acceptable in a key value.
_FORBIDDEN = re.compile(r"[/<>*%&:\\?+]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PAIR = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*('(?:[^']|'')*'|[^',()\s]+)\s*(,|$)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)


def percent_decode(segment: str) -> str:
    """Decode exactly once, as UTF-8. Raises 400 for a broken escape.

    >>> percent_decode("Ren%C3%A9"), percent_decode("100%2525")
    ('René', '100%25')
    """
    if "%" not in segment:
        return segment
    if _BAD_ESCAPE.search(segment):
        raise errors.query_syntax_error("A percent sign is not followed by two hexadecimal digits.")
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise errors.query_syntax_error("The URL is not UTF-8.") from None


def parse_address(
    predicate: str, schema: Schema, options: SandboxOptions, *, in_body: bool = False
) -> RowAddress:
    """Parse the text between the brackets, still percent-encoded. Raises 400, 404 and 412.

    `in_body`: the predicate comes from an `@odata.id` instead of a URL.
    """
    text = percent_decode(predicate)
    if GUID.fullmatch(text):
        return RowAddress(contactid=text.lower())
    literals = _split_pairs(text)
    if literals.keys() == {"contactid"}:
        if not GUID.fullmatch(literals["contactid"]):
            raise errors.query_syntax_error("contactid takes a GUID without quotes or braces.")
        return RowAddress(contactid=literals["contactid"].lower())
    names = [schema.by_wire_name[name].name if name in schema.by_wire_name else name for name in literals]
    key = schema.find_active_key(names)
    if key is None:
        inactive = schema.find_inactive_key(names)
        if inactive is not None and options.inactive_key == "violated":
            raise errors.key_violation(inactive.name)
        raise errors.unknown_key(options.unknown_key_status)
    characters = options.bulk_key_characters if in_body else options.key_characters
    values = tuple(
        _parse_literal(literals[schema.columns[name].wire_name], schema.columns[name], characters)
        for name in key.columns
    )
    return RowAddress(None, key, values)


def _split_pairs(text: str) -> dict[str, str]:
    """Literals by name. Raises 400 for anything that is not `name=literal,…`.

    >>> _split_pairs("new_a='O''Neil, Anna', new_b=7")
    {'new_a': "'O''Neil, Anna'", 'new_b': '7'}
    """
    literals: dict[str, str] = {}
    position = 0
    more = True
    while more:
        found = _PAIR.match(text, position)
        if found is None or found[1] in literals:
            # A parameter alias (`key=@p`) ends here too: refused in key predicates, dataverse.md 1.4.
            raise errors.query_syntax_error("The key predicate cannot be read.")
        literals[found[1]] = found[2]
        more = found[3] == ","
        position = found.end()
    return literals


def _parse_literal(literal: str, column: Column, characters: str) -> Value:
    """The value of a key literal. Raises 400.

    >>> _parse_literal("'O''Neil'", Column(name="new_key", type=ColumnType.STRING), "refused")
    "O'Neil"
    >>> _parse_literal("7.5", Column(name="new_size", type=ColumnType.DECIMAL), "refused")
    7.5
    """
    match column.type:
        case ColumnType.STRING | ColumnType.MEMO:
            return _parse_text(literal, characters)
        case ColumnType.INTEGER | ColumnType.PICKLIST | ColumnType.DECIMAL:
            if not _NUMBER.fullmatch(literal):
                raise errors.query_syntax_error(f"'{column.name}' takes a number without quotes.")
            return float(literal) if "." in literal else int(literal)
        case ColumnType.LOOKUP | ColumnType.GUID:
            if not GUID.fullmatch(literal):
                raise errors.query_syntax_error(f"'{column.name}' takes a GUID without quotes.")
            return literal.lower()
        case _:
            return literal


def _parse_text(literal: str, characters: str) -> str:
    if not literal.startswith("'"):
        raise errors.query_syntax_error("A text value stands in single quotes.")
    value = literal[1:-1].replace("''", "'")
    if characters == "taken":
        return value
    if _FORBIDDEN.search(value):
        raise errors.query_syntax_error("A key value holds a character that a URL cannot carry.")
    if "#" in value:
        # dataverse.md 1.4: an encoded number sign passes the parser and then matches no row.
        raise errors.row_not_found_by_key()
    return value
