"""Everything in which SQLite and PostgreSQL differ: connecting, locking, and what their errors mean.

SQLite serves one process from a local disk; PostgreSQL serves any number. What follows from that stands here,
and nowhere else.
"""

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Select,
    Table,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy import exc as sa_exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from didomi_dataverse.errors import StoreError

# How long a transaction of ours waits for another process's (a command run beside the service) before it is
# "locked".
_SQLITE_BUSY_MILLISECONDS = 1_500
# `UPDATE ... FROM` came with 3.33, JSON as a matter of course with 3.38.
_SQLITE_AT_LEAST = (3, 38)
_SQLITE_CACHE_KIBIBYTES = 65_536
# 16 MB: the pages that every commit touches, those of the indexes, are moved to the file a quarter as often.
_SQLITE_PAGES_PER_CHECKPOINT = 4_000
_SQLITE_READERS = 2

_POSTGRESQL_WRITERS = 4
_POSTGRESQL_READERS = 2
_POSTGRESQL_CONNECT_SECONDS = 5
# A transaction here takes milliseconds. One that takes this long is stuck, and its lease is better used
# elsewhere.
_POSTGRESQL_STATEMENT_MILLISECONDS = 30_000
_POSTGRESQL_LOCK_MILLISECONDS = 10_000

# A number of our own: everybody who migrates this schema, in any database of the server, takes the lock of
# this name.
_POSTGRESQL_MIGRATION_LOCK = 7_164_015_482_113_669
_POSTGRESQL_DELETION_LOCK = 7_164_015_482_113_670

_NOT_A_DATABASE = "file is not a database"
_DAMAGED = "malformed"
_SERIALIZATION_FAILURE = "40001"
_DEADLOCK_DETECTED = "40P01"
_UNIQUE_VIOLATION = "23505"
_INSUFFICIENT_PRIVILEGE = "42501"
_UNDEFINED_TABLE = "42P01"


@dataclass(frozen=True, slots=True)
class Engines:
    """Where to write and where to read, and how many threads may do so at once.

    `path` is SQLite's file, None for PostgreSQL.
    """

    writing: Engine
    reading: Engine
    writers: int
    readers: int
    path: Path | None

    def dispose(self) -> None:
        """Close every connection that is not in use."""
        self.writing.dispose()
        self.reading.dispose()


def open_engines(url: str) -> Engines:
    """Engines for a `sqlite:///…` or `postgresql://…` address. Connects to nothing yet.

    Raises StoreError when the address is neither of them, or names a file that cannot be one.
    """
    try:
        parsed = make_url(url)
    except sa_exc.ArgumentError:
        raise StoreError(
            "store.url is not a database address. Write sqlite:///FILE, or postgresql://USER:PASSWORD@HOST/DATABASE."
        ) from None
    match parsed.get_backend_name():
        case "sqlite":
            return _sqlite_engines(parsed)
        case "postgresql" | "postgres":
            return _postgresql_engines(parsed)
        case other:
            raise StoreError(
                f"store.url names {other!r}; the ledger is kept in SQLite or PostgreSQL. "
                "Write sqlite:///FILE, or postgresql://USER:PASSWORD@HOST/DATABASE."
            )


def shown(url: str) -> str:
    """The address without its password, for messages."""
    return make_url(url).render_as_string(hide_password=True)


# --- SQLite -------------------------------------------------------------------------------------------------


