"""How a row is named in a URL, and which values no URL can carry (dataverse.md 1.4).

The server treats two values of a text column as equal when they differ only in case, in most languages also
when they differ only in accents (dataverse.md 1.5), and when they differ only in trailing blanks. No function
here folds a value to such a common form: the form depends on the language of the environment. So two contacts
whose identifiers differ only in this way can turn out to be one row.
"""

import re
import unicodedata
from typing import Final, assert_never
from urllib.parse import quote

from didomi_dataverse.dataverse.requests import AlternateKey, LookUp, RowId, RowKey
from didomi_dataverse.dataverse.tables import CONTACT

GUID_PATTERN: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
"""A GUID with hyphens, in either case. An ASCII pattern without groups, to be part of another."""

# dataverse.md 1.4: no encoding saves these in a key, and "#" fails in practice in either spelling.
_NOT_IN_A_KEY: Final = frozenset("/<>*%&:\\?+#")
# dataverse.md 1.5: 900 bytes per key, two bytes for each UTF-16 unit of a text column.
_MAX_KEY_UNITS: Final = 450
# The longest text column that Dataverse has: no row can hold a longer value.
_MAX_FILTER_UNITS: Final = 4000
# dataverse.md 1.3: 65,536 characters for the URL of a GET inside a batch, path and column included.
_MAX_FILTER_ENCODED: Final = 60_000

_COLUMN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_GUID: Final = re.compile(rf"(?P<open>\{{)?(?P<guid>{GUID_PATTERN})(?(open)\}})", re.ASCII)
# Control characters are refused on the way; halves of surrogate pairs have no UTF-8.
_UNSENDABLE: Final = frozenset({"Cc", "Cs"})


def fits_key_url(value: str) -> bool:
    """Whether an alternate key of this value can be written as `contacts(column='value')`.

    False for characters that the server refuses in a key whatever their encoding, for text that cannot be
    sent at all, for values that begin or end with a blank (comparison ignores the last blanks, so another row
    might be meant), and for values too long for an index. Look up such a value with `$filter`, and write its
    row by GUID.

    >>> fits_key_url("u-42"), fits_key_url("a+b@example.com")
    (True, False)
    """
    return (
        value == value.strip()
        and _is_sendable(value, max_units=_MAX_KEY_UNITS)
        and _NOT_IN_A_KEY.isdisjoint(value)
    )


def fits_filter(value: str) -> bool:
    """Whether `$filter` can look for this value. No row can hold a value that does not fit."""
    return (
        bool(value.strip())
        and _is_sendable(value, max_units=_MAX_FILTER_UNITS)
        and len(_literal(value)) <= _MAX_FILTER_ENCODED
    )


def row_path(key: RowKey) -> str:
    """The row's path relative to the API path, already encoded: send it as it is.

    Raises ValueError when the key cannot be written as a URL (check with `fits_key_url` and `normal_guid`).
    The text of the error leaves the value out.

    >>> row_path(AlternateKey("new_didomikey", "O'Neil"))
    "contacts(new_didomikey='O%27%27Neil')"
    """
    match key:
        case RowId(guid):
            if normal_guid(guid) != guid:
                raise ValueError("a row id must be a lower-case GUID without braces")
            return f"{CONTACT.entity_set}({guid})"
        case AlternateKey(column, value):
            if not fits_key_url(value):
                raise ValueError(
                    f"the value for key column {column!r} does not fit a key URL: look it up instead"
                )
            return f"{CONTACT.entity_set}({_check_column(column)}='{_literal(value)}')"
        case _:
            assert_never(key)


def look_up_query(look_up: LookUp) -> str:
    """The path and query that ask for the rows of a look-up, already encoded: send it as it is.

    Raises ValueError when the value does not fit (`fits_filter`) or `at_most` is not positive.

    >>> look_up_query(LookUp("emailaddress1", "a+b@example.com"))
    "contacts?$select=contactid&$filter=emailaddress1%20eq%20'a%2Bb%40example.com'&$top=2"
    """
    if not fits_filter(look_up.value):
        raise ValueError(f"the value for column {look_up.column!r} does not fit a filter: no row can hold it")
    if look_up.at_most < 1:
        raise ValueError("a look-up must ask for at least one row")
    # dataverse.md 1.4: `+` means a blank in a query. `quote` without safe characters sends it as %2B.
    condition = f"{_check_column(look_up.column)}%20eq%20'{_literal(look_up.value)}'"
    return f"{CONTACT.entity_set}?$select={CONTACT.id_column}&$filter={condition}&$top={look_up.at_most}"


def normal_guid(text: str) -> str | None:
    """A GUID in lower case without braces; None when the text is not a GUID.

    >>> normal_guid("{6F1C2D3E-0000-4000-8000-00000000ABCD}")
    '6f1c2d3e-0000-4000-8000-00000000abcd'
    """
    found = _GUID.fullmatch(text.strip())
    return None if found is None else found["guid"].lower()


def _literal(value: str) -> str:
    """A string literal's content: single quotes doubled, then UTF-8 percent-encoded (dataverse.md 1.4)."""
    return quote(value.replace("'", "''"), safe="")


def _is_sendable(value: str, *, max_units: int) -> bool:
    if value.isascii() and value.isprintable():
        return 0 < len(value) <= max_units
    units = len(value.encode("utf-16-le", "surrogatepass")) // 2
    return 0 < units <= max_units and not any(unicodedata.category(letter) in _UNSENDABLE for letter in value)


def _check_column(column: str) -> str:
    # Columns come from the operator's mapping. A wrong name must not become a different request.
    if _COLUMN.fullmatch(column) is None:
        raise ValueError(f"{column!r} is not the logical name of a column")
    return column
