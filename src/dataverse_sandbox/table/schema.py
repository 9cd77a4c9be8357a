"""The table's columns and alternate keys, prepared for fast look-up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from dataverse_sandbox.table.column import Column, ColumnType, Convert, Value, converter


class KeyStatus(StrEnum):
    """Where the asynchronous job that builds a key's index stands (dataverse.md 1.5)."""

    PENDING = "Pending"
    IN_PROGRESS = "InProgress"
    ACTIVE = "Active"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class AlternateKey:
    """A named set of columns whose values identify a row while the key is Active."""

    name: str
    columns: tuple[str, ...]
    status: KeyStatus = KeyStatus.ACTIVE


class Schema:
    """Immutable: a changed schema is a new one (`extended`)."""

    def __init__(
        self,
        columns: Iterable[Column],
        keys: Iterable[AlternateKey],
        duplicate_rules: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self.columns: dict[str, Column] = {column.name: column for column in columns}
        self.keys: dict[str, AlternateKey] = {key.name: key for key in keys}
        self.duplicate_rules: Mapping[str, tuple[str, ...]] = duplicate_rules or {}
        """Columns by rule (dataverse.md 2.4): rows that agree in all of them are duplicates."""
        self.convert: dict[str, Convert] = {name: converter(column) for name, column in self.columns.items()}
        # What a write may name directly; lookups are written through their navigation properties.
        self.writable: dict[str, Convert] = {
            name: self.convert[name]
            for name, column in self.columns.items()
            if column.creatable
            and column.updatable
            and not column.required
            and column.type is not ColumnType.LOOKUP
        }
        self.by_wire_name: dict[str, Column] = {column.wire_name: column for column in self.columns.values()}
        self.navigations: dict[str, tuple[Column, str]] = {
            navigation: (column, entity_set)
            for column in self.columns.values()
            for navigation, entity_set in column.targets.items()
        }
        self.defaults: dict[str, Value] = {name: column.default for name, column in self.columns.items()}
        self.blank_row: dict[str, Value] = {
            column.wire_name: column.default for column in self.columns.values() if column.name != "contactid"
        }
        self.active_keys: tuple[AlternateKey, ...] = tuple(
            key for key in self.keys.values() if key.status is KeyStatus.ACTIVE
        )
        self._key_by_columns: dict[frozenset[str], AlternateKey] = {
            frozenset(key.columns): key for key in self.active_keys
        }

    def inactive_key_of(self, columns: Iterable[str]) -> AlternateKey | None:
        """A key of exactly these columns that is not Active (yet)."""
        wanted = frozenset(columns)
        waiting = (key for key in self.keys.values() if key.status is not KeyStatus.ACTIVE)
        return next((key for key in waiting if frozenset(key.columns) == wanted), None)

    def key_of(self, columns: Iterable[str]) -> AlternateKey | None:
        """The Active key made of exactly these columns, in any order (dataverse.md 1.4)."""
        return self._key_by_columns.get(frozenset(columns))

    def extended(
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
        """This schema less one key."""
        kept = [key for key in self.keys.values() if key.name != name]
        return Schema(self.columns.values(), kept, self.duplicate_rules)

    def with_status(self, statuses: Mapping[str, KeyStatus]) -> "Schema":
        """This schema with other states of its keys."""
        return Schema(
            self.columns.values(),
            [replace(key, status=statuses.get(key.name, key.status)) for key in self.keys.values()],
            self.duplicate_rules,
        )
