"""The table's columns and alternate keys, prepared for fast look-up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from dataverse_sandbox.table.column import Column, ColumnType, Convert, Value, converter


class KeyStatus(StrEnum):
    """State of the asynchronous job that builds a key's index (dataverse.md 1.5)."""

    PENDING = "Pending"
    IN_PROGRESS = "InProgress"
    ACTIVE = "Active"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class AlternateKey:
    """A named set of columns whose values identify a row while the key is Active."""

    name: str
    """Logical name of the key."""

    columns: tuple[str, ...]
    """Names of its columns, in order."""

    status: KeyStatus = KeyStatus.ACTIVE
    """State of the job that builds its index."""


class Schema:
    """Columns, keys and duplicate rules of the table. Immutable: a changed schema is a new one."""

    def __init__(
        self,
        columns: Iterable[Column],
        keys: Iterable[AlternateKey],
        duplicate_rules: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self.columns: dict[str, Column] = {column.name: column for column in columns}
        """Columns by logical name."""
        self.keys: dict[str, AlternateKey] = {key.name: key for key in keys}
        """Alternate keys by name, whatever their status."""
        self.duplicate_rules: Mapping[str, tuple[str, ...]] = duplicate_rules or {}
        """Columns by rule (dataverse.md 2.4): rows that agree in all of them are duplicates."""
        self.converters: dict[str, Convert] = {
            name: converter(column) for name, column in self.columns.items()
        }
        """By column: the function that turns a JSON value into the stored one, or refuses it."""
        self.writable: dict[str, Convert] = {
            name: self.converters[name]
            for name, column in self.columns.items()
            if column.creatable
            and column.updatable
            and not column.required
            and column.type is not ColumnType.LOOKUP
        }
        """Converters of the columns that any write may name; lookups have navigation properties instead."""
        self.by_wire_name: dict[str, Column] = {column.wire_name: column for column in self.columns.values()}
        """Columns by their property name in a row that is read."""
        self.navigation_properties: dict[str, tuple[Column, str]] = {
            navigation: (column, entity_set)
            for column in self.columns.values()
            for navigation, entity_set in column.targets.items()
        }
        """(lookup, entity set) by navigation property."""
        self.defaults: dict[str, Value] = {name: column.default for name, column in self.columns.items()}
        self.blank_row: dict[str, Value] = {
            column.wire_name: column.default for column in self.columns.values() if column.name != "contactid"
        }
        """Defaults by property name: a row before anything is written."""
        self.active_keys: tuple[AlternateKey, ...] = tuple(
            key for key in self.keys.values() if key.status is KeyStatus.ACTIVE
        )
        self._key_by_columns: dict[frozenset[str], AlternateKey] = {
            frozenset(key.columns): key for key in self.active_keys
        }

    def find_inactive_key(self, columns: Iterable[str]) -> AlternateKey | None:
        """A key of exactly these columns that is not Active."""
        wanted = frozenset(columns)
        inactive = (key for key in self.keys.values() if key.status is not KeyStatus.ACTIVE)
        return next((key for key in inactive if frozenset(key.columns) == wanted), None)

    def find_active_key(self, columns: Iterable[str]) -> AlternateKey | None:
        """The Active key made of exactly these columns, in any order (dataverse.md 1.4)."""
        return self._key_by_columns.get(frozenset(columns))

    def extend(
        self,
        columns: Iterable[Column],
        keys: Iterable[AlternateKey],
        duplicate_rules: Mapping[str, tuple[str, ...]] | None = None,
    ) -> "Schema":
        """This schema with columns, keys and duplicate rules added or replaced."""
        return Schema(
            {**self.columns, **{column.name: column for column in columns}}.values(),
            {**self.keys, **{key.name: key for key in keys}}.values(),
            {**self.duplicate_rules, **(duplicate_rules or {})},
        )

    def without_key(self, name: str) -> "Schema":
        """This schema without one key."""
        kept = [key for key in self.keys.values() if key.name != name]
        return Schema(self.columns.values(), kept, self.duplicate_rules)

    def with_status(self, statuses: Mapping[str, KeyStatus]) -> "Schema":
        """This schema with another status of some keys."""
        return Schema(
            self.columns.values(),
            [replace(key, status=statuses.get(key.name, key.status)) for key in self.keys.values()],
            self.duplicate_rules,
        )
