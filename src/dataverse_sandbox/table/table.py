"""The rows of one table: found by id or key, written by the server's algorithm (dataverse.md 2.2)."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

from dataverse_sandbox import errors
from dataverse_sandbox.table.collation import fold_case_and_accents
from dataverse_sandbox.table.column import Value
from dataverse_sandbox.table.row import Row, Snapshot, stored_value
from dataverse_sandbox.table.row_index import ColumnIndex, Fold, Folded, folded
from dataverse_sandbox.table.schema import AlternateKey, KeyStatus, Schema
from dataverse_sandbox.users import SYSTEM


@dataclass(frozen=True, slots=True)
class RowAddress:
    """How a request names a row: by id, or by an alternate key with values in the key's column order."""

    contactid: str | None = None
    key: AlternateKey | None = None
    key_values: tuple[Value, ...] = ()

    def missing(self) -> errors.Refusal:
        """The 404 for a row that is not there (dataverse.md 2.3)."""
        if self.contactid is not None:
            return errors.missing_by_id(self.contactid)
        return errors.missing_by_key()


@dataclass(frozen=True, slots=True)
class Condition:
    """`If-Match: *`, `If-Match: W/"n"` and `If-None-Match: *` as plain values."""

    must_exist: bool = False
    must_not_exist: bool = False
    version: int | None = None

    def refuses(self, row: Row | None) -> bool:
        """Whether a row, or the want of one, does not meet it."""
        if row is None:
            return self.must_exist
        return self.must_not_exist or self.version not in {None, row.version}


UNCONDITIONAL = Condition()


