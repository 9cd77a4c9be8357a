"""Rows by the value of one column, for `$filter=column eq value` over a million rows."""

from collections.abc import Callable, Iterable

from dataverse_sandbox.table.column import Value
from dataverse_sandbox.table.row import Row, stored_value

Fold = Callable[[str], str]
Folded = str | int | float | bool | None | tuple[str | int | float | bool | None, ...]


def folded(value: Value, fold: Fold) -> str | int | float | bool | None:
    """The form in which two values are the same to the database."""
    return fold(value) if isinstance(value, str) else value


class ColumnIndex:
    """Most values are held by one row: it stands alone, and only shared values cost a dictionary."""

    def __init__(self, column: str, default: Value, fold: Fold, rows: Iterable[Row]) -> None:
        self._column = column
        self._default = default
        self._fold = fold
        self._found: dict[Folded, Row | dict[str, Row]] = {}
        for row in rows:
            self.add(row)

    def find(self, value: Value) -> Iterable[Row]:
        """The rows that hold this value."""
        held = self._found.get(folded(value, self._fold))
        if held is None:
            return ()
        return (held,) if isinstance(held, Row) else list(held.values())

    def add(self, row: Row) -> None:
        """Enter a row under the value it holds now."""
        entry = self._entry(row)
        held = self._found.get(entry)
        if held is None:
            self._found[entry] = row
        elif isinstance(held, Row):
            self._found[entry] = {held.contactid: held, row.contactid: row}
        else:
            held[row.contactid] = row

    def discard(self, row: Row) -> None:
        """Take a row out again; its value must still be the one it was entered under."""
        entry = self._entry(row)
        held = self._found.get(entry)
        if isinstance(held, dict):
            held.pop(row.contactid, None)
            if not held:
                del self._found[entry]
        elif held is not None:
            del self._found[entry]

    def _entry(self, row: Row) -> Folded:
        return folded(stored_value(row, self._column, self._default), self._fold)
