"""The ledger: everything we know, kept so that a crash between any two statements loses and doubles
nothing.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Self

from sqlalchemy import Connection

from didomi_dataverse.clock import Clock
from didomi_dataverse.didomi.interpreted import InterpretedNotification, Reason
from didomi_dataverse.ledger import browsing, claims, ingest, maintenance, queries, replicas
from didomi_dataverse.ledger.browsing import NotificationFilter, NotificationSummary, ParkedContact
from didomi_dataverse.ledger.database.engines import Engines, mask_password, open_engines
from didomi_dataverse.ledger.database.migrate import migrate
from didomi_dataverse.ledger.database.serving_lock import ServingLock
from didomi_dataverse.ledger.database.transactions import Database
from didomi_dataverse.ledger.delivery_state import Attempt, Claim, Contact, Settlement
from didomi_dataverse.ledger.ingest import Ingested
from didomi_dataverse.ledger.maintenance import Purged
from didomi_dataverse.ledger.queries import Counts, StoredNotification
from didomi_dataverse.ledger.replicas import Heartbeat, Heartbeats

# A transaction of this many is over before anybody who waits for the writer notices.
_CONTACTS_PER_STEP = 2_000


class Ledger:
    """Notifications, contacts and attempts in one database.

    Every method is one transaction unless it says otherwise, and raises StoreUnavailableError when that could
    not be committed: nothing has changed then, and the same call may succeed later. Safe to use by many tasks
    at once, and, on PostgreSQL, by many processes.
    """

    def __init__(self, store: Database, *, clock: Clock, serving: ServingLock | None = None) -> None:
        self._store = store
        self._clock = clock
        self._serving = serving

    @classmethod
    async def open(cls, url: str, *, clock: Clock) -> Self:
        """The ledger at a `sqlite:///…` or `postgresql://…` address, its tables created or upgraded where
        needed.

        For commands: works beside a process that serves. Raises StoreError, saying what to do, when the store
        cannot be used.
        """
        return await asyncio.to_thread(cls._open, url, clock, serving=False)

    @classmethod
    async def open_for_serving(cls, url: str, *, clock: Clock) -> Self:
        """As `open`, for the one process that may serve from a SQLite file; any number may from PostgreSQL.

        Raises StoreError when another process serves from the file. The lock ends with `close`, or with the
        process.
        """
        return await asyncio.to_thread(cls._open, url, clock, serving=True)

    @classmethod
    def _open(cls, url: str, clock: Clock, *, serving: bool) -> Self:
        engines = open_engines(url)
        lock = _serving_lock(engines) if serving else None
        store = Database(engines)
        try:
            migrate(engines, shown_url=mask_password(url))
            if lock is not None:
                # Whoever claimed before is gone: what it left under way need not wait for its leases to end.
                store.write_blocking(lambda connection: claims.release_all(connection, clock.now()))
                store.write_blocking(replicas.forget_all)
        except BaseException:
            engines.dispose()
            if lock is not None:
                lock.release()
            raise
        return cls(store, clock=clock, serving=lock)

    async def close(self) -> None:
        """Wait for the transactions that run, then let go of the store."""
        await self._store.close()
        if self._serving is not None:
            self._serving.release()

    # --- Receiving

    async def record(self, readings: Sequence[InterpretedNotification]) -> list[Ingested]:
        """Log the notifications and fold their choices into their contacts: all of them, or none.

        A reading on which the fold itself fails is logged as parked, and the others go through.
        """
        if not readings:
            return []
        now = self._clock.now()
        return await self._store.write(lambda connection: ingest.ingest(connection, readings, now))

    async def ingest_again(self, readings: Sequence[InterpretedNotification]) -> list[Ingested]:
        """Fold notifications that are logged already, as they are read today, and have their contacts
        delivered: all of them, or none. Folding is idempotent, so that doing it twice changes nothing.
        """
        if not readings:
            return []
        now = self._clock.now()
        return await self._store.write(lambda connection: ingest.ingest_again(connection, readings, now))

    # --- Delivering

    async def claim(
        self, *, now: datetime, limit: int, lease: timedelta, holder: str | None = None
    ) -> list[Claim]:
        """At most `limit` contacts that are due, withdrawals first; nobody else gets them until the lease
        ends, which it does not while its holder beats.
        """
        return await self._store.write(lambda connection: claims.claim(connection, now, limit, lease, holder))

    async def settle(self, settlements: Sequence[Settlement], *, now: datetime) -> list[bool]:
        """Store what became of claims. False: the lease was no longer ours, and nothing was changed.

        `row_id`, `attempts` and `unmatched_since` are stored as they stand in the settlement, empty ones
        included.
        """
        if not settlements:
            return []
        return await self._store.write(lambda connection: claims.settle(connection, settlements, now))

    async def release(self, held: Sequence[Claim], *, now: datetime) -> None:
        """Give claims back, due at `now`. What Dataverse holds of them counts as unknown."""
        if held:
            await self._store.write(lambda connection: claims.release(connection, held, now))

    async def release_held_by(self, holder: str, *, now: datetime) -> int:
        """Give back whatever is claimed under a name, known to be so or not, due at `now`. How many."""
        return await self._store.write(lambda connection: claims.release_all(connection, now, holder=holder))

    # --- Replicas

    @property
    def is_shared(self) -> bool:
        """May other replicas serve from the same store?"""
        return self._store.engines.path is None

    async def beat(self, replica: str, beat: Heartbeat) -> Heartbeats | None:
        """Tell the others that this replica is at work; what each of them told last.

        None when it was taken for gone meanwhile: what it held belongs to others, and it needs a new name.
        """
        return await self._store.write(lambda connection: replicas.beat(connection, replica, beat))

    async def evict(self, replica: str, last: Heartbeat, *, now: datetime) -> int | None:
        """Take a replica for gone that has not beaten since `last`: what it held is due at once. How many
        contacts that were; None when it has beaten, or somebody else was first.
        """
        return await self._store.write(lambda connection: replicas.evict(connection, replica, last, now))

    async def leave(self, replica: str, *, now: datetime) -> None:
        """The replica ends, and nothing that it held is on its way: all of it is due at once."""
        await self._store.write(lambda connection: replicas.leave(connection, replica, now))

    async def next_due_at(self) -> datetime | None:
        """When to claim next: the earliest time at which a contact is due or a lease ends; None when none
        does.
        """
        return await self._store.read(queries.next_due_at)

    # --- Upkeep

    async def remap(self, fingerprint: str, *, now: datetime) -> int:
        """Make every contact due at a low priority if the mapping is not the one last used; how many became
        due.

        In steps, each a transaction. The fingerprint is stored last, so that one that was interrupted starts
        over; what has been delivered meanwhile is then looked at twice and, being the same, not sent again.
        """
        stored = await self._store.read(
            lambda connection: maintenance.meta_value(connection, maintenance.MAPPING_FINGERPRINT)
        )
        if stored == fingerprint:
            return 0
        became_due = 0
        after: int | None = 0
        while after is not None:
            some, after = await self._remap_some(now, after)
            became_due += some
        await self._store.write(
            lambda connection: maintenance.put_meta_value(
                connection, maintenance.MAPPING_FINGERPRINT, fingerprint
            )
        )
        return became_due

    async def retarget(self, target: str, *, now: datetime) -> int:
        """Forget what was confirmed, and make every contact due, if `target` is not where was last written
        to; how many became due.

        `target` names the environment and how rows are found there. In steps, as `remap`.
        """
        stored = await self._store.read(
            lambda connection: maintenance.meta_value(connection, maintenance.TARGET)
        )
        if stored == target:
            return 0
        became_due = 0
        after: int | None = None if stored is None else 0
        while after is not None:
            some, after = await self._retarget_some(now, after)
            became_due += some
        await self._store.write(
            lambda connection: maintenance.put_meta_value(connection, maintenance.TARGET, target)
        )
        return became_due

    async def _retarget_some(self, now: datetime, after: int) -> tuple[int, int | None]:
        return await self._store.write(
            lambda connection: maintenance.retarget_some(connection, now, after, _CONTACTS_PER_STEP)
        )

    async def _remap_some(self, now: datetime, after: int) -> tuple[int, int | None]:
        return await self._store.write(
            lambda connection: maintenance.remap_some(connection, now, after, _CONTACTS_PER_STEP)
        )

    async def purge(self, *, notifications_before: datetime, attempts_before: datetime, limit: int) -> Purged:
        """Delete at most `limit` older notifications, parked ones excepted, and at most `limit` older
        attempts.

        To be called again until nothing was deleted.
        """
        return await self._store.write(
            lambda connection: maintenance.purge(connection, notifications_before, attempts_before, limit)
        )

    async def check(self) -> None:
        """Commit something. Raises StoreUnavailableError when that does not work."""
        now = self._clock.now()
        await self._store.write(lambda connection: maintenance.probe(connection, now))

    async def identifier_hash_key(self) -> bytes:
        """32 random bytes, created once per store: every replica names a person by the same hash
        (`privacy.pseudonym`).
        """
        key = await self._store.read(maintenance.hash_key)
        return await self._store.write(maintenance.create_hash_key) if key is None else key

    # --- For people and metrics

    async def contact(self, key: str) -> Contact | None:
        """The contact of this key. Raises ValueError when its stored state is not readable by this
        version.
        """
        return await self._store.read(lambda connection: queries.contact(connection, key))

    async def notification(self, digest: str) -> StoredNotification | None:
        """The notification of this digest."""
        return await self._store.read(lambda connection: queries.notification(connection, digest))

    async def notifications_of(
        self, contact_id: int, limit: int, didomi_users: Collection[str] = ()
    ) -> list[StoredNotification]:
        """What was received about a contact, the latest first; with it, what deleted one of the Didomi
        users.
        """
        return await self._store.read(
            lambda connection: queries.notifications_of(connection, contact_id, limit, didomi_users)
        )

    async def attempts_of(self, contact_id: int, limit: int) -> list[Attempt]:
        """What was tried for a contact, the latest first."""
        return await self._store.read(lambda connection: queries.attempts_of(connection, contact_id, limit))

    async def confirmations_of(self, contact_id: int, columns: Collection[str]) -> dict[str, Attempt]:
        """For each of the columns the last attempt still kept in which Dataverse confirmed it."""
        return await self._store.read(
            lambda connection: queries.confirmations_of(connection, contact_id, columns)
        )

    async def listed(self, wanted: NotificationFilter) -> list[NotificationSummary]:
        """Notifications that fit, the latest first, without their bodies."""
        return await self._store.read(lambda connection: browsing.list_notifications(connection, wanted))

    async def by_prefix(self, prefix: str) -> list[StoredNotification]:
        """At most two notifications whose digest begins with these hex digits."""
        return await self._store.read(lambda connection: browsing.by_prefix(connection, prefix))

    async def parked_after(
        self, after: int, limit: int, reason: Reason | None = None
    ) -> list[StoredNotification]:
        """The next parked notifications after the row `after`, in the order of their arrival."""
        return await self._store.read(
            lambda connection: browsing.parked_after(connection, after, limit, reason)
        )

    async def parked_contacts(self, limit: int) -> list[ParkedContact]:
        """Contacts that wait for a person."""
        return await self._store.read(lambda connection: browsing.parked_contacts(connection, limit))

    async def discard(self, digests: Collection[str]) -> int:
        """Skip parked notifications for good; how many were parked."""
        return await self._store.write(lambda connection: browsing.discard(connection, digests))

    async def contact_ids(self, keys: Collection[str], numbers: Collection[int] = ()) -> list[int]:
        """The contacts with these keys or numbers that there are."""
        return await self._store.read(lambda connection: browsing.contact_ids(connection, keys, numbers))

    async def key_of(self, number: int) -> str | None:
        """The key of the contact with this number, None when there is none."""
        return await self._store.read(lambda connection: browsing.key_of(connection, number))

    async def retry(self, contact_ids: Sequence[int], *, now: datetime) -> int:
        """Make parked and unmatched contacts due now; how many."""
        return await self._store.write(lambda connection: browsing.retry(connection, contact_ids, now))

    async def retry_parked(self, *, now: datetime) -> int:
        """Make every parked contact due now, in steps, each a transaction; how many."""
        retried, after = 0, 0
        while ids := await self._next(browsing.parked_contact_ids, after):
            retried += await self.retry(ids, now=now)
            after = ids[-1]
        return retried

    async def resync(self, contact_ids: Sequence[int], *, now: datetime) -> tuple[int, int]:
        """Have every column sent again; of how many contacts, and of how many not, because they are being
        written at this moment.
        """
        return await self._store.write(lambda connection: browsing.resync(connection, contact_ids, now))

    async def resync_all(self, *, now: datetime) -> tuple[int, int]:
        """As `resync`, for every contact, in steps, each a transaction."""
        done, held, after = 0, 0, 0
        while ids := await self._next(browsing.all_contact_ids, after):
            some = await self.resync(ids, now=now)
            done, held, after = done + some[0], held + some[1], ids[-1]
        return done, held

    async def _next(self, find: Callable[[Connection, int, int], list[int]], after: int) -> list[int]:
        return await self._store.read(lambda connection: find(connection, after, _CONTACTS_PER_STEP))

    async def counts(self) -> Counts:
        """How many contacts and notifications there are in every state. Counted: not for every request."""
        return await self._store.read(queries.counts)


def _serving_lock(engines: Engines) -> ServingLock | None:
    if engines.path is None:
        return None
    lock = ServingLock(engines.path)
    try:
        lock.acquire()
    except BaseException:
        engines.dispose()
        raise
    return lock
