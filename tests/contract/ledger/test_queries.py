"""What operators do to the ledger, on both databases."""

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection
from tests.clocks import START, FrozenClock
from tests.contract.ledger.steps import (
    LEASE,
    claim_one,
    contact_of,
    find_notification,
    ingest_one,
    open_for_serving,
    open_ledger,
    settle_all,
    settlement,
)
from tests.notifications import choice, interpreted, new_digest

from didomi_dataverse.didomi.interpreted import Disposition, Identity, Reason
from didomi_dataverse.ledger.delivery_state import Attempt, AttemptOutcome, DeliveryState, Move
from didomi_dataverse.ledger.ledger import Ledger
from didomi_dataverse.ledger.read_models import NotificationFilter

SECOND = timedelta(seconds=1)


async def test_ingesting_again_updates_the_row_and_delivers(ledger: Ledger, clock: FrozenClock) -> None:
    parked = interpreted(key=None, disposition=Disposition.PARKED, reason=Reason.MALFORMED, warnings=("x",))
    await ledger.inbox.ingest([parked])
    today = interpreted(choice(), digest=parked.digest)

    (ingested,) = await ledger.inbox.ingest_again([today])

    assert (ingested.disposition, ingested.duplicate) == (Disposition.APPLIED, False)
    logged = await find_notification(ledger, parked.digest)
    assert logged is not None
    assert (logged.disposition, logged.reason, logged.notes) == (Disposition.APPLIED, None, ())
    assert (logged.contact_id, logged.times_received) == (ingested.contact_id, 1)
    assert (await contact_of(ledger)).state is DeliveryState.DUE

    await settle_all(ledger, clock)
    (again,) = await ledger.inbox.ingest_again([today])
    assert again.disposition is Disposition.UNCHANGED
    assert (await contact_of(ledger)).state is DeliveryState.DUE
    logged = await find_notification(ledger, parked.digest)
    assert logged is not None
    assert logged.disposition is Disposition.APPLIED


async def test_a_contact_delivered_while_it_is_replayed_stays_due(ledger: Ledger, clock: FrozenClock) -> None:
    received = interpreted(choice())
    await ledger.inbox.ingest([received])
    claim = await claim_one(ledger, clock)
    await ledger.inbox.ingest_again([received])
    assert await ledger.queue.settle([settlement(claim)], now=clock.now()) == [True]
    assert (await contact_of(ledger)).state is DeliveryState.DUE


async def test_the_latest_comes_first_and_only_what_fits(ledger: Ledger) -> None:
    first = interpreted(choice(), key="ada", received_at=START)
    second = interpreted(key=None, disposition=Disposition.PARKED, reason=Reason.MALFORMED)
    third = interpreted(choice(), key="bob", received_at=START + SECOND)
    for one in (first, second, third):
        await ledger.inbox.ingest([one])

    async def found(wanted: NotificationFilter) -> list[str]:
        return [listed.digest for listed in await ledger.reader.list_notifications(wanted)]

    assert await found(NotificationFilter(limit=9)) == [third.digest, second.digest, first.digest]
    assert await found(NotificationFilter(limit=1)) == [third.digest]
    assert await found(NotificationFilter(limit=9, key="ada")) == [first.digest]
    assert await found(NotificationFilter(limit=9, disposition=Disposition.PARKED)) == [second.digest]
    assert await found(NotificationFilter(limit=9, reason=Reason.MALFORMED)) == [second.digest]
    assert await found(NotificationFilter(limit=9, type="user.created")) == []
    assert await found(NotificationFilter(limit=9, since=START + SECOND)) == [third.digest]
    assert [
        one.identifier for one in await ledger.reader.list_notifications(NotificationFilter(limit=9))
    ] == [
        "Bob",
        None,
        "Ada",
    ]


async def test_a_notification_is_found_by_the_beginning_of_its_digest(ledger: Ledger) -> None:
    one, two = interpreted(digest="ab" * 32), interpreted(digest="ac" + "ab" * 31)
    await ledger.inbox.ingest([one, two])
    assert [found.digest for found in await ledger.reader.notifications_by_prefix("ab")] == [one.digest]
    assert [found.digest for found in await ledger.reader.notifications_by_prefix(two.digest)] == [two.digest]
    assert len(await ledger.reader.notifications_by_prefix("a")) == 2
    assert await ledger.reader.notifications_by_prefix("b") == []


async def test_parked_notifications_come_in_the_order_of_their_arrival(ledger: Ledger) -> None:
    parked = [
        interpreted(key=None, disposition=Disposition.PARKED, reason=reason)
        for reason in (Reason.MALFORMED, Reason.DELETED, Reason.MALFORMED)
    ]
    for one in parked:
        await ledger.inbox.ingest([one])
    (first,) = await ledger.reader.parked_notifications(0, 1)
    rest = await ledger.reader.parked_notifications(first.notification_id, 9)
    assert [one.digest for one in (first, *rest)] == [one.digest for one in parked]
    malformed = await ledger.reader.parked_notifications(0, 9, Reason.MALFORMED)
    assert [one.digest for one in malformed] == [parked[0].digest, parked[2].digest]
    assert await ledger.commands.discard([parked[0].digest, "unknown"]) == 1
    assert len(await ledger.reader.parked_notifications(0, 9)) == 2


