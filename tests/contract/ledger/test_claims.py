"""Handing out contacts that are due, and taking them back."""

import asyncio
from datetime import datetime, timedelta

import pytest
from tests.clocks import START, FrozenClock
from tests.contract.ledger.steps import (
    LEASE,
    claim_all,
    claim_one,
    contact_of,
    ingest_one,
    settle_all,
    settlement,
)
from tests.notifications import choice, interpreted

from didomi_dataverse.ledger.delivery_state import Attempt, AttemptOutcome, DeliveryState, Move, Written
from didomi_dataverse.ledger.heartbeat import Heartbeat
from didomi_dataverse.ledger.ledger import Ledger

SECOND = timedelta(seconds=1)
WRITTEN = {
    "new_newsletter": Written(value=True, stated_at=START),
    "new_count": Written(value=3, stated_at=None),
}


async def test_a_due_contact_is_claimed_once(ledger: Ledger, clock: FrozenClock) -> None:
    await ingest_one(ledger)

    claim = await claim_one(ledger, clock)

    assert claim.contact == await contact_of(ledger)
    assert (claim.contact.state, claim.contact.due_at) == (DeliveryState.DELIVERING, START + LEASE)
    assert await claim_all(ledger, clock) == []


async def test_no_more_are_claimed_than_asked_for(ledger: Ledger, clock: FrozenClock) -> None:
    for key in ("ada", "bob", "cleo"):
        await ingest_one(ledger, key=key)

    assert len(await claim_all(ledger, clock, limit=2)) == 2
    assert len(await claim_all(ledger, clock, limit=2)) == 1


async def test_the_contact_that_waits_longest_is_claimed_first(ledger: Ledger, clock: FrozenClock) -> None:
    for key in ("zoe", "ada", "mia"):
        await ingest_one(ledger, key=key)
        clock.advance(SECOND)

    assert [claim.contact.key for claim in await claim_all(ledger, clock)] == ["zoe", "ada", "mia"]


async def test_a_contact_is_not_claimed_before_its_time(ledger: Ledger, clock: FrozenClock) -> None:
    await ingest_one(ledger)
    claim = await claim_one(ledger, clock)
    await ledger.queue.settle([settlement(claim, Move.POSTPONED, after=SECOND)], now=clock.now())

    assert await claim_all(ledger, clock) == []
    clock.advance(SECOND)
    assert len(await claim_all(ledger, clock)) == 1


async def test_a_lease_that_ended_is_taken_over(ledger: Ledger, clock: FrozenClock) -> None:
    await ingest_one(ledger)
    first = await claim_one(ledger, clock)
    clock.advance(LEASE)

    second = await claim_one(ledger, clock)

    assert second.contact.contact_id == first.contact.contact_id
    assert second.lease != first.lease


async def test_withdrawals_are_claimed_before_everything_else(ledger: Ledger, clock: FrozenClock) -> None:
    await ingest_one(ledger, choice(True), key="remapped")
    await settle_all(ledger, clock)
    await ledger.maintenance.remap("another mapping", now=clock.now())
    clock.advance(SECOND)
    await ingest_one(ledger, choice(True), key="grants")
    clock.advance(SECOND)
    await ingest_one(ledger, choice(False), key="refuses")

    assert [claim.contact.key for claim in await claim_all(ledger, clock)] == [
        "refuses",
        "grants",
        "remapped",
    ]


async def test_a_withdrawal_stays_urgent_until_it_is_written(ledger: Ledger, clock: FrozenClock) -> None:
    await ingest_one(ledger, choice(False), key="refuses")
    claim = await claim_one(ledger, clock)
    await ingest_one(ledger, choice(True), key="grants")
    clock.advance(SECOND)
    await ledger.queue.settle([settlement(claim, Move.POSTPONED, after=SECOND)], now=clock.now())
    await ingest_one(ledger, choice(False, after=SECOND), key="refuses")

    assert [claim.contact.key for claim in await claim_all(ledger, clock, limit=1)] == ["refuses"]