class Table:
    """Rows by id, an index per Active key, and an index per column that was ever asked for by equality."""

    def __init__(self, schema: Schema, fold: Fold = fold_case_and_accents) -> None:
        self.schema = schema
        self.fold = fold
        self.rows: dict[str, Row] = {}
        self.rows_written = 0
        self.writes_of_deleted: dict[str, int] = {}
        self.written_now: list[str] = []
        """Ids of the rows written since somebody last emptied this list: the rows of one call."""
        self.schema_before = schema
        self.published_at = -math.inf
        """When the schema before gave way, in Unix seconds."""
        self.compares_null = False
        """Whether rows with a null in a key of several columns are unique too (dataverse.md 13.6)."""
        self.author = SYSTEM
        """As whom the rows are written from here on."""
        self.version = 1000
        """Grows with every write; a row keeps the one of its last."""
        self.deleted: list[tuple[int, str]] = []
        self.version_of_oldest_change = 0
        """Deletions (version, contact id) are told from this version on (dataverse.md 2.6)."""
        self._indexes: dict[str, ColumnIndex] = {}
        self._journal: list[tuple[str, Snapshot | None]] | None = None
        self._keys: dict[str, dict[Folded, Row]] = {}
        self._key_columns: frozenset[str] = frozenset()
        self.use_schema(schema)

    def use_schema(self, schema: Schema) -> None:
        """Take another schema and rebuild the key indexes; a key whose values are not unique becomes Failed.

        dataverse.md 1.5: creating a key reports no error; the index job fails later, the status shows it.
        """
        self._keys = {}
        failed: dict[str, KeyStatus] = {}
        for key in schema.active_keys:
            index: dict[Folded, Row] = {}
            for row in self.rows.values():
                entry = self._entry(key, row.values)
                if entry is not None and index.setdefault(entry, row) is not row:
                    failed[key.name] = KeyStatus.FAILED
                    break
            else:
                self._keys[key.name] = index
        self.schema = schema.with_status(failed) if failed else schema
        self._key_columns = frozenset(name for key in self.schema.active_keys for name in key.columns)
        self._indexes = {}

    def publish(self, schema: Schema, now: float) -> None:
        """Take another schema; metadata may go on showing the one before for a while (dataverse.md 7)."""
        self.schema_before, self.published_at = self.schema, now
        self.use_schema(schema)

    def compare_by(self, fold: Fold, *, compares_null: bool) -> None:
        """Compare values otherwise from now on; a key that its rows then violate becomes Failed."""
        if (fold, compares_null) != (self.fold, self.compares_null):
            self.fold, self.compares_null = fold, compares_null
            self.use_schema(self.schema)

    def replace_all(self, contents: Iterable[tuple[str | None, dict[str, Value]]], now: float) -> None:
        """Throw all rows away and take these (id or None, values); on a violated key the old ones stay."""
        before = self.rows
        self.rows = {}
        self.use_schema(self.schema)
        try:
            for contactid, values in contents:
                self._insert(contactid or str(uuid4()), values, now).writes = 0
        except errors.Refusal:
            self.rows = before
            self.use_schema(self.schema)
            raise
        self.writes_of_deleted = {}
        self.written_now = []
        self.rows_written = 0
        self.deleted = []
        self.version_of_oldest_change = self.version

    def find(self, address: RowAddress) -> Row | None:
        """The row of that address, or None."""
        if address.contactid is not None:
            return self.rows.get(address.contactid)
        key = address.key
        if key is None:
            return None
        if len(key.columns) == 1:
            return self._keys[key.name].get(folded(address.key_values[0], self.fold))
        return self._keys[key.name].get(tuple(folded(value, self.fold) for value in address.key_values))

    def get(self, address: RowAddress) -> Row:
        """The row of that address, or the 404 that fits how it was named."""
        row = self.find(address)
        if row is None:
            raise address.missing()
        return row

    def where_equal(self, column: str, value: Value) -> Iterable[Row]:
        """Rows whose column equals the value by the database's collation; only the first call scans."""
        if column == "contactid":
            row = self.rows.get(str(value))
            return () if row is None else (row,)
        index = self._indexes.get(column)
        if index is None:
            default = self.schema.defaults.get(column)
            index = self._indexes[column] = ColumnIndex(column, default, self.fold, self.rows.values())
        return index.find(value)

    def create(self, contactid: str | None, values: dict[str, Value], now: float) -> Row:
        """POST: a new row, or 412 when its id or a key is taken."""
        return self._insert(contactid or str(uuid4()), values, now)

    def upsert(
        self,
        address: RowAddress,
        contactid_in_body: str | None,
        values: dict[str, Value],
        condition: Condition,
        now: float,
    ) -> tuple[Row, bool]:
        """PATCH: (row, whether it was created), by the algorithm of dataverse.md 2.2."""
        row = self.find(address)
        if row is None:
            if condition.must_exist:
                raise address.missing()
            if address.key is not None:
                # On create the key's values are copied into the body, unless it holds them: the body wins.
                for name, value in zip(address.key.columns, address.key_values, strict=True):
                    if name not in values:
                        values[name] = self.schema.convert[name](value)
            contactid = contactid_in_body or address.contactid or str(uuid4())
            return self._insert(contactid, values, now), True
        if condition.must_not_exist:
            raise errors.already_there()
        if condition.version is not None and condition.version != row.version:
            raise errors.version_mismatch()
        if address.key is not None:
            # On update the key's own columns are taken out of the body.
            for name in address.key.columns:
                values.pop(name, None)
        self._update(row, values, now)
        return row, False

    def update(self, row: Row, values: dict[str, Value], now: float) -> None:
        """Write these columns of an existing row."""
        self._update(row, values, now)

    def delete(self, address: RowAddress, condition: Condition = UNCONDITIONAL) -> None:
        """DELETE: the row goes, or 404."""
        row = self.get(address)
        if condition.version is not None and condition.version != row.version:
            raise errors.version_mismatch()
        if self._journal is not None:
            self._journal.append((row.contactid, row.snapshot()))
        self._unindex(row)
        del self.rows[row.contactid]
        self.deleted.append((self._next_version(), row.contactid))
        if row.writes:
            before = self.writes_of_deleted.get(row.contactid, 0)
            self.writes_of_deleted[row.contactid] = before + row.writes

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside stand or fall together; any exception takes them back and passes on."""
        if self._journal is not None:
            yield
            return
        journal = self._journal = []
        written, of_deleted = self.rows_written, dict(self.writes_of_deleted)
        deleted = len(self.deleted)
        try:
            yield
        except BaseException:
            for contactid, before in reversed(journal):
                self._restore(contactid, before)
            self.rows_written = written
            del self.deleted[deleted:]
            self.writes_of_deleted = of_deleted
            raise
        finally:
            self._journal = None

    def _insert(self, contactid: str, values: dict[str, Value], now: float) -> Row:
        if contactid in self.rows:
            raise errors.id_taken()
        row = Row(contactid, self._next_version(), values, now, self.author)
        entries = []
        for key in self.schema.active_keys:
            entry = self._entry(key, values)
            if entry is not None:
                if entry in self._keys[key.name]:
                    raise errors.key_violated(key.name)
                entries.append((key.name, entry))
        for name, entry in entries:
            self._keys[name][entry] = row
        self.rows[contactid] = row
        for index in self._indexes.values():
            index.add(row)
        self.rows_written += 1
        self.written_now.append(contactid)
        if self._journal is not None:
            self._journal.append((contactid, None))
        return row

    def _update(self, row: Row, values: Mapping[str, Value], now: float) -> None:
        moved = [] if self._key_columns.isdisjoint(values) else list(self._moves(row, values))
        if self._journal is not None:
            self._journal.append((row.contactid, row.snapshot()))
        for name, old, new in moved:
            if old is not None:
                del self._keys[name][old]
            if new is not None:
                self._keys[name][new] = row
        touched = [index for name, index in self._indexes.items() if name in values]
        for index in touched:
            index.discard(row)
        row.values.update(values)
        for index in touched:
            index.add(row)
        row.version = self._next_version()
        row.modified_at = now
        row.modified_by = self.author
        row.writes += 1
        self.rows_written += 1
        self.written_now.append(row.contactid)

    def _moves(
        self, row: Row, values: Mapping[str, Value]
    ) -> Iterator[tuple[str, Folded | None, Folded | None]]:
        """(key, place now, place after the write) where they differ. Raises 412 when the place is taken."""
        after = {**row.values, **values}
        for key in self.schema.active_keys:
            old, new = self._entry(key, row.values), self._entry(key, after)
            if old != new:
                if new is not None and new in self._keys[key.name]:
                    raise errors.key_violated(key.name)
                yield key.name, old, new

    def _restore(self, contactid: str, before: Snapshot | None) -> None:
        row = self.rows.pop(contactid, None)
        if row is not None:
            self._unindex(row)
        if before is None:
            return
        row = before.row()
        self.rows[contactid] = row
        for key in self.schema.active_keys:
            entry = self._entry(key, row.values)
            if entry is not None:
                self._keys[key.name][entry] = row
        for index in self._indexes.values():
            index.add(row)

    def _unindex(self, row: Row) -> None:
        for key in self.schema.active_keys:
            entry = self._entry(key, row.values)
            if entry is not None:
                del self._keys[key.name][entry]
        for index in self._indexes.values():
            index.discard(row)

    def _entry(self, key: AlternateKey, values: Mapping[str, Value]) -> Folded | None:
        """The row's place in the key's index; None when a key column is null (dataverse.md 1.5: no check)."""
        if len(key.columns) == 1:
            value = values.get(key.columns[0])
            return None if value is None else folded(value, self.fold)
        parts = [values.get(name) for name in key.columns]
        if None in parts and not (self.compares_null and any(part is not None for part in parts)):
            return None
        return tuple(folded(part, self.fold) for part in parts)

    def _next_version(self) -> int:
        self.version += 1
        return self.version


def reader(table: Table, column: str) -> Callable[[Row], Value]:
    """A function that reads this column of a row, defaults and computed columns included."""
    default = table.schema.defaults.get(column)
    return lambda row: stored_value(row, column, default)
