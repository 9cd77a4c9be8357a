"""The rows of one table: found by id or key, written by the server's algorithm (dataverse.md 2.2)."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from dataverse_sandbox import errors
from dataverse_sandbox.guid import new_guid
from dataverse_sandbox.table.collation import Collation, ComparisonKey, fold_case_and_accents
from dataverse_sandbox.table.column import Value
from dataverse_sandbox.table.indexes import ColumnIndex, KeyIndex
from dataverse_sandbox.table.row import Row, Snapshot, stored_value
from dataverse_sandbox.table.schema import AlternateKey, KeyStatus, Schema
from dataverse_sandbox.users import SYSTEM


@dataclass(frozen=True, slots=True)
class RowAddress:
    """How a request names a row: by id, or by an alternate key."""

    contactid: str | None = None
    """Id of the row, in lower case; None for an address by key."""

    key: AlternateKey | None = None
    """The alternate key; None for an address by id."""

    key_values: tuple[Value, ...] = ()
    """Values in the key's column order; empty for an address by id."""

    def not_found_error(self) -> errors.ODataError:
        """The 404 for a row that does not exist (dataverse.md 2.3)."""
        if self.contactid is not None:
            return errors.row_not_found_by_id(self.contactid)
        return errors.row_not_found_by_key()

    def columns(self) -> dict[str, Value]:
        """The column values that the address states."""
        if self.contactid is not None:
            return {"contactid": self.contactid}
        return {} if self.key is None else dict(zip(self.key.columns, self.key_values, strict=True))


@dataclass(frozen=True, slots=True)
class Condition:
    """`If-Match` and `If-None-Match` of a write."""

    must_exist: bool = False
    """`If-Match`: only an existing row is written."""

    must_not_exist: bool = False
    """`If-None-Match: *`: only a new row is written."""

    version: int | None = None
    """Version of `If-Match: W/"n"`; None for any, -1 for a tag that matches no version."""

    def is_violated_by(self, row: Row | None) -> bool:
        """Whether this row, or its absence, does not meet the condition."""
        if row is None:
            return self.must_exist
        return self.must_not_exist or self.version not in {None, row.version}


UNCONDITIONAL = Condition()


