"""Creating, restarting and deleting alternate keys. The jobs end later; only a key's status shows a failure.

dataverse.md 1.5. The option `key_build_seconds` says how long a job takes; by default it takes no time.
"""

from dataclasses import replace

from dataverse_sandbox import errors
from dataverse_sandbox.options import SandboxOptions
from dataverse_sandbox.table.column import Column, ColumnType
from dataverse_sandbox.table.schema import AlternateKey, KeyStatus
from dataverse_sandbox.table.table import Table

MAX_KEYS = 10
MAX_COLUMNS = 16
MAX_BYTES = 900
_BYTES = {
    ColumnType.INTEGER: 4,
    ColumnType.PICKLIST: 4,
    ColumnType.DECIMAL: 13,
    ColumnType.DATE: 8,
    ColumnType.DATETIME: 8,
    ColumnType.LOOKUP: 16,
}


class KeyJobs:
    """The jobs that build the indexes of new keys. Call `advance` before a request is answered."""

    def __init__(self, table: Table, options: SandboxOptions) -> None:
        self._table = table
        self._options = options
        self._started_at: dict[str, float] = {}

    def create(self, name: str, columns: tuple[str, ...], now: float) -> None:
        """Start the job of a new key. Raises 400 for what is wrong at once; the rest shows in the status."""
        schema = self._table.schema
        for column in columns:
            if column not in schema.columns:
                raise errors.unknown_property(column)
            if schema.columns[column].type not in {ColumnType.STRING, *_BYTES}:
                raise _invalid_operation(f"The column '{column}' is of a type that a key cannot have.")
        if len(columns) > MAX_COLUMNS or len(set(columns)) < len(columns):
            raise _invalid_operation(f"A key has at most {MAX_COLUMNS} columns, each once.")
        if name in schema.keys:
            raise _invalid_operation(f"A key named '{name}' exists already.")
        if len(schema.keys) >= MAX_KEYS:
            raise _invalid_operation(f"A table has at most {MAX_KEYS} keys.")
        self._start(AlternateKey(name, columns), now)

    def restart(self, name: str, now: float) -> None:
        """`ReactivateEntityKey`. Raises 400 unless the key has Failed."""
        key = self._table.schema.keys.get(name)
        if key is None or key.status is not KeyStatus.FAILED:
            raise _invalid_operation(f"The key '{name}' is not one that has failed.")
        self._start(key, now)

    def delete(self, name: str, now: float) -> None:
        """Delete the key, whatever its status."""
        self._started_at.pop(name, None)
        self._table.publish(self._table.schema.without_key(name), now)

    def clear(self) -> None:
        """Forget every running job."""
        self._started_at = {}

    def advance(self, now: float) -> None:
        """Bring the running jobs to their state at `now`."""
        for name, started_at in list(self._started_at.items()):
            key = self._table.schema.keys.get(name)
            passed, needed = now - started_at, self._options.key_build_seconds
            if key is None or passed >= needed:
                del self._started_at[name]
                if key is not None:
                    self._finish(key, now)
            elif passed >= needed / 2 and key.status is KeyStatus.PENDING:
                self._set_status(key, KeyStatus.IN_PROGRESS, now)

    def _start(self, key: AlternateKey, now: float) -> None:
        self._set_status(key, KeyStatus.PENDING, now)
        self._started_at[key.name] = now
        self.advance(now)

    def _finish(self, key: AlternateKey, now: float) -> None:
        size = sum(_index_bytes(self._table.schema.columns[name]) for name in key.columns)
        # A key over values that repeat becomes Failed in the table itself.
        self._set_status(key, KeyStatus.ACTIVE if size <= MAX_BYTES else KeyStatus.FAILED, now)

    def _set_status(self, key: AlternateKey, status: KeyStatus, now: float) -> None:
        self._table.publish(self._table.schema.extend([], [replace(key, status=status)]), now)


def _index_bytes(column: Column) -> int:
    """Size of a column in an index: two bytes for each character of a text.

    >>> _index_bytes(Column(name="lastname", type=ColumnType.STRING, max_length=50))
    100
    """
    return _BYTES.get(column.type, 2 * column.max_length)


def _invalid_operation(message: str) -> errors.ODataError:
    return errors.ODataError(400, "0x8006088f", message)
