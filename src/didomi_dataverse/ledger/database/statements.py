"""The statements that only one of the two databases needs: PostgreSQL's locks.

SQLite has one writer, which locks the whole file when its transaction begins. No other module asks which
database a connection leads to.
"""

from typing import Any

from sqlalchemy import Connection, Select, text

# Numbers of our own: every process that migrates this schema, or that deletes, takes the lock of this name,
# in whatever database of the server.
_MIGRATION_LOCK = 7_164_015_482_113_669
_DELETION_LOCK = 7_164_015_482_113_670


def is_sqlite(connection: Connection) -> bool:
    """Whether the connection leads to SQLite; otherwise it leads to PostgreSQL."""
    return connection.dialect.name == "sqlite"


def has_other_writers(connection: Connection) -> bool:
    """Whether another process may have committed since this transaction began."""
    return not is_sqlite(connection)


def lock_rows(connection: Connection, select: Select[Any], *, skip_locked: bool = False) -> Select[Any]:
    """The same selection, whose rows stay locked until the transaction ends.

    `skip_locked` passes over rows that another transaction has locked, instead of waiting for it.
    """
    if is_sqlite(connection):
        return select
    return select.with_for_update(key_share=True, skip_locked=skip_locked)


def lock_deletions(connection: Connection, *, exclusive: bool) -> None:
    """Make a deletion wait for concurrent ingestion, and the other way round, until the transaction ends.

    A transaction that deletes asks for `exclusive`; it waits for all that ingest. Transactions that only
    ingest do not wait for each other. So neither can miss what the other is about to commit.
    """
    if not is_sqlite(connection):
        shared = "" if exclusive else "_shared"
        connection.execute(text(f"SELECT pg_advisory_xact_lock{shared}(:name)"), {"name": _DELETION_LOCK})


def lock_for_migration(connection: Connection) -> None:
    """Make every other migration wait until the transaction ends."""
    if not is_sqlite(connection):
        # Creating a large index takes as long as it takes.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:name)"), {"name": _MIGRATION_LOCK})