class Table:
    """Rows by id, an index per Active key, and an index per column that was looked up by equality."""

    def __init__(self, schema: Schema, collation: Collation = fold_case_and_accents) -> None:
        self.schema = schema
        self.collation = collation
        """How texts compare in keys and filters."""
        self.rows: dict[str, Row] = {}
        """Rows by id, in the order of their creation."""
        self.rows_written = 0
        """Writes since the rows were last replaced."""
        self.writes_of_deleted_rows: dict[str, int] = {}
        """Number of writes by id of rows that no longer exist."""
        self.written_ids: list[str] = []
        """Ids of the rows written since the caller last emptied this list: the rows of one call."""
        self.previous_schema = schema
        self.published_at = -math.inf
        """When the previous schema was replaced, in Unix seconds."""
        self.compares_null = False
        """Whether rows with a null in a key of several columns must be unique too (dataverse.md 13.6)."""
        self.author = SYSTEM
        """The user that writes rows from now on."""
        self.version = 1000
        """Grows with every write; a row keeps the version of its last write."""
        self.deleted: list[tuple[int, str]] = []
        """(version, contact id) of each deletion (dataverse.md 2.6)."""
        self.first_tracked_version = 0
        """Changes are known from this version on."""
        self._column_indexes: dict[str, ColumnIndex] = {}
        self._journal: list[tuple[str, Snapshot | None]] | None = None
        self._key_indexes: dict[str, KeyIndex] = {}
        self._key_columns: frozenset[str] = frozenset()
        self.use_schema(schema)

    def use_schema(self, schema: Schema) -> None:
        """Take another schema and rebuild the key indexes; a key whose values are not unique becomes Failed.

        dataverse.md 1.5: creating a key reports no error; the index job fails later, the status shows it.
        """
        self._key_indexes = {}
        failed: dict[str, KeyStatus] = {}
        for key in schema.active_keys:
            index = KeyIndex(key, self.collation, compares_null=self.compares_null)
            for row in self.rows.values():
                entry = index.entry(row.values)
                if entry is not None and index.rows.setdefault(entry, row) is not row:
                    failed[key.name] = KeyStatus.FAILED
                    break
            else:
                self._key_indexes[key.name] = index
        self.schema = schema.with_status(failed) if failed else schema
        self._key_columns = frozenset(name for key in self.schema.active_keys for name in key.columns)
        self._column_indexes = {}

    def publish(self, schema: Schema, now: float) -> None:
        """Take another schema; metadata may show the previous one for a while (dataverse.md 7)."""
        self.previous_schema, self.published_at = self.schema, now
        self.use_schema(schema)

    def set_collation(self, collation: Collation, *, compares_null: bool) -> None:
        """Change how values compare; a key that the rows then violate becomes Failed."""
        if (collation, compares_null) != (self.collation, self.compares_null):
            self.collation, self.compares_null = collation, compares_null
            self.use_schema(self.schema)

    def replace_all(self, contents: Iterable[tuple[str | None, dict[str, Value]]], now: float) -> None:
        """Replace all rows by these (id or None, values). On a violated key the old rows stay."""
        before = self.rows
        self.rows = {}
        self.use_schema(self.schema)
        try:
            for contactid, values in contents:
                self._insert(contactid or new_guid(), values, now).writes = 0
        except errors.ODataError:
            self.rows = before
            self.use_schema(self.schema)
            raise
        self.writes_of_deleted_rows = {}
        self.written_ids = []
        self.rows_written = 0
        self.deleted = []
        self.first_tracked_version = self.version

    def find(self, address: RowAddress) -> Row | None:
        """The row of that address, or None."""
        if address.contactid is not None:
            return self.rows.get(address.contactid)
        key = address.key
        return None if key is None else self._key_indexes[key.name].find(address.key_values)

    def get(self, address: RowAddress) -> Row:
        """The row of that address. Raises the 404 that fits the address."""
        row = self.find(address)
        if row is None:
            raise address.not_found_error()
        return row

    def find_equal(self, column: str, value: Value) -> Iterable[Row]:
        """Rows whose column equals the value. The first call for a column builds its index."""
        if column == "contactid":
            row = self.rows.get(str(value))
            return () if row is None else (row,)
        index = self._column_indexes.get(column)
        if index is None:
            default = self.schema.defaults.get(column)
            index = ColumnIndex(column, default, self.collation, self.rows.values())
            self._column_indexes[column] = index
        return index.find(value)

    def create(self, contactid: str | None, values: dict[str, Value], now: float) -> Row:
        """POST: a new row. Raises 412 when its id or a key is taken."""
        return self._insert(contactid or new_guid(), values, now)

    def upsert(
        self,
        address: RowAddress,
        contactid_in_body: str | None,
        values: dict[str, Value],
        condition: Condition,
        now: float,
    ) -> tuple[Row, bool]:
        """PATCH: (row, whether it was created), by the algorithm of dataverse.md 2.2. Raises 404 and 412."""
        row = self.find(address)
        if row is None:
            if condition.must_exist:
                raise address.not_found_error()
            if address.key is not None:
                # On create the key's values are copied into the body, unless it holds them: the body wins.
                for name, value in zip(address.key.columns, address.key_values, strict=True):
                    if name not in values:
                        values[name] = self.schema.converters[name](value)
            contactid = contactid_in_body or address.contactid or new_guid()
            return self._insert(contactid, values, now), True
        if condition.must_not_exist:
            raise errors.row_exists()
        if condition.version is not None and condition.version != row.version:
            raise errors.version_mismatch()
        if address.key is not None:
            # On update the key's own columns are taken out of the body.
            for name in address.key.columns:
                values.pop(name, None)
        self.update(row, values, now)
        return row, False

    def update(self, row: Row, values: dict[str, Value], now: float) -> None:
        """Write these columns of an existing row. Raises 412 when a key is taken."""
        changes = [] if self._key_columns.isdisjoint(values) else list(self._key_changes(row, values))
        if self._journal is not None:
            self._journal.append((row.contactid, row.snapshot()))
        for index, old, new in changes:
            if old is not None:
                del index.rows[old]
            if new is not None:
                index.rows[new] = row
        touched = [index for name, index in self._column_indexes.items() if name in values]
        for column_index in touched:
            column_index.discard(row)
        row.values.update(values)
        for column_index in touched:
            column_index.add(row)
        row.version = self._next_version()
        row.modified_at = now
        row.modified_by = self.author
        row.writes += 1
        self.rows_written += 1
        self.written_ids.append(row.contactid)

    def delete(self, address: RowAddress, condition: Condition = UNCONDITIONAL) -> None:
        """DELETE. Raises 404, or 412 for another version."""
        row = self.get(address)
        if condition.version is not None and condition.version != row.version:
            raise errors.version_mismatch()
        if self._journal is not None:
            self._journal.append((row.contactid, row.snapshot()))
        self._unindex(row)
        del self.rows[row.contactid]
        self.deleted.append((self._next_version(), row.contactid))
        if row.writes:
            before = self.writes_of_deleted_rows.get(row.contactid, 0)
            self.writes_of_deleted_rows[row.contactid] = before + row.writes

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside are committed or rolled back together. Any exception rolls back and is re-raised.

        An inner transaction is part of the outer one.
        """
        if self._journal is not None:
            yield
            return
        journal = self._journal = []
        written, of_deleted = self.rows_written, dict(self.writes_of_deleted_rows)
        deleted = len(self.deleted)
        try:
            yield
        # Of every kind: whatever ends it, half a transaction must not stay.
        except BaseException:
            for contactid, before in reversed(journal):
                self._restore(contactid, before)
            self.rows_written = written
            del self.deleted[deleted:]
            self.writes_of_deleted_rows = of_deleted
            raise
        finally:
            self._journal = None

    def _insert(self, contactid: str, values: dict[str, Value], now: float) -> Row:
        if contactid in self.rows:
            raise errors.duplicate_id()
        row = Row(contactid, self._next_version(), values, now, self.author)
        entries = []
        for index in self._key_indexes.values():
            entry = index.entry(values)
            if entry is not None:
                if entry in index.rows:
                    raise errors.key_violation(index.name)
                entries.append((index, entry))
        for index, entry in entries:
            index.rows[entry] = row
        self.rows[contactid] = row
        for column_index in self._column_indexes.values():
            column_index.add(row)
        self.rows_written += 1
        self.written_ids.append(contactid)
        if self._journal is not None:
            self._journal.append((contactid, None))
        return row

    def _key_changes(
        self, row: Row, values: Mapping[str, Value]
    ) -> Iterator[tuple[KeyIndex, ComparisonKey | None, ComparisonKey | None]]:
        """(index, entry now, entry after the write) where they differ. Raises 412 when the entry is taken."""
        after = {**row.values, **values}
        for index in self._key_indexes.values():
            old, new = index.entry(row.values), index.entry(after)
            if old != new:
                if new is not None and new in index.rows:
                    raise errors.key_violation(index.name)
                yield index, old, new

    def _restore(self, contactid: str, before: Snapshot | None) -> None:
        row = self.rows.pop(contactid, None)
        if row is not None:
            self._unindex(row)
        if before is None:
            return
        row = before.row()
        self.rows[contactid] = row
        for index in self._key_indexes.values():
            entry = index.entry(row.values)
            if entry is not None:
                index.rows[entry] = row
        for column_index in self._column_indexes.values():
            column_index.add(row)

    def _unindex(self, row: Row) -> None:
        for index in self._key_indexes.values():
            entry = index.entry(row.values)
            if entry is not None:
                del index.rows[entry]
        for column_index in self._column_indexes.values():
            column_index.discard(row)

    def _next_version(self) -> int:
        self.version += 1
        return self.version


def column_reader(table: Table, column: str) -> Callable[[Row], Value]:
    """A function that reads this column of a row, including defaults and computed columns."""
    default = table.schema.defaults.get(column)
    return lambda row: stored_value(row, column, default)
