"""A changed mapping, retention, the probe, and the figures that people read."""

from datetime import timedelta

import pytest
from tests.clocks import START, FrozenClock
from tests.contract.ledger.steps import (
    claim_all,
    claim_one,
    contact_of,
    find_notification,
    ingest_one,
    open_ledger,
    settle_all,
    settlement,
)
from tests.notifications import choice, interpreted

from didomi_dataverse.didomi.interpreted import Disposition, Reason
from didomi_dataverse.ledger.delivery_state import DeliveryState, Move
from didomi_dataverse.ledger.ledger import Ledger
from didomi_dataverse.ledger.maintenance import Purged

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


async def test_another_mapping_makes_what_was_settled_due(ledger: Ledger, clock: FrozenClock) -> None:
    await ledger.maintenance.remap("first", now=clock.now())
    for key in ("ada", "bob"):
        await ingest_one(ledger, key=key)
    await settle_all(ledger, clock)
    now = clock.advance(SECOND)

    assert await ledger.maintenance.remap("second", now=now) == 2

    contact = await contact_of(ledger)
    assert (contact.state, contact.due_at, contact.revision) == (DeliveryState.DUE, now, 1)


async def test_the_same_mapping_makes_nothing_due(ledger: Ledger, clock: FrozenClock) -> None:
    await ledger.maintenance.remap("first", now=clock.now())
    await ingest_one(ledger)
    await settle_all(ledger, clock)

    assert await ledger.maintenance.remap("first", now=clock.now()) == 0
    assert (await contact_of(ledger)).state is DeliveryState.SETTLED


async def test_another_mapping_may_be_accepted_where_the_last_was_not(
    ledger: Ledger, clock: FrozenClock
) -> None:
    await ingest_one(ledger)
    claim = await claim_one(ledger, clock)
    await ledger.queue.settle([settlement(claim, Move.PARKED, reason="value_refused")], now=clock.now())

    assert await ledger.maintenance.remap("second", now=clock.now()) == 1

    contact = await contact_of(ledger)
    assert (contact.state, contact.reason) == (DeliveryState.DUE, None)


async def test_a_parked_withdrawal_comes_back_as_urgent_as_it_was(ledger: Ledger, clock: FrozenClock) -> None:
    await ingest_one(ledger, choice(True), key="granted")
    await settle_all(ledger, clock)
    await ingest_one(ledger, choice(False), key="refused")
    claim = await claim_one(ledger, clock)
    await ledger.queue.settle([settlement(claim, Move.PARKED, reason="value_refused")], now=clock.now())

    await ledger.maintenance.remap("second", now=clock.now())

    assert [claim.contact.key for claim in await claim_all(ledger, clock)] == ["refused", "granted"]


async def test_another_mapping_leaves_waiting_contacts_where_they_are(
    ledger: Ledger, clock: FrozenClock
) -> None:
    await ingest_one(ledger, key="unmatched")
    claim = await claim_one(ledger, clock)
    await ledger.queue.settle([settlement(claim, Move.UNMATCHED, after=DAY)], now=clock.now())
    await ingest_one(ledger, key="due")

    assert await ledger.maintenance.remap("second", now=clock.advance(SECOND)) == 0

    assert (await contact_of(ledger, "due")).due_at == START
    unmatched = await contact_of(ledger, "unmatched")
    assert (unmatched.state, unmatched.due_at) == (DeliveryState.UNMATCHED, START + DAY)


async def test_what_is_on_its_way_by_the_old_mapping_is_due_again(ledger: Ledger, clock: FrozenClock) -> None:
    await ingest_one(ledger)
    claim = await claim_one(ledger, clock)

    await ledger.maintenance.remap("second", now=clock.now())

    assert (await contact_of(ledger)).state is DeliveryState.DELIVERING
    assert await ledger.queue.settle([settlement(claim)], now=clock.now()) == [True]
    assert (await contact_of(ledger)).state is DeliveryState.DUE


async def test_another_mapping_has_nothing_to_say_of_people_without_choices(
    ledger: Ledger, clock: FrozenClock
) -> None:
    await ledger.inbox.ingest([interpreted(disposition=Disposition.SKIPPED, reason=Reason.PENDING_APPROVAL)])

    assert await ledger.maintenance.remap("second", now=clock.now()) == 0
    assert (await contact_of(ledger)).state is DeliveryState.SETTLED