def _sqlite_engines(url: URL) -> Engines:
    if sqlite3.sqlite_version_info < _SQLITE_AT_LEAST:
        raise StoreError(
            f"This Python brings SQLite {sqlite3.sqlite_version}, and needs "
            f"{'.'.join(map(str, _SQLITE_AT_LEAST))} or later. Use a newer Python or system (the container "
            "image has one), or PostgreSQL."
        )
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise StoreError(
            "store.url names no file. What is kept in memory is lost with the process: write sqlite:///FILE."
        )
    path = Path(url.database).absolute()
    _check_folder(path)
    writing = _sqlite_engine(url, connections=1)
    reading = _sqlite_engine(url, connections=_SQLITE_READERS)

    @event.listens_for(writing, "do_connect")
    def _create_private(*_: object) -> None:
        _create_for_owner(path)

    @event.listens_for(writing, "connect")
    def _prepare_writing(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        _sqlite_pragmas(
            connection,
            # Readers go on while the writer commits.
            "journal_mode=WAL",
            # In WAL mode only FULL reaches the disk before the commit returns (docs/promises.md 1).
            "synchronous=FULL",
            "foreign_keys=ON",
            f"cache_size=-{_SQLITE_CACHE_KIBIBYTES}",
            f"wal_autocheckpoint={_SQLITE_PAGES_PER_CHECKPOINT}",
        )

    @event.listens_for(reading, "connect")
    def _prepare_reading(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        _sqlite_pragmas(connection, "query_only=ON")

    @event.listens_for(writing, "begin")
    def _begin_writing(connection: Connection) -> None:
        # The write lock is taken at the start: a transaction that reads first and then finds the file locked
        # could not wait for it.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    @event.listens_for(reading, "begin")
    def _begin_reading(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return Engines(writing=writing, reading=reading, writers=1, readers=_SQLITE_READERS, path=path)


def _create_for_owner(path: Path) -> None:
    """An empty file that only its owner reads: SQLite gives the files beside it the same mode. One that is
    there keeps the mode that somebody gave it, and is not opened: closing a file ends every lock that this
    process has on it, SQLite's own among them. Whoever came then would take the store for unused and remove
    the log that we still write to.
    """
    # Where it cannot be created, SQLite says so in words that operators find in its documentation.
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _check_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise StoreError(
            f"The folder {path.parent} of store.url does not exist. "
            "Create it, and let the service write in it."
        )
    if path.is_dir():
        raise StoreError(
            f"store.url names the folder {path}; name a file in it, e.g. {path / 'didomi-dataverse.db'}."
        )


def _sqlite_engine(url: URL, *, connections: int) -> Engine:
    return create_engine(
        url.set(drivername="sqlite+pysqlite"),
        hide_parameters=True,
        pool_size=connections,
        max_overflow=0,
        connect_args={
            "timeout": _SQLITE_BUSY_MILLISECONDS / 1000,
            "check_same_thread": False,
            # The driver would begin transactions by rules of its own; the events above say when.
            "isolation_level": None,
        },
    )


def _sqlite_pragmas(connection: DBAPIConnection, *pragmas: str) -> None:
    cursor = connection.cursor()
    try:
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
    finally:
        cursor.close()


# --- PostgreSQL ---------------------------------------------------------------------------------------------


def _postgresql_engines(url: URL) -> Engines:
    settings = {
        "statement_timeout": _POSTGRESQL_STATEMENT_MILLISECONDS,
        "lock_timeout": _POSTGRESQL_LOCK_MILLISECONDS,
        "idle_in_transaction_session_timeout": _POSTGRESQL_STATEMENT_MILLISECONDS,
    }
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        pool_size=_POSTGRESQL_WRITERS + _POSTGRESQL_READERS,
        max_overflow=0,
        # The server may have been restarted since: an idle connection is tried before it is used.
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": _POSTGRESQL_CONNECT_SECONDS,
            "application_name": "didomi-dataverse",
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        },
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        # docs/promises.md 1 holds whatever the server's default is; a stricter default is left alone.
        cursor = connection.cursor()
        try:
            cursor.execute(
                "SELECT set_config('synchronous_commit', 'on', false)"
                " WHERE current_setting('synchronous_commit') = 'off'"
            )
        finally:
            cursor.close()
        connection.commit()

    return Engines(
        writing=engine, reading=engine, writers=_POSTGRESQL_WRITERS, readers=_POSTGRESQL_READERS, path=None
    )


# --- Statements ---------------------------------------------------------------------------------------------


def insert_missing(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert the rows whose unique key is not there yet."""
    if not rows:
        return
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(insert(table).on_conflict_do_nothing(), list(rows))


def put_meta(connection: Connection, table: Table, key: str, value: str) -> None:
    """Insert or replace one row of a table of keys and values."""
    if connection.dialect.name == "postgresql":
        inserted = postgresql.insert(table).values(key=key, value=value)
        connection.execute(
            inserted.on_conflict_do_update(index_elements=["key"], set_={"value": inserted.excluded["value"]})
        )
    else:
        replaced = sqlite.insert(table).values(key=key, value=value)
        connection.execute(
            replaced.on_conflict_do_update(index_elements=["key"], set_={"value": replaced.excluded["value"]})
        )


def locked(connection: Connection, select: Select[Any], *, skip_locked: bool = False) -> Select[Any]:
    """The selected rows, locked until the transaction ends.

    On SQLite nothing is to be done: there is one writer, and it locked the file when the transaction began.
    """
    if connection.dialect.name == "postgresql":
        return select.with_for_update(key_share=True, skip_locked=skip_locked)
    return select


def has_other_writers(connection: Connection) -> bool:
    """True when another process may have committed since this transaction began."""
    return connection.dialect.name == "postgresql"


def lock_deletions(connection: Connection, *, exclusive: bool) -> None:
    """Hold off, until the transaction ends, every other one that deletes; with `exclusive` every one that
    records, so that neither can miss what the other is about to commit.
    """
    if connection.dialect.name == "postgresql":
        shared = "" if exclusive else "_shared"
        connection.execute(
            text(f"SELECT pg_advisory_xact_lock{shared}(:name)"), {"name": _POSTGRESQL_DELETION_LOCK}
        )


def lock_for_migration(connection: Connection) -> None:
    """Hold everybody else's migration off until the transaction ends."""
    if connection.dialect.name == "postgresql":
        # Creating a large index takes as long as it takes.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:name)"), {"name": _POSTGRESQL_MIGRATION_LOCK})


# --- Errors -------------------------------------------------------------------------------------------------


def is_unavailability(error: sa_exc.SQLAlchemyError) -> bool:
    """True when the store failed (locked, full, read-only, broken, unreachable), not a row or our code."""
    if isinstance(error, sa_exc.TimeoutError):
        return True
    if not isinstance(error, sa_exc.DBAPIError):
        return False
    if error.connection_invalidated or _sqlstate(error) in {_INSUFFICIENT_PRIVILEGE, _UNDEFINED_TABLE}:
        return True
    return isinstance(error, sa_exc.OperationalError | sa_exc.InternalError | sa_exc.InterfaceError) or (
        # The class itself, not its many children: SQLite's "malformed" and "not a database".
        type(error) is sa_exc.DatabaseError
    )


def is_collision(error: sa_exc.SQLAlchemyError) -> bool:
    """True when two transactions got in each other's way, so that the same one again will succeed.

    A unique violation is one: another replica logged the same notification between our look and our insert.
    """
    return _sqlstate(error) in {_SERIALIZATION_FAILURE, _DEADLOCK_DETECTED, _UNIQUE_VIOLATION}


def is_not_a_database(error: sa_exc.SQLAlchemyError) -> bool:
    """True when the file is something else than a SQLite database."""
    return isinstance(error, sa_exc.DBAPIError) and _NOT_A_DATABASE in str(error.orig)


def is_damaged(error: sa_exc.SQLAlchemyError) -> bool:
    """True when SQLite found its own file to be damaged."""
    return isinstance(error, sa_exc.DBAPIError) and _DAMAGED in str(error.orig)


def cause(error: sa_exc.SQLAlchemyError) -> str:
    """What went wrong, in the database's words where those cannot quote a row."""
    if isinstance(error, sa_exc.DBAPIError) and error.orig is not None:
        sqlstate = _sqlstate(error)
        if sqlstate:
            return f"{type(error.orig).__name__} ({sqlstate})"
        with contextlib.suppress(IndexError):
            # SQLite's messages name tables and columns, never values; the driver's name hosts.
            return str(error.orig).splitlines()[0]
    return type(error).__name__


def _sqlstate(error: sa_exc.SQLAlchemyError) -> str:
    original = getattr(error, "orig", None)
    return getattr(original, "sqlstate", None) or ""