async def test_only_waiting_contacts_are_retried(ledger: Ledger, clock: FrozenClock) -> None:
    ingested = await ingest_one(ledger)
    assert ingested.contact_id is not None
    assert await ledger.commands.retry([ingested.contact_id], now=START) == 0
    claim = await claim_one(ledger, clock)
    assert await ledger.commands.retry([ingested.contact_id], now=START) == 0
    parked = settlement(claim, Move.PARKED, reason="unmatched", attempts=3, unmatched_since=START)
    await ledger.queue.settle([parked], now=START)
    assert [one.reason for one in await ledger.reader.parked_contacts(9)] == ["unmatched"]

    assert await ledger.commands.retry_parked(now=START + SECOND) == 1

    contact = await contact_of(ledger)
    assert (contact.state, contact.due_at, contact.reason) == (DeliveryState.DUE, START + SECOND, None)
    assert (contact.attempts, contact.unmatched_since) == (0, None)


async def test_a_resync_forgets_what_was_confirmed(ledger: Ledger, clock: FrozenClock) -> None:
    await ingest_one(ledger, key="ada")
    await ingest_one(ledger, key="bob")
    await ledger.inbox.ingest([interpreted(key="carol")])
    await settle_all(ledger, clock)
    (ada,) = await ledger.reader.contact_ids(["ada"])
    assert await ledger.commands.resync([ada], now=START) == (1, 0)
    (claim,) = await ledger.queue.claim(now=START, limit=9, lease=LEASE)
    assert (claim.contact.key, claim.contact.written) == ("ada", {})
    # Of carol nothing is known that could be sent.
    assert await ledger.commands.resync_all(now=START) == (1, 1)


async def test_a_column_has_the_last_attempt_that_confirmed_it(ledger: Ledger, clock: FrozenClock) -> None:
    """More attempts than one statement reads; of a rejected row only what it took counts."""
    evidence: list[tuple[AttemptOutcome, dict[str, dict[str, object]]]] = [
        (AttemptOutcome.WRITTEN, {"a": {}, "b": {}}),
        (AttemptOutcome.PARKED, {"b": {"confirmed": True}, "c": {}}),
        (AttemptOutcome.RETRIED, {"a": {}, "c": {}}),
    ]
    evidence[2:2] = [(AttemptOutcome.WRITTEN, {"a": {}})] * 101
    for number, (outcome, columns) in enumerate(evidence):
        await ingest_one(ledger, choice(after=SECOND * number))
        attempt = Attempt(attempted_at=START + SECOND * number, outcome=outcome, columns=columns)
        await ledger.queue.settle(
            [settlement(await claim_one(ledger, clock), attempt=attempt)], now=clock.now()
        )
    contact_id = (await contact_of(ledger)).contact_id
    found = await ledger.reader.confirmations_of(contact_id, {"a", "b", "c"})
    assert {name: attempt.attempted_at for name, attempt in found.items()} == {
        "a": START + SECOND * 102,
        "b": START + SECOND,
    }
    assert await ledger.reader.confirmations_of(contact_id, set()) == {}


async def test_what_deleted_a_shared_user_is_among_each_ones_notifications(ledger: Ledger) -> None:
    await ingest_one(ledger, key="bob")
    deleted = replace(interpreted(), type="user.deleted", didomi_user="device-1")
    await ledger.inbox.ingest([deleted])
    await ingest_one(ledger)
    number = (await contact_of(ledger)).contact_id

    async def found(*didomi_users: str, limit: int = 9) -> list[str]:
        logged = await ledger.reader.notifications_of(number, limit, didomi_users)
        return [one.type for one in logged]

    await ledger.inbox.ingest(
        [replace(deleted, digest=new_digest(), identity=Identity(key="bob", identifier="Bob"))]
    )
    assert await found() == ["event.created", "user.deleted"]
    assert await found("device-1") == ["user.deleted", "event.created", "user.deleted"]
    assert await found("device-1", limit=1) == ["user.deleted"]
    assert await found("device-2", "") == ["event.created", "user.deleted"]


async def test_a_contact_is_found_by_its_number(ledger: Ledger) -> None:
    await ingest_one(ledger)
    number = (await contact_of(ledger)).contact_id
    assert await ledger.reader.key_of(number) == "ada"
    assert await ledger.reader.key_of(number + 1) is None


async def test_a_parked_contact_tells_when_it_was_parked(ledger: Ledger, clock: FrozenClock) -> None:
    await ingest_one(ledger)
    attempt = Attempt(attempted_at=START + SECOND, outcome=AttemptOutcome.PARKED)
    parked = settlement(await claim_one(ledger, clock), Move.PARKED, reason="rejected", attempt=attempt)
    await ledger.queue.settle([parked], now=clock.now())
    (found,) = await ledger.reader.parked_contacts(9)
    assert (found.changed_at, found.parked_at) == (START, START + SECOND)
    tomorrow = START + timedelta(days=1)
    await ledger.maintenance.purge(notifications_before=START, attempts_before=tomorrow, limit=9)
    (found,) = await ledger.reader.parked_contacts(9)
    assert found.parked_at is None


async def test_a_command_waits_while_the_service_writes(sqlite_url: str, clock: FrozenClock) -> None:
    """Two processes on one SQLite file: the writer that comes second is kept waiting, and not refused."""
    serving = await open_for_serving(sqlite_url, clock=clock)
    command = await open_ledger(sqlite_url, clock=clock)
    received = interpreted(choice())
    await serving.inbox.ingest([received])
    has_begun, may_end = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        has_begun.set()
        may_end.wait(10)

    holding = asyncio.create_task(serving._database.write(hold))
    await asyncio.to_thread(has_begun.wait, 10)
    replaying = asyncio.create_task(command.inbox.ingest_again([received]))
    asyncio.get_running_loop().call_soon(may_end.set)

    (ingested,) = await replaying
    await holding
    assert ingested.disposition is Disposition.UNCHANGED
    await command.close()
    await serving.close()