async def test_after_a_withdrawal_was_written_its_contact_is_like_any_other(
    ledger: Ledger, clock: FrozenClock
) -> None:
    await ingest_one(ledger, choice(False), key="refused")
    await settle_all(ledger, clock)
    await ingest_one(ledger, choice(True), key="grants")
    clock.advance(SECOND)
    await ingest_one(ledger, choice(True, after=SECOND), key="refused")

    assert [claim.contact.key for claim in await claim_all(ledger, clock)] == ["grants", "refused"]


async def test_a_contact_whose_stored_state_is_damaged_is_parked_and_stops_no_other(
    ledger: Ledger, clock: FrozenClock
) -> None:
    await ingest_one(ledger, key="damaged")
    await ingest_one(ledger, key="sound")
    await ledger._database.write(
        lambda connection: connection.exec_driver_sql(
            "UPDATE contacts SET written = 'damaged' WHERE key = 'damaged'"
        )
    )

    assert [claim.contact.key for claim in await claim_all(ledger, clock)] == ["sound"]

    parked = await ledger.reader.parked_contacts(9)
    assert [one.reason for one in parked] == ["unreadable_state"]


async def test_what_was_written_is_kept_with_its_attempt(ledger: Ledger, clock: FrozenClock) -> None:
    await ingest_one(ledger)
    claim = await claim_one(ledger, clock)
    settled = settlement(claim, written=WRITTEN, row_id="row-1")

    assert await ledger.queue.settle([settled], now=clock.now()) == [True]

    contact = await contact_of(ledger)
    assert (contact.state, contact.due_at, contact.row_id) == (DeliveryState.SETTLED, None, "row-1")
    assert contact.written == WRITTEN
    assert await ledger.reader.attempts_of(contact.contact_id, 10) == [settled.attempt]


async def test_nothing_settled_is_nothing_done(ledger: Ledger, clock: FrozenClock) -> None:
    assert await ledger.queue.settle([], now=clock.now()) == []
    await ledger.queue.release([], now=clock.now())


async def test_a_settlement_without_a_confirmation_keeps_the_last_one(
    ledger: Ledger, clock: FrozenClock
) -> None:
    await ingest_one(ledger)
    await ledger.queue.settle([settlement(await claim_one(ledger, clock), written=WRITTEN)], now=clock.now())
    await ingest_one(ledger, choice(False, after=SECOND))

    await ledger.queue.settle(
        [settlement(await claim_one(ledger, clock), Move.POSTPONED, after=SECOND)], now=clock.now()
    )

    assert (await contact_of(ledger)).written == WRITTEN


async def test_an_empty_confirmation_replaces_the_last_one(ledger: Ledger, clock: FrozenClock) -> None:
    await ingest_one(ledger)
    await ledger.queue.settle([settlement(await claim_one(ledger, clock), written=WRITTEN)], now=clock.now())
    await ingest_one(ledger, choice(False, after=SECOND))

    await ledger.queue.settle([settlement(await claim_one(ledger, clock), written={})], now=clock.now())

    assert (await contact_of(ledger)).written == {}


@pytest.mark.parametrize(
    ("move", "state", "due_at"),
    [
        pytest.param(Move.SETTLED, DeliveryState.SETTLED, None, id="settled"),
        pytest.param(Move.POSTPONED, DeliveryState.DUE, START + SECOND, id="postponed"),
        pytest.param(Move.UNMATCHED, DeliveryState.UNMATCHED, START + SECOND, id="unmatched"),
        pytest.param(Move.PARKED, DeliveryState.PARKED, None, id="parked"),
    ],
)
async def test_every_move_leads_to_its_state(
    ledger: Ledger,
    clock: FrozenClock,
    move: Move,
    state: DeliveryState,
    due_at: datetime | None,
) -> None:
    await ingest_one(ledger)
    claim = await claim_one(ledger, clock)

    await ledger.queue.settle(
        [settlement(claim, move, after=SECOND, reason="a reason", attempts=2, unmatched_since=START)],
        now=clock.now(),
    )

    contact = await contact_of(ledger)
    assert (contact.state, contact.due_at, contact.reason) == (state, due_at, "a reason")
    assert (contact.attempts, contact.unmatched_since) == (2, START)


