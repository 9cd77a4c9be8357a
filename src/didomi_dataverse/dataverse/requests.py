"""What is asked of Dataverse: a write of one row, or a look-up of the row to write."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

JsonScalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class RowId:
    """A row named by its GUID, lower case, no braces (dataverse.md 1.4)."""

    guid: str


@dataclass(frozen=True, slots=True)
class AlternateKey:
    """A row named by one alternate-key column of text. The value must fit a key URL (dataverse.md 1.4)."""

    column: str
    value: str


RowKey = RowId | AlternateKey


class Condition(StrEnum):
    """What the row must be for the write to happen (dataverse.md 2.1).

    There is no unconditional write: whether a row was there decides whether `on_create` and every mapped
    column have to be written.
    """

    UPDATE_ONLY = "update_only"  # If-Match: *
    CREATE_ONLY = "create_only"  # If-None-Match: *


@dataclass(frozen=True, slots=True)
class Write:
    """One contact's request: which row, on what condition, and the columns to set. None clears a column."""

    key: RowKey
    condition: Condition
    columns: Mapping[str, JsonScalar]


@dataclass(frozen=True, slots=True)
class LookUp:
    """Asks which rows hold this value in this column.

    Goes by `$filter`, for values that no key URL can carry and for columns without an alternate key
    (dataverse.md 1.4). `at_most` limits how many rows the answer names. Two tell "one" from "several"; who
    writes all of them asks for one more than there can sensibly be, to notice when there are too many.
    """

    column: str
    value: str
    at_most: int = 2


@dataclass(frozen=True, slots=True)
class Resolve:
    """Asks which row an alternate key names, before the row is written by its GUID."""

    key: AlternateKey


Request = Write | LookUp | Resolve
"""One request to the Web API, whichever way it travels."""
