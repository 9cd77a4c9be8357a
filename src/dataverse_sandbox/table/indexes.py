"""Indexes over rows: one per alternate key, and one per column that was looked up by equality."""

from collections.abc import Iterable, Mapping

from dataverse_sandbox.table.collation import Collation, ComparisonKey, comparison_key
from dataverse_sandbox.table.column import Value
from dataverse_sandbox.table.row import Row, stored_value
from dataverse_sandbox.table.schema import AlternateKey


class KeyIndex:
    """The rows by their values of one Active alternate key; each entry belongs to one row."""

    __slots__ = ("_collation", "_columns", "_compares_null", "_only_column", "name", "rows")

    def __init__(self, key: AlternateKey, collation: Collation, *, compares_null: bool) -> None:
        self.name = key.name
        self.rows: dict[ComparisonKey, Row] = {}
        """Rows by `entry`."""
        self._columns = key.columns
        self._only_column = key.columns[0] if len(key.columns) == 1 else None
        self._collation = collation
        self._compares_null = compares_null

    def find(self, values: tuple[Value, ...]) -> Row | None:
        """The row with these values, in the key's column order."""
        if self._only_column is not None:
            return self.rows.get(comparison_key(values[0], self._collation))
        return self.rows.get(tuple(comparison_key(value, self._collation) for value in values))

    def entry(self, values: Mapping[str, Value]) -> ComparisonKey | None:
        """The entry of a row with these values. None: the row is outside of the uniqueness check.

        dataverse.md 1.5: a row with null in a key column is not checked.
        """
        if self._only_column is not None:
            value = values.get(self._only_column)
            return None if value is None else comparison_key(value, self._collation)
        parts = [values.get(name) for name in self._columns]
        if None in parts and not (self._compares_null and any(part is not None for part in parts)):
            return None
        return tuple(comparison_key(part, self._collation) for part in parts)


class ColumnIndex:
    """The rows by the value of one column, for `$filter=column eq value` over a million rows.

    Most values are held by one row. Such a row is stored directly; only shared values cost a dictionary.
    """

    def __init__(self, column: str, default: Value, collation: Collation, rows: Iterable[Row]) -> None:
        self._column = column
        self._default = default
        self._collation = collation
        self._entries: dict[ComparisonKey, Row | dict[str, Row]] = {}
        for row in rows:
            self.add(row)

    def find(self, value: Value) -> Iterable[Row]:
        """The rows that hold this value."""
        held = self._entries.get(comparison_key(value, self._collation))
        if held is None:
            return ()
        return (held,) if isinstance(held, Row) else list(held.values())

    def add(self, row: Row) -> None:
        """Add a row under its present value."""
        entry = self._entry(row)
        held = self._entries.get(entry)
        if held is None:
            self._entries[entry] = row
        elif isinstance(held, Row):
            self._entries[entry] = {held.contactid: held, row.contactid: row}
        else:
            held[row.contactid] = row

    def discard(self, row: Row) -> None:
        """Remove a row. Its value must still be the one under which it was added."""
        entry = self._entry(row)
        held = self._entries.get(entry)
        if isinstance(held, dict):
            held.pop(row.contactid, None)
            if not held:
                del self._entries[entry]
        elif held is not None:
            del self._entries[entry]

    def _entry(self, row: Row) -> ComparisonKey:
        return comparison_key(stored_value(row, self._column, self._default), self._collation)
