"""Making, restarting and dropping alternate keys: jobs that end later, and whose failure only a status tells.

dataverse.md 1.5. How long a job takes is a switch of the sandbox; at first it takes no time.
"""

from dataclasses import replace

from dataverse_sandbox import errors
from dataverse_sandbox.options import Switches
from dataverse_sandbox.table.column import Column, ColumnType
from dataverse_sandbox.table.schema import AlternateKey, KeyStatus
from dataverse_sandbox.table.table import Table

MOST_KEYS = 10
MOST_COLUMNS = 16
MOST_BYTES = 900
_BYTES = {
    ColumnType.INTEGER: 4,
    ColumnType.PICKLIST: 4,
    ColumnType.DECIMAL: 13,
    ColumnType.DATE: 8,
    ColumnType.DATETIME: 8,
    ColumnType.LOOKUP: 16,
}


class KeyJobs:
    """The jobs that build the indexes of new keys; whoever answers requests calls `advance` first."""

    def __init__(self, table: Table, switches: Switches) -> None:
        self._table = table
        self._switches = switches
        self._started: dict[str, float] = {}

    def create(self, name: str, columns: tuple[str, ...], now: float) -> None:
        """Begin a new key. Raises 400 for what can be told at once; the rest shows in its status."""
        schema = self._table.schema
        for column in columns:
            if column not in schema.columns:
                raise errors.no_such_property(column)
            if schema.columns[column].type not in {ColumnType.STRING, *_BYTES}:
                raise _invalid(f"The column '{column}' is of a type that a key cannot have.")
        if len(columns) > MOST_COLUMNS or len(set(columns)) < len(columns):
            raise _invalid(f"A key has at most {MOST_COLUMNS} columns, each once.")
        if name in schema.keys:
            raise _invalid(f"A key named '{name}' exists already.")
        if len(schema.keys) >= MOST_KEYS:
            raise _invalid(f"A table has at most {MOST_KEYS} keys.")
        self._begin(AlternateKey(name, columns), now)

    def restart(self, name: str, now: float) -> None:
        """`ReactivateEntityKey`. Raises 400 unless the key has Failed."""
        key = self._table.schema.keys.get(name)
        if key is None or key.status is not KeyStatus.FAILED:
            raise _invalid(f"The key '{name}' is not one that has failed.")
        self._begin(key, now)

    def drop(self, name: str, now: float) -> None:
        """The key goes, whatever its state."""
        self._started.pop(name, None)
        self._table.publish(self._table.schema.without_key(name), now)

    def forget(self) -> None:
        """No job is under way."""
        self._started = {}

    def advance(self, now: float) -> None:
        """Let the jobs be as far as they are by now."""
        for name, started_at in list(self._started.items()):
            key = self._table.schema.keys.get(name)
            passed, needed = now - started_at, self._switches.key_build_seconds
            if key is None or passed >= needed:
                del self._started[name]
                if key is not None:
                    self._end(key, now)
            elif passed >= needed / 2 and key.status is KeyStatus.PENDING:
                self._put(key, KeyStatus.IN_PROGRESS, now)

    def _begin(self, key: AlternateKey, now: float) -> None:
        self._put(key, KeyStatus.PENDING, now)
        self._started[key.name] = now
        self.advance(now)

    def _end(self, key: AlternateKey, now: float) -> None:
        size = sum(_size(self._table.schema.columns[name]) for name in key.columns)
        # Over values that repeat, the table itself makes it Failed.
        self._put(key, KeyStatus.ACTIVE if size <= MOST_BYTES else KeyStatus.FAILED, now)

    def _put(self, key: AlternateKey, status: KeyStatus, now: float) -> None:
        self._table.publish(self._table.schema.extended([], [replace(key, status=status)]), now)


def _size(column: Column) -> int:
    """Bytes in an index: two for each character of a text."""
    return _BYTES.get(column.type, 2 * column.max_length)


def _invalid(message: str) -> errors.Refusal:
    return errors.Refusal(400, "0x8006088f", message)
