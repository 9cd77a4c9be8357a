"""The ledger: everything we know, stored so that a crash between any two statements loses and doubles
nothing.
"""

import asyncio
from typing import Self

from didomi_dataverse.clock import Clock
from didomi_dataverse.ledger.claims import DeliveryQueue, release_all
from didomi_dataverse.ledger.commands import LedgerCommands
from didomi_dataverse.ledger.database.engines import Engines, mask_password, open_engines
from didomi_dataverse.ledger.database.migrate import migrate
from didomi_dataverse.ledger.database.serving_lock import ServingLock
from didomi_dataverse.ledger.database.transactions import Database
from didomi_dataverse.ledger.deletions import Reinterpret
from didomi_dataverse.ledger.ingest import Inbox
from didomi_dataverse.ledger.maintenance import Maintenance
from didomi_dataverse.ledger.queries import LedgerReader
from didomi_dataverse.ledger.replicas import Replicas, forget_all


class Ledger:
    """Notifications, contacts and attempts in one database, reached through a port for each kind of user.

    Every call of a port's method is one transaction, unless the method says otherwise. The ports are safe to
    use by many tasks at once, and, on PostgreSQL, by many processes.
    """

    inbox: Inbox
    """For what receives notifications."""

    queue: DeliveryQueue
    """For what delivers contacts."""

    replicas: Replicas
    """For a process that shares the store with others."""

    maintenance: Maintenance
    """For what keeps the ledger in step and in size."""

    reader: LedgerReader
    """For what only reads."""

    commands: LedgerCommands
    """For what operators set going."""

    def __init__(
        self, database: Database, *, clock: Clock, reinterpret: Reinterpret, lock: ServingLock | None = None
    ) -> None:
        self._database = database
        self._lock = lock
        self.inbox = Inbox(database, clock=clock, reinterpret=reinterpret)
        self.queue = DeliveryQueue(database)
        self.replicas = Replicas(database)
        self.maintenance = Maintenance(database, clock=clock)
        self.reader = LedgerReader(database)
        self.commands = LedgerCommands(database)

    @classmethod
    async def open(cls, url: str, *, clock: Clock, reinterpret: Reinterpret) -> Self:
        """The ledger at a `sqlite:///…` or `postgresql://…` address, its tables created or upgraded where
        needed.

        For commands: works beside a process that serves. `reinterpret` is needed when a deletion goes back to
        choices of stored notifications. Raises StoreError, saying what to do, when the store cannot be used.
        """
        return await asyncio.to_thread(cls._open, url, clock, reinterpret, for_serving=False)

    @classmethod
    async def open_for_serving(cls, url: str, *, clock: Clock, reinterpret: Reinterpret) -> Self:
        """As `open`, for the one process that may serve from a SQLite file; any number may from PostgreSQL.

        Raises StoreError when another process serves from the file. The lock ends with `close`, or with the
        process.
        """
        return await asyncio.to_thread(cls._open, url, clock, reinterpret, for_serving=True)

    @classmethod
    def _open(cls, url: str, clock: Clock, reinterpret: Reinterpret, *, for_serving: bool) -> Self:
        engines = open_engines(url)
        lock = _acquire_lock(engines) if for_serving else None
        database = Database(engines)
        try:
            migrate(engines, shown_url=mask_password(url))
            if lock is not None:
                # The process that claimed before has ended: what it was delivering need not wait for its
                # leases to end.
                database.write_blocking(release_all, clock.now())
                database.write_blocking(forget_all)
        # Of every kind: a start that Ctrl-C ends must not keep the next one out.
        except BaseException:
            engines.dispose()
            if lock is not None:
                lock.release()
            raise
        return cls(database, clock=clock, reinterpret=reinterpret, lock=lock)

    @property
    def is_shared(self) -> bool:
        """Whether other replicas may serve from the same store."""
        return self._database.engines.path is None

    async def close(self) -> None:
        """Wait for the transactions that run, then release the store."""
        await self._database.close()
        if self._lock is not None:
            self._lock.release()


def _acquire_lock(engines: Engines) -> ServingLock | None:
    if engines.path is None:
        return None
    lock = ServingLock(engines.path)
    try:
        lock.acquire()
    # As above.
    except BaseException:
        engines.dispose()
        raise
    return lock
