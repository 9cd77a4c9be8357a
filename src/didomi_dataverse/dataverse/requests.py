"""What is asked of Dataverse: a write of one row, or a read that finds the row to write."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

JsonScalar = str | int | float | bool | None
"""A column's value in JSON. None clears the column."""


@dataclass(frozen=True, slots=True)
class RowId:
    """A row named by its GUID."""

    guid: str
    """Lower case, without braces (dataverse.md 1.4)."""


@dataclass(frozen=True, slots=True)
class AlternateKey:
    """A row named by one alternate-key column of text."""

    column: str
    """The column's logical name."""

    value: str
    """Must fit a key URL (`keys.fits_key_url`; dataverse.md 1.4)."""


RowKey = RowId | AlternateKey
"""How a write names its row."""


class Condition(StrEnum):
    """What must be true of the row for the write to happen (dataverse.md 2.1).

    There is no unconditional write: whether a row was there decides whether `on_create` and every mapped
    column have to be written.
    """

    UPDATE_ONLY = "update_only"
    """The row exists (`If-Match: *`)."""

    CREATE_ONLY = "create_only"
    """The row does not exist (`If-None-Match: *`)."""


@dataclass(frozen=True, slots=True)
class Write:
    """A conditional write of one row."""

    key: RowKey
    """Which row."""

    condition: Condition
    """When to write it."""

    columns: Mapping[str, JsonScalar]
    """The columns to set, by logical name."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """Asks which rows hold a value in a column.

    Goes by `$filter`, for values that no key URL can carry and for columns without an alternate key
    (dataverse.md 1.4).
    """

    column: str
    """The column's logical name."""

    value: str
    """The value to find. Must fit a filter (`keys.fits_filter`)."""

    at_most: int = 2
    """How many rows the answer may name. Two tell "one" from "several"; to write all of them, ask for one
    more than is plausible, so that too many can be noticed."""


@dataclass(frozen=True, slots=True)
class Resolve:
    """Asks which row an alternate key names, so that the row can be written by its GUID."""

    key: AlternateKey
    """The key to resolve."""


Request = Write | LookUp | Resolve
"""One request to the Web API, whichever call it travels in."""


def condition_of(request: Request) -> Condition | None:
    """The condition of a write; None for a read."""
    return request.condition if isinstance(request, Write) else None