async def test_another_mapping_reaches_every_contact(ledger: Ledger, clock: FrozenClock) -> None:
    """More than one step of it."""
    await ledger.inbox.ingest([interpreted(choice(), key=f"person-{number}") for number in range(4_100)])
    while claims := await claim_all(ledger, clock, limit=1_000):
        await ledger.queue.settle([settlement(claim, attempt=None) for claim in claims], now=clock.now())

    assert await ledger.maintenance.remap("second", now=clock.now()) == 4_100
    assert (await ledger.reader.count_contacts()).by_state[DeliveryState.DUE] == 4_100


async def test_old_notifications_and_attempts_are_purged_in_steps(ledger: Ledger, clock: FrozenClock) -> None:
    for number in range(5):
        await ledger.inbox.ingest(
            [interpreted(choice(after=number * SECOND), received_at=clock.now(), key=f"person-{number}")]
        )
        await settle_all(ledger, clock)
        clock.advance(DAY)

    async def purge() -> Purged:
        return await ledger.maintenance.purge(
            # The last attempt is written at the start of time by these tests, whatever the day.
            notifications_before=START + 3 * DAY,
            attempts_before=START,
            limit=2,
        )

    assert [await purge() for _ in range(3)] == [Purged(2, 0), Purged(1, 0), Purged(0, 0)]
    purged = await ledger.maintenance.purge(
        notifications_before=START, attempts_before=START + SECOND, limit=100
    )
    assert purged == Purged(0, 5)


async def test_what_is_parked_is_never_purged(ledger: Ledger) -> None:
    parked = interpreted(key=None, disposition=Disposition.PARKED, reason=Reason.NOT_JSON)
    await ledger.inbox.ingest([parked, interpreted(choice())])

    purged = await ledger.maintenance.purge(notifications_before=START + DAY, attempts_before=START, limit=10)

    assert purged == Purged(1, 0)
    assert await find_notification(ledger, parked.digest) is not None


async def test_purging_notifications_leaves_the_contact_as_it_was(ledger: Ledger) -> None:
    await ingest_one(ledger)
    before = await contact_of(ledger)

    await ledger.maintenance.purge(notifications_before=START + DAY, attempts_before=START + DAY, limit=10)

    assert await contact_of(ledger) == before
    assert await ledger.reader.notifications_of(before.contact_id, 10) == []


async def test_the_key_of_the_identifier_hash_is_made_once(
    ledger: Ledger, url: str, clock: FrozenClock
) -> None:
    key = await ledger.maintenance.identifier_hash_key()
    other = await open_ledger(url, clock=clock)

    assert len(key) == 32
    assert await other.maintenance.identifier_hash_key() == key
    await other.close()


async def test_the_check_passes_while_the_store_commits(ledger: Ledger, clock: FrozenClock) -> None:
    await ledger.maintenance.probe()
    clock.advance(SECOND)
    await ledger.maintenance.probe()


async def test_contacts_are_counted_by_state(ledger: Ledger, clock: FrozenClock) -> None:
    for key in ("parked", "unmatched", "settled"):
        await ingest_one(ledger, key=key)
    parked, unmatched, settled = await claim_all(ledger, clock)
    await ledger.queue.settle(
        [
            settlement(parked, Move.PARKED, reason="value_refused"),
            settlement(unmatched, Move.UNMATCHED, after=DAY),
            settlement(settled),
        ],
        now=clock.now(),
    )
    await ingest_one(ledger, key="delivering")
    await claim_one(ledger, clock)
    due_at = clock.advance(SECOND)
    for key in ("due-1", "due-2"):
        await ingest_one(ledger, key=key)
        clock.advance(SECOND)
    await ingest_one(ledger, choice(after=-SECOND), key="settled")
    await ledger.inbox.ingest([interpreted(disposition=Disposition.PARKED, reason=Reason.DELETED, key=None)])

    counts = await ledger.reader.count_contacts()

    assert counts.by_state == {
        DeliveryState.SETTLED: 1,
        DeliveryState.DUE: 2,
        DeliveryState.DELIVERING: 1,
        DeliveryState.UNMATCHED: 1,
        DeliveryState.PARKED: 1,
    }
    assert counts.oldest_due_at == due_at


async def test_an_empty_ledger_counts_nothing(ledger: Ledger) -> None:
    counts = await ledger.reader.count_contacts()

    assert set(counts.by_state.values()) == {0}
    assert counts.oldest_due_at is None


@pytest.mark.parametrize("limit", [1, 2])
async def test_notifications_of_a_contact_are_read_the_latest_first(ledger: Ledger, limit: int) -> None:
    notifications = [interpreted(choice(after=number * SECOND)) for number in range(3)]
    for each in notifications:
        await ledger.inbox.ingest([each])

    logged = await ledger.reader.notifications_of((await contact_of(ledger)).contact_id, limit)

    assert [each.digest for each in logged] == [each.digest for each in notifications[::-1]][:limit]