@pytest.mark.parametrize("move", [Move.POSTPONED, Move.UNMATCHED])
async def test_a_move_that_waits_must_say_until_when(ledger: Ledger, clock: FrozenClock, move: Move) -> None:
    await ingest_one(ledger)
    claim = await claim_one(ledger, clock)

    with pytest.raises(ValueError, match="due again"):
        await ledger.queue.settle([settlement(claim, move)], now=clock.now())

    assert (await contact_of(ledger)).state is DeliveryState.DELIVERING


@pytest.mark.parametrize("move", [Move.CHANGED, Move.CLAIMED])
async def test_a_worker_cannot_settle_by_a_move_of_others(
    ledger: Ledger, clock: FrozenClock, move: Move
) -> None:
    await ingest_one(ledger)
    claim = await claim_one(ledger, clock)

    with pytest.raises(ValueError, match=move.value):
        await ledger.queue.settle([settlement(claim, move, after=SECOND)], now=clock.now())

    assert (await contact_of(ledger)).state is DeliveryState.DELIVERING


@pytest.mark.parametrize("move", [Move.SETTLED, Move.POSTPONED, Move.UNMATCHED, Move.PARKED])
async def test_a_contact_that_changed_meanwhile_is_due_again_whatever_became_of_it(
    ledger: Ledger, clock: FrozenClock, move: Move
) -> None:
    await ingest_one(ledger)
    claim = await claim_one(ledger, clock)
    await ingest_one(ledger, choice(False, after=SECOND))
    now = clock.advance(SECOND)
    settled = settlement(
        claim, move, after=timedelta(days=1), written=WRITTEN, row_id="row-1", reason="any", attempts=1
    )

    assert await ledger.queue.settle([settled], now=now) == [True]

    contact = await contact_of(ledger)
    assert (contact.state, contact.due_at, contact.reason) == (DeliveryState.DUE, now, None)
    assert (contact.written, contact.row_id, contact.attempts) == (WRITTEN, "row-1", 1)
    assert await ledger.reader.attempts_of(contact.contact_id, 10) == [settled.attempt]
    assert (await claim_one(ledger, clock)).contact.revision == 2


async def test_a_worker_that_lost_the_lease_settles_nothing(ledger: Ledger, clock: FrozenClock) -> None:
    """A worker that stalled, and came back after another had taken over."""
    await ingest_one(ledger)
    stalled = await claim_one(ledger, clock)
    clock.advance(LEASE)
    current = await claim_one(ledger, clock)
    before = await contact_of(ledger)

    assert await ledger.queue.settle([settlement(stalled, written=WRITTEN)], now=clock.now()) == [False]

    assert await contact_of(ledger) == before
    assert await ledger.reader.attempts_of(before.contact_id, 10) == []
    assert await ledger.queue.settle([settlement(current)], now=clock.now()) == [True]


async def test_a_claim_is_settled_once(ledger: Ledger, clock: FrozenClock) -> None:
    await ingest_one(ledger)
    settled = settlement(await claim_one(ledger, clock))

    assert await ledger.queue.settle([settled, settled], now=clock.now()) == [True, False]
    assert await ledger.queue.settle([settled], now=clock.now()) == [False]
    assert len(await ledger.reader.attempts_of(settled.contact_id, 10)) == 1


async def test_a_lease_that_ended_unnoticed_is_still_good(ledger: Ledger, clock: FrozenClock) -> None:
    await ingest_one(ledger)
    claim = await claim_one(ledger, clock)
    clock.advance(2 * LEASE)

    assert await ledger.queue.settle([settlement(claim)], now=clock.now()) == [True]


async def test_settlements_of_many_contacts_are_told_apart(ledger: Ledger, clock: FrozenClock) -> None:
    await ledger.inbox.ingest([interpreted(choice(), key=f"person-{number}") for number in range(700)])
    claims = await claim_all(ledger, clock, limit=700)
    stale = settlement(claims[3], lease="another worker's")

    answers = await ledger.queue.settle(
        [stale if claim is claims[3] else settlement(claim) for claim in claims], now=clock.now()
    )

    assert [number for number, answer in enumerate(answers) if not answer] == [3]
    counts = await ledger.reader.count_contacts()
    assert counts.by_state[DeliveryState.SETTLED] == 699


