"""SQLite: one file on a local disk, one process that serves from it, one connection that writes."""

import contextlib
import os
import sqlite3
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from didomi_dataverse.errors import StoreError

READERS = 2
"""Connections that read beside the one that writes. Too few: reports wait for each other. Too many: each
holds a page cache."""

# `UPDATE ... FROM` came with 3.33, JSON as part of every build with 3.38.
_MIN_VERSION = (3, 38)

_BUSY_MILLISECONDS = 1_500
"""How long a transaction waits for one of another process (a command beside the service) before it fails as
"locked". Too short: commands and the service refuse each other. Too long: receiving stalls."""

_CACHE_KIBIBYTES = 65_536
"""Page cache of the writing connection. Too small: every commit reads the pages of the indexes again."""

_PAGES_PER_CHECKPOINT = 4_000
"""Pages of the write-ahead log after which SQLite copies them to the file: 16 MB. Every commit touches the
pages of the indexes; SQLite's default of 1,000 copies them four times as often. Too large: a long log."""


def check_path(url: URL) -> Path:
    """The absolute path of the database file.

    Raises StoreError when the address names no file, when its folder does not exist, or when this Python
    brings an SQLite that is too old.
    """
    if sqlite3.sqlite_version_info < _MIN_VERSION:
        raise StoreError(
            f"This Python brings SQLite {sqlite3.sqlite_version}, and needs "
            f"{'.'.join(map(str, _MIN_VERSION))} or later. Use a newer Python or system (the container "
            "image has one), or PostgreSQL."
        )
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise StoreError(
            "store.url names no file. What is kept in memory is lost with the process: write sqlite:///FILE."
        )
    path = Path(url.database).absolute()
    if not path.parent.is_dir():
        raise StoreError(
            f"The folder {path.parent} of store.url does not exist. "
            "Create it, and let the service write in it."
        )
    if path.is_dir():
        raise StoreError(
            f"store.url names the folder {path}; name a file in it, e.g. {path / 'didomi-dataverse.db'}."
        )
    return path


def create_writing_engine(url: URL, path: Path) -> Engine:
    """An engine with one connection. It creates the file and takes the write lock with every transaction."""
    engine = _create_engine(url, connections=1)

    @event.listens_for(engine, "do_connect")
    def _create_private(*_: object) -> None:
        _create_for_owner(path)

    @event.listens_for(engine, "connect")
    def _prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        _set_pragmas(
            connection,
            # Readers go on while the writer commits.
            "journal_mode=WAL",
            # In WAL mode only FULL reaches the disk before the commit returns (docs/promises.md 1).
            "synchronous=FULL",
            "foreign_keys=ON",
            f"cache_size=-{_CACHE_KIBIBYTES}",
            f"wal_autocheckpoint={_PAGES_PER_CHECKPOINT}",
        )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # The write lock is taken at the start: a transaction that reads first and then finds the file locked
        # could not wait for it.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def create_reading_engine(url: URL) -> Engine:
    """An engine whose connections cannot write."""
    engine = _create_engine(url, connections=READERS)

    @event.listens_for(engine, "connect")
    def _prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        _set_pragmas(connection, "query_only=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _create_engine(url: URL, *, connections: int) -> Engine:
    return create_engine(
        url.set(drivername="sqlite+pysqlite"),
        hide_parameters=True,
        pool_size=connections,
        max_overflow=0,
        connect_args={
            "timeout": _BUSY_MILLISECONDS / 1000,
            "check_same_thread": False,
            # The driver would begin transactions by rules of its own; the events above say when.
            "isolation_level": None,
        },
    )


def _create_for_owner(path: Path) -> None:
    """Create an empty file that only its owner can read: SQLite gives the files beside it the same mode.

    A file that exists keeps its mode and is not opened. Closing a file ends every lock that this process
    holds on it, those of SQLite included. Another process would then take the store for unused and remove the
    log to which this one still writes.
    """
    # Where it cannot be created, SQLite says so in words that operators find in its documentation.
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _set_pragmas(connection: DBAPIConnection, *pragmas: str) -> None:
    cursor = connection.cursor()
    try:
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
    finally:
        cursor.close()
