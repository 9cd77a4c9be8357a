"""PostgreSQL: any number of processes, each with a fixed number of connections."""

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

WRITERS = 4
"""Transactions of one process that may write at the same time. Too few: receiving waits for delivering. Too
many: replicas use up the connections of the server."""

READERS = 2
"""Transactions of one process that only read, beside those that write."""

_CONNECT_SECONDS = 5
"""How long a connection may take. Too short: a busy server counts as unreachable."""

_STATEMENT_MILLISECONDS = 30_000
"""How long a statement may run, and how long a transaction may idle. A transaction takes milliseconds: after
this time it is stuck, and its locks are better released. Too short: a slow disk fails every purge."""

_LOCK_MILLISECONDS = 10_000
"""How long a statement waits for a lock. Too short: a migration makes receiving fail. Too long: stuck
transactions of others hold up all threads."""


def create_pooled_engine(url: URL) -> Engine:
    """An engine for reading and writing. It connects when it is first used."""
    settings = {
        "statement_timeout": _STATEMENT_MILLISECONDS,
        "lock_timeout": _LOCK_MILLISECONDS,
        "idle_in_transaction_session_timeout": _STATEMENT_MILLISECONDS,
    }
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        pool_size=WRITERS + READERS,
        max_overflow=0,
        # The server may have been restarted since: an idle connection is tried before it is used.
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": _CONNECT_SECONDS,
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

    return engine