async def test_a_claim_given_back_is_due_at_once(ledger: Ledger, clock: FrozenClock) -> None:
    await ingest_one(ledger)
    claim = await claim_one(ledger, clock)
    now = clock.advance(SECOND)

    await ledger.queue.release([claim], now=now)

    contact = await contact_of(ledger)
    assert (contact.state, contact.due_at) == (DeliveryState.DUE, now)
    assert await ledger.queue.settle([settlement(claim)], now=now) == [False]
    await claim_one(ledger, clock)


@pytest.mark.parametrize("how", ["release", "evict", "leave"])
async def test_what_was_not_settled_leaves_nothing_taken_for_known(
    ledger: Ledger, clock: FrozenClock, how: str
) -> None:
    """Its holder may have written something, whether it releases it or is gone."""
    now = clock.now()
    await ledger.replicas.heartbeat("0123456789abcdef", Heartbeat(1, LEASE))
    await ingest_one(ledger)
    await ledger.queue.settle([settlement(await claim_one(ledger, clock), written=WRITTEN)], now=now)
    await ingest_one(ledger, choice(False, after=SECOND))
    held = await ledger.queue.claim(now=now, limit=1, lease=LEASE, holder="0123456789abcdef")

    match how:
        case "release":
            await ledger.queue.release(held, now=now)
        case "evict":
            assert await ledger.replicas.evict("0123456789abcdef", Heartbeat(1, LEASE), now=now) == 1
        case _:
            await ledger.replicas.leave("0123456789abcdef", now=now)

    contact = await contact_of(ledger)
    assert (contact.state, contact.written) == (DeliveryState.DUE, {})


async def test_a_claim_that_somebody_else_holds_by_now_is_not_given_back(
    ledger: Ledger, clock: FrozenClock
) -> None:
    await ingest_one(ledger)
    stalled = await claim_one(ledger, clock)
    clock.advance(LEASE)
    await claim_one(ledger, clock)

    await ledger.queue.release([stalled], now=clock.now())

    assert (await contact_of(ledger)).state is DeliveryState.DELIVERING


async def test_concurrent_claims_are_disjoint(ledger: Ledger, clock: FrozenClock) -> None:
    await ledger.inbox.ingest([interpreted(choice(), key=f"person-{number}") for number in range(90)])

    claimed = await asyncio.gather(*(claim_all(ledger, clock, limit=10) for _ in range(12)))

    keys = [claim.contact.key for claims in claimed for claim in claims]
    assert len(keys) == len(set(keys)) == 90


async def test_the_next_time_is_the_earliest_of_all(ledger: Ledger, clock: FrozenClock) -> None:
    assert await ledger.queue.next_due_at() is None

    await ingest_one(ledger, choice(), key="postponed")
    claim = await claim_one(ledger, clock)
    await ledger.queue.settle([settlement(claim, Move.POSTPONED, after=timedelta(days=1))], now=clock.now())
    assert await ledger.queue.next_due_at() == START + timedelta(days=1)

    await ingest_one(ledger, choice(False), key="claimed")
    await claim_one(ledger, clock)
    assert await ledger.queue.next_due_at() == START + LEASE

    await ingest_one(ledger, choice(), key="due")
    assert await ledger.queue.next_due_at() == START


async def test_attempts_are_read_the_latest_first(ledger: Ledger, clock: FrozenClock) -> None:
    await ingest_one(ledger)
    for number in range(3):
        attempt = Attempt(
            attempted_at=clock.advance(SECOND),
            outcome=AttemptOutcome.POSTPONED,
            status=429,
            code="0x80072322",
            message="Too many requests.",
            request_id=f"request-{number}",
            columns={"new_newsletter": {"value": True, "rule": "gdpr.newsletter"}},
        )
        claim = await claim_one(ledger, clock)
        await ledger.queue.settle(
            [settlement(claim, Move.POSTPONED, after=SECOND, attempt=attempt)], now=clock.now()
        )

    latest, before = await ledger.reader.attempts_of(claim.contact.contact_id, 2)
    assert latest == attempt
    assert before.request_id == "request-1"
