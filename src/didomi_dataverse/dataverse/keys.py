"""How a row is named in a URL, and which values no URL can carry (dataverse.md 1.4).

The server takes two values of a text column for the same when they differ in upper and lower case only, in
most languages also when they differ in accents only (dataverse.md 1.5), and when they differ in trailing
blanks only. Nothing here folds a value to such a common form: which form it is depends on the language of the
environment, so two contacts whose identifiers differ in this way only can turn out to be one row.
"""

import re
import unicodedata
from typing import Final, assert_never
from urllib.parse import quote

from didomi_dataverse.dataverse.requests import AlternateKey, LookUp, RowId, RowKey

ENTITY_SET: Final = "contacts"
ID_COLUMN: Final = "contactid"

# dataverse.md 1.4: no encoding saves these in a key, and "#" fails in practice in either spelling.
_NOT_IN_A_KEY: Final = frozenset("/<>*%&:\\?+#")
# dataverse.md 1.5: 900 bytes per key, two bytes for each UTF-16 unit of a text column.
_MAX_KEY_UNITS: Final = 450
# The longest text column that Dataverse has; a longer value cannot be in any row.
_MAX_FILTER_UNITS: Final = 4000
# dataverse.md 1.3: 65,536 characters for the URL of a GET inside a batch, the name of the column and the path
# included.
_MAX_FILTER_ENCODED: Final = 60_000

_COLUMN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_GUID: Final = re.compile(
    r"(?P<open>\{)?(?P<guid>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?(open)\})",
    re.IGNORECASE | re.ASCII,
)
# Control characters and halves of surrogate pairs: the first are refused on the way, the second have no
# UTF-8.
_UNSENDABLE: Final = frozenset({"Cc", "Cs"})


def fits_key_url(value: str) -> bool:
    """Whether an alternate key of this value can be written as `contacts(column='value')`.

    False for what the server refuses in a key whatever its encoding, for what cannot be sent at all, for
    values that begin or end with a blank (the end is lost in the comparison, so another row might be meant),
    and for values too long for an index. Such a value is looked up with `$filter` and written by GUID.
    """
    return (
        value == value.strip()
        and _is_sendable(value, max_units=_MAX_KEY_UNITS)
        and _NOT_IN_A_KEY.isdisjoint(value)
    )


def fits_filter(value: str) -> bool:
    """Whether a row with this value can be asked for with `$filter`. What does not fit is in no row."""
    return (
        bool(value.strip())
        and _is_sendable(value, max_units=_MAX_FILTER_UNITS)
        and len(_literal(value)) <= _MAX_FILTER_ENCODED
    )


def row_path(key: RowKey) -> str:
    """The row's path relative to the API path, encoded once: send it as it is.

    ValueError when the key cannot be written as a URL; callers ask `fits_key_url` and `normal_guid` first.
    The text of the error leaves the value out.
    """
    match key:
        case RowId(guid):
            if normal_guid(guid) != guid:
                raise ValueError("a row id must be a lower-case GUID without braces")
            return f"{ENTITY_SET}({guid})"
        case AlternateKey(column, value):
            if not fits_key_url(value):
                raise ValueError(
                    f"the value for key column {column!r} does not fit a key URL: look it up instead"
                )
            return f"{ENTITY_SET}({_checked_column(column)}='{_literal(value)}')"
        case _:
            assert_never(key)


def look_up_query(look_up: LookUp) -> str:
    """The path and query that ask for the rows of a look-up, encoded once: send it as it is.

    ValueError when the value cannot be asked for (`fits_filter`) or `at_most` is not positive.
    """
    if not fits_filter(look_up.value):
        raise ValueError(f"the value for column {look_up.column!r} does not fit a filter: no row can hold it")
    if look_up.at_most < 1:
        raise ValueError("a look-up must ask for at least one row")
    # dataverse.md 1.4: `+` is a blank in a query, so it goes as %2B; `quote` without safe characters sees to
    # it.
    condition = f"{_checked_column(look_up.column)}%20eq%20'{_literal(look_up.value)}'"
    return f"{ENTITY_SET}?$select={ID_COLUMN}&$filter={condition}&$top={look_up.at_most}"


def normal_guid(text: str) -> str | None:
    """A GUID in lower case without braces; None when the text is none."""
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


def _checked_column(column: str) -> str:
    # Columns come from the operator's mapping. A wrong one must not become a different request.
    if _COLUMN.fullmatch(column) is None:
        raise ValueError(f"{column!r} is not the logical name of a column")
    return column
