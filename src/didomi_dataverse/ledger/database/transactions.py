"""One function, one transaction, one thread: how the ledger's statements reach the database.

The database drivers are called in threads of our own (docs/decisions/0010-sync-store-in-threads.md): a
transaction of many statements costs one hop, and a slow disk never stops the event loop.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection
from sqlalchemy import exc as sa_exc

from didomi_dataverse.errors import StoreError, StoreUnavailableError
from didomi_dataverse.ledger.database import errors
from didomi_dataverse.ledger.database.engines import Engines

_T = TypeVar("_T")
_P = ParamSpec("_P")

_MAX_TRIES = 5
"""Tries of a transaction that collides with others. A collision is over as soon as the other transaction is;
several in a row mean that something else is wrong."""


class Database:
    """Runs functions in transactions: writing ones and reading ones in threads of their own.

    On SQLite there is one writing thread, because SQLite has one writer; waiting for it in a queue is fairer
    and quicker than waiting for its file lock. Reading never waits for writing.
    """

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._writers = ThreadPoolExecutor(engines.writers, thread_name_prefix="ledger-writer")
        self._readers = ThreadPoolExecutor(engines.readers, thread_name_prefix="ledger-reader")

    @property
    def engines(self) -> Engines:
        """What the transactions run on."""
        return self._engines

    async def write(
        self, work: Callable[Concatenate[Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """What `work(connection, *args, **kwargs)` returned, committed.

        `work` may run several times, and must not change anything but the store. Raises StoreUnavailableError
        when the store could not commit; whatever `work` itself raises, nothing is committed. Cancelling the
        caller does not stop a transaction that has begun.
        """
        return await self._run(self._writers, partial(self.write_blocking, work, *args, **kwargs))

    async def read(
        self, work: Callable[Concatenate[Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """What `work(connection, *args, **kwargs)` returned.

        Raises StoreUnavailableError when the store cannot be read.
        """
        return await self._run(self._readers, partial(self._read, work, *args, **kwargs))

    async def close(self) -> None:
        """Wait for the transactions that run, then close every connection."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writers.shutdown()
        self._readers.shutdown()
        self._engines.dispose()

    async def _run(self, threads: ThreadPoolExecutor, work: Callable[[], _T]) -> _T:
        try:
            future = asyncio.get_running_loop().run_in_executor(threads, work)
        except RuntimeError as error:
            raise StoreUnavailableError("The ledger is closed.") from error
        return await future

    def write_blocking(
        self, work: Callable[Concatenate[Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """As `write`, in the thread of the caller, which waits for it."""
        tries = 0
        while True:
            tries += 1
            try:
                with self._engines.writing.begin() as connection:
                    return work(connection, *args, **kwargs)
            except sa_exc.SQLAlchemyError as error:
                if errors.is_collision(error) and tries < _MAX_TRIES:
                    continue
                raise _translate(error) from None

    def _read(
        self, work: Callable[Concatenate[Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        try:
            with self._engines.reading.connect() as connection:
                return work(connection, *args, **kwargs)
        except sa_exc.SQLAlchemyError as error:
            raise _translate(error) from None


def _translate(error: sa_exc.SQLAlchemyError) -> StoreError:
    """A failure of the store in our words; anything else is a mistake of this program.

    The database's own error may quote what was stored. So neither its text nor the error itself, as a cause
    that a traceback would print, goes any further.
    """
    cause = errors.describe(error)
    if errors.is_damaged(error):
        return StoreUnavailableError(
            f"The store's file is damaged: {cause}. Nothing was changed. Restore a backup, or "
            "save what can be read with `sqlite3 FILE .recover`."
        )
    if errors.is_unavailable(error) or errors.is_collision(error):
        return StoreUnavailableError(f"The store could not commit: {cause}. Nothing was changed.")
    return StoreError(f"The store refused a statement: {cause}. Nothing was changed.")
