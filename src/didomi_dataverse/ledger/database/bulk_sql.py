"""Many rows, found and written by few statements.

SQLite's driver releases the interpreter for every row of an `executemany`, and then waits for its turn behind
the rest of the process: the more arrives, the longer a commit would take. So SQLite gets up to 64 rows in one
statement. PostgreSQL's driver sends all rows at once by itself.

The statements are plain text, written once: building them anew took longer than carrying them out
(docs/decisions/0031-what-receiving-costs.md).
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Row, Table

from didomi_dataverse.ledger.database.instants import from_microseconds, to_microseconds
from didomi_dataverse.ledger.database.statements import is_sqlite
from didomi_dataverse.ledger.tables import Instant

_ROWS_PER_STATEMENT = (64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)
"""The sizes of SQLite's statements. Any number of rows takes few statements of these sizes, and there are few
different ones, so that each stays prepared. Larger sizes gain little and fill the cache of statements."""


def select_rows(
    connection: Connection,
    table: Table,
    names: tuple[str, ...],
    *,
    where: str,
    wanted: Collection[str] | Collection[int],
    lock: bool = False,
) -> list[tuple[Any, ...]]:
    """The named columns of the rows whose column `where` holds one of the wanted values.

    In the order of that column. `lock` locks the rows until the transaction ends, in this order; SQLite has
    one writer and needs no locks.
    """
    if not wanted:
        return []
    if is_sqlite(connection):
        statement = _select(table.name, names, where, "IN (SELECT value FROM json_each(?))", "")
        parameter: object = json.dumps(list(wanted))
    else:
        ending = " FOR NO KEY UPDATE" if lock else ""
        statement, parameter = _select(table.name, names, where, "= ANY(%s)", ending), list(wanted)
    # By way of SQLAlchemy, so that a disk that fails between two rows raises as any other failure.
    rows = connection.exec_driver_sql(statement, (parameter,)).all()
    return _decode_instants(table, names, rows)


def insert_rows(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, object]], *, skip_known: bool = False
) -> None:
    """Insert the rows, which all name the same columns.

    `skip_known` leaves rows alone whose unique key exists; without it they raise.
    """
    if not rows:
        return
    names = tuple(rows[0])
    if is_sqlite(connection):
        for cells, count in _split(rows, names):
            connection.exec_driver_sql(_insert(table.name, names, skip_known, "?", count), cells)
    else:
        each = [_cells(row, names) for row in rows]
        connection.exec_driver_sql(_insert(table.name, names, skip_known, "%s", 1), each)


def update_rows(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, object]],
    *,
    where: tuple[str, ...] = ("id",),
) -> None:
    """Set columns of the rows that `where` finds.

    All rows name the same columns, those of `where` included, and no two of them the same row.
    """
    if not rows:
        return
    columns = tuple(name for name in rows[0] if name not in where)
    if is_sqlite(connection):
        names = (*where, *columns)
        for cells, count in _split(rows, names):
            connection.exec_driver_sql(_update_many(table.name, names, len(where), count), cells)
    else:
        names = (*columns, *where)
        each = [_cells(row, names) for row in rows]
        connection.exec_driver_sql(_update_one(table.name, names, len(where)), each)


def _decode_instants(table: Table, names: tuple[str, ...], rows: Sequence[Row[Any]]) -> list[tuple[Any, ...]]:
    are_instants = [isinstance(table.c[name].type, Instant) for name in names]
    if not any(are_instants):
        return [tuple(row) for row in rows]
    return [
        tuple(
            [
                from_microseconds(cell) if is_instant and cell is not None else cell
                for cell, is_instant in zip(row, are_instants, strict=True)
            ]
        )
        for row in rows
    ]


def _split(
    rows: Sequence[Mapping[str, object]], names: tuple[str, ...]
) -> Iterator[tuple[tuple[Any, ...], int]]:
    """The cells for one statement after another, and how many rows each of them takes."""
    start = 0
    for count in _ROWS_PER_STATEMENT:
        while len(rows) - start >= count:
            some = rows[start : start + count]
            yield tuple(cell for row in some for cell in _cells(row, names)), count
            start += count


def _cells(row: Mapping[str, object], names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(
        [to_microseconds(cell) if isinstance(cell, datetime) else cell for cell in itemgetter(*names)(row)]
    )


# Names of tables and columns are our own (tables.py); nothing from outside is part of any of these texts.


@lru_cache(maxsize=64)
def _select(table: str, names: tuple[str, ...], where: str, condition: str, ending: str) -> str:
    return f'SELECT {_quote(names)} FROM {table} WHERE "{where}" {condition} ORDER BY "{where}"{ending}'  # noqa: S608


@lru_cache(maxsize=256)
def _insert(table: str, names: tuple[str, ...], skip_known: bool, mark: str, count: int) -> str:  # noqa: FBT001 - a key of the cache
    ending = " ON CONFLICT DO NOTHING" if skip_known else ""
    return f"INSERT INTO {table} ({_quote(names)}) VALUES {_placeholders(len(names), mark, count)}{ending}"  # noqa: S608


@lru_cache(maxsize=256)
def _update_many(table: str, names: tuple[str, ...], keys: int, count: int) -> str:
    numbered = [(f'"{name}"', f"new.column{number}") for number, name in enumerate(names, start=1)]
    changes = ", ".join(f"{name} = {cell}" for name, cell in numbered[keys:])
    found = " AND ".join(f"{table}.{name} = {cell}" for name, cell in numbered[:keys])
    values = _placeholders(len(names), "?", count)
    return f"UPDATE {table} SET {changes} FROM (VALUES {values}) AS new WHERE {found}"  # noqa: S608


@lru_cache(maxsize=64)
def _update_one(table: str, names: tuple[str, ...], keys: int) -> str:
    set_to = [f'"{name}" = %s' for name in names]
    return f"UPDATE {table} SET {', '.join(set_to[:-keys])} WHERE {' AND '.join(set_to[-keys:])}"  # noqa: S608


def _quote(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _placeholders(cells: int, mark: str, rows: int) -> str:
    return ", ".join([f"({', '.join([mark] * cells)})"] * rows)
