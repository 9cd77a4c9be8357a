"""What several tests of the ledger do on the way to their fact."""

from datetime import timedelta

from tests.clocks import START, FrozenClock
from tests.notifications import choice, interpreted

from didomi_dataverse.clock import Clock
from didomi_dataverse.consent.model import Choice
from didomi_dataverse.ledger.delivery_state import Attempt, AttemptOutcome, Claim, Contact, Move, Settlement
from didomi_dataverse.ledger.ingest import Ingested
from didomi_dataverse.ledger.ledger import Ledger
from didomi_dataverse.ledger.read_models import StoredNotification
from didomi_dataverse.wiring.ledger import reinterpret

LEASE = timedelta(minutes=1)


async def open_ledger(url: str, *, clock: Clock) -> Ledger:
    """As a command opens it."""
    return await Ledger.open(url, clock=clock, reinterpret=reinterpret)


async def open_for_serving(url: str, *, clock: Clock) -> Ledger:
    """As the process that serves opens it."""
    return await Ledger.open_for_serving(url, clock=clock, reinterpret=reinterpret)


async def find_notification(ledger: Ledger, digest: str) -> StoredNotification | None:
    """The notification of this digest, None when it is not logged."""
    found = await ledger.reader.notifications_by_prefix(digest)
    return found[0] if found else None


async def ingest_one(ledger: Ledger, *choices: Choice, key: str = "ada") -> Ingested:
    """Ingest one new notification about one person."""
    (ingested,) = await ledger.inbox.ingest([interpreted(*(choices or (choice(),)), key=key)])
    return ingested


async def contact_of(ledger: Ledger, key: str = "ada") -> Contact:
    contact = await ledger.reader.contact(key)
    assert contact is not None
    return contact


async def claim_all(ledger: Ledger, clock: FrozenClock, *, limit: int = 100) -> list[Claim]:
    return await ledger.queue.claim(now=clock.now(), limit=limit, lease=LEASE)


async def claim_one(ledger: Ledger, clock: FrozenClock) -> Claim:
    (claim,) = await claim_all(ledger, clock)
    return claim


_OUTCOMES = {
    Move.SETTLED: AttemptOutcome.WRITTEN,
    Move.POSTPONED: AttemptOutcome.POSTPONED,
    Move.UNMATCHED: AttemptOutcome.UNMATCHED,
    Move.PARKED: AttemptOutcome.PARKED,
}


def settlement(
    claim: Claim, move: Move = Move.SETTLED, *, after: timedelta | None = None, **changes: object
) -> Settlement:
    """Of the revision that was claimed; due again `after` the start of time, where the move needs it."""
    fields: dict[str, object] = {
        "contact_id": claim.contact.contact_id,
        "lease": claim.lease,
        "revision": claim.contact.revision,
        "move": move,
        "due_at": None if after is None else START + after,
        "attempt": Attempt(attempted_at=START, outcome=_OUTCOMES.get(move, AttemptOutcome.WRITTEN)),
    }
    return Settlement(**{**fields, **changes})  # type: ignore[arg-type]  # a test passes what a settlement has


async def settle_all(ledger: Ledger, clock: FrozenClock) -> None:
    """Deliver everything that is due."""
    claims = await claim_all(ledger, clock)
    await ledger.queue.settle([settlement(claim) for claim in claims], now=clock.now())
