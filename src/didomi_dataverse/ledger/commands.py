"""What operators do to contacts and notifications that wait. Short transactions, off the hot path."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, and_, func, select, update

from didomi_dataverse.didomi.interpreted import Disposition
from didomi_dataverse.ledger.codec import EMPTY_WRITTEN
from didomi_dataverse.ledger.contact_rows import CONTACTS_PER_STEP, next_contact_ids
from didomi_dataverse.ledger.database.transactions import Database
from didomi_dataverse.ledger.delivery_state import DeliveryState, Move, next_state
from didomi_dataverse.ledger.tables import contacts, notifications


class ResyncResult(NamedTuple):
    """How many contacts a resync made due, and how many it left because they are being written."""

    made_due: int
    being_written: int


class LedgerCommands:
    """Sets going again what waits, or gives it up.

    Every method is one transaction, unless it says otherwise. It raises StoreUnavailableError when the store
    could not commit; then nothing has changed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def retry(self, contact_ids: Sequence[int], *, now: datetime) -> int:
        """Make contacts due now that are parked or have no row. Returns how many.

        Where the time had ended for which a missing row is looked for, it begins anew.
        """
        return await self._database.write(_retry, contact_ids, now)

    async def retry_parked(self, *, now: datetime) -> int:
        """Make every parked contact due now, in steps, each a transaction. Returns how many."""
        retried, after = 0, 0
        while ids := await self._next_ids(after, state=DeliveryState.PARKED):
            retried += await self.retry(ids, now=now)
            after = ids[-1]
        return retried

    async def resync(self, contact_ids: Sequence[int], *, now: datetime) -> ResyncResult:
        """Forget what Dataverse confirmed, so that every column of these contacts is sent again.

        Contacts that are being written at this moment are left as they are.
        """
        return await self._database.write(_resync, contact_ids, now)

    async def resync_all(self, *, now: datetime) -> ResyncResult:
        """As `resync`, for every contact, in steps, each a transaction."""
        made_due, being_written, after = 0, 0, 0
        while ids := await self._next_ids(after):
            step = await self.resync(ids, now=now)
            made_due += step.made_due
            being_written += step.being_written
            after = ids[-1]
        return ResyncResult(made_due, being_written)

    async def discard(self, digests: Collection[str]) -> int:
        """Skip parked notifications for good. Returns how many of them were parked.

        They keep the reason for which they were parked. Retention then deletes them like all others.
        """
        return await self._database.write(_discard, digests)

    async def _next_ids(self, after: int, *, state: DeliveryState | None = None) -> Sequence[int]:
        return await self._database.read(next_contact_ids, after, CONTACTS_PER_STEP, state=state)


def _retry(connection: Connection, contact_ids: Sequence[int], now: datetime) -> int:
    columns = contacts.c
    waiting = (DeliveryState.PARKED, DeliveryState.UNMATCHED)
    return connection.execute(
        update(contacts)
        .where(columns.id.in_(contact_ids), columns.state.in_([state.value for state in waiting]))
        .values(
            state=next_state(DeliveryState.PARKED, Move.CHANGED).value,
            due_at=now,
            reason=None,
            attempts=0,
            unmatched_since=None,
        )
    ).rowcount


def _resync(connection: Connection, contact_ids: Sequence[int], now: datetime) -> ResyncResult:
    columns = contacts.c
    chosen = and_(columns.id.in_(contact_ids), columns.revision > 0)
    is_being_written = columns.state == DeliveryState.DELIVERING.value
    being_written = connection.execute(
        select(func.count()).select_from(contacts).where(chosen, is_being_written)
    ).scalar_one()
    made_due = connection.execute(
        update(contacts)
        .where(chosen, ~is_being_written)
        .values(
            state=next_state(DeliveryState.SETTLED, Move.CHANGED).value,
            due_at=now,
            reason=None,
            written=EMPTY_WRITTEN,
            revision=columns.revision + 1,
        )
    ).rowcount
    return ResyncResult(made_due, being_written)


def _discard(connection: Connection, digests: Collection[str]) -> int:
    columns = notifications.c
    return connection.execute(
        update(notifications)
        .where(columns.digest.in_(sorted(digests)), columns.disposition == Disposition.PARKED.value)
        .values(disposition=Disposition.SKIPPED.value)
    ).rowcount
