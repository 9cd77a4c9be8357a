"""The engines of the store that `store.url` names: one way to write, one to read."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Engine, make_url
from sqlalchemy import exc as sa_exc

from didomi_dataverse.errors import StoreError
from didomi_dataverse.ledger.database import postgresql, sqlite


@dataclass(frozen=True, slots=True)
class Engines:
    """Where to write and where to read, and how many threads may do so at once."""

    writing: Engine
    """For transactions that write. On PostgreSQL the same engine as `reading`."""

    reading: Engine
    """For transactions that only read."""

    writers: int
    """Transactions that may write at the same time: connections and threads."""

    readers: int
    """Transactions that may read at the same time: connections and threads."""

    path: Path | None
    """The database file of SQLite. None for PostgreSQL."""

    def dispose(self) -> None:
        """Close every connection that is not in use."""
        self.writing.dispose()
        self.reading.dispose()


def open_engines(url: str) -> Engines:
    """Engines for a `sqlite:///…` or `postgresql://…` address. Connects to nothing yet.

    Raises StoreError when the address is neither of them, or when it names a path that cannot be a file.
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


def mask_password(url: str) -> str:
    """The address without its password, for messages.

    >>> mask_password("postgresql://ledger:hush@db.example/consent")
    'postgresql://ledger:***@db.example/consent'
    """
    return make_url(url).render_as_string(hide_password=True)


def _sqlite_engines(url: URL) -> Engines:
    path = sqlite.check_path(url)
    return Engines(
        writing=sqlite.create_writing_engine(url, path),
        reading=sqlite.create_reading_engine(url),
        writers=1,
        readers=sqlite.READERS,
        path=path,
    )


def _postgresql_engines(url: URL) -> Engines:
    engine = postgresql.create_pooled_engine(url)
    return Engines(
        writing=engine, reading=engine, writers=postgresql.WRITERS, readers=postgresql.READERS, path=None
    )
