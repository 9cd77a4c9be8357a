"""Logging notifications and folding their choices."""

import asyncio
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.clocks import START, FrozenClock
from tests.contract.ledger.steps import (
    LEASE,
    claim_all,
    claim_one,
    contact_of,
    find_notification,
    ingest_one,
    settle_all,
    settlement,
)
from tests.notifications import PROFILING, choice, interpreted, new_digest, rival_choice

from didomi_dataverse.consent.model import Choice, ChoiceKind
from didomi_dataverse.didomi.interpreted import Disposition, InterpretedNotification, Reason
from didomi_dataverse.ledger.delivery_state import DeliveryState, Move
from didomi_dataverse.ledger.ledger import Ledger

SECOND = timedelta(seconds=1)


async def test_a_choice_of_a_new_person_makes_a_contact_that_is_due(ledger: Ledger) -> None:
    ingested = await ingest_one(ledger, choice())

    contact = await contact_of(ledger)
    assert (ingested.disposition, ingested.reason, ingested.duplicate) == (Disposition.APPLIED, None, False)
    assert contact.contact_id == ingested.contact_id
    assert (contact.key, contact.identifier) == ("ada", "Ada")
    assert (contact.state, contact.due_at, contact.revision) == (DeliveryState.DUE, START, 1)
    assert [register.statement for register in contact.registers.values()] == [choice()]


async def test_nothing_is_ingested_of_nothing(ledger: Ledger) -> None:
    assert await ledger.inbox.ingest([]) == []


async def test_an_unknown_person_has_no_contact(ledger: Ledger) -> None:
    assert await ledger.reader.contact("unknown") is None


async def test_a_notification_is_logged_as_it_was_read(ledger: Ledger) -> None:
    received = interpreted(choice(), body=b'{"raw": "\xc3\xa9"}', warnings=("unreadable time at $.a",))

    (ingested,) = await ledger.inbox.ingest([received])

    logged = await find_notification(ledger, received.digest)
    assert logged is not None
    assert (logged.digest, logged.body, logged.notes) == (received.digest, received.body, received.warnings)
    assert (logged.type, logged.regulation, logged.organization_id) == ("event.created", "gdpr", "acme")
    assert (logged.didomi_user, logged.source_id, logged.caller) == ("device-1", "event-1", "oauth")
    assert (logged.received_at, logged.last_received_at, logged.times_received) == (START, START, 1)
    assert (logged.effective_at, logged.contact_id) == (START, ingested.contact_id)
    assert (logged.disposition, logged.reason) == (Disposition.APPLIED, None)


async def test_a_body_never_shows_in_a_repr(ledger: Ledger) -> None:
    received = interpreted(choice(), body=b'"private"')
    await ledger.inbox.ingest([received])

    assert "private" not in repr(await find_notification(ledger, received.digest))


async def test_a_duplicate_is_counted_and_changes_nothing_else(ledger: Ledger, clock: FrozenClock) -> None:
    received = interpreted(choice())
    (first,) = await ledger.inbox.ingest([received])
    before = await contact_of(ledger)
    later = clock.advance(SECOND)

    (second,) = await ledger.inbox.ingest([received])

    assert second.duplicate
    assert (second.disposition, second.contact_id) == (first.disposition, first.contact_id)
    assert await contact_of(ledger) == before
    logged = await find_notification(ledger, received.digest)
    assert logged is not None
    assert (logged.times_received, logged.received_at, logged.last_received_at) == (2, START, later)


async def test_of_two_alike_in_one_call_the_second_is_the_duplicate(ledger: Ledger) -> None:
    received = interpreted(choice())

    ingested = await ledger.inbox.ingest([received, received, received])

    assert [each.duplicate for each in ingested] == [False, True, True]
    logged = await find_notification(ledger, received.digest)
    assert logged is not None
    assert logged.times_received == 3
    assert (await contact_of(ledger)).revision == 1


async def test_a_duplicate_of_what_was_parked_says_so_again(ledger: Ledger) -> None:
    parked = interpreted(key=None, disposition=Disposition.PARKED, reason=Reason.NOT_JSON)
    await ledger.inbox.ingest([parked])

    (again,) = await ledger.inbox.ingest([parked])

    assert (again.disposition, again.reason, again.duplicate) == (Disposition.PARKED, Reason.NOT_JSON, True)


async def test_what_names_no_person_is_kept_without_a_contact(ledger: Ledger) -> None:
    """A body that is not JSON, for one: it is kept in quarantine, byte for byte."""
    not_json = interpreted(key=None, body=b"\xff\0{", disposition=Disposition.PARKED, reason=Reason.NOT_JSON)

    (ingested,) = await ledger.inbox.ingest([not_json])

    assert (ingested.disposition, ingested.reason, ingested.contact_id) == (
        Disposition.PARKED,
        Reason.NOT_JSON,
        None,
    )
    logged = await find_notification(ledger, not_json.digest)
    assert logged is not None
    assert logged.body == b"\xff\0{"


async def test_a_person_without_a_choice_is_findable_and_not_due(ledger: Ledger) -> None:
    """A person who asks what we hold must be answered in full."""
    pending = interpreted(disposition=Disposition.SKIPPED, reason=Reason.PENDING_APPROVAL)

    (ingested,) = await ledger.inbox.ingest([pending])

    contact = await contact_of(ledger)
    assert (contact.state, contact.due_at, contact.revision) == (DeliveryState.SETTLED, None, 0)
    assert ingested.contact_id == contact.contact_id
    assert [logged.digest for logged in await ledger.reader.notifications_of(contact.contact_id, 10)] == [
        pending.digest
    ]


async def test_choices_of_a_skipped_notification_are_folded_too(ledger: Ledger) -> None:
    """A regulation without a mapping today may have one tomorrow."""
    (ingested,) = await ledger.inbox.ingest(
        [interpreted(choice(), disposition=Disposition.SKIPPED, reason=Reason.REGULATION_NOT_MAPPED)]
    )

    assert (ingested.disposition, ingested.reason) == (Disposition.SKIPPED, Reason.REGULATION_NOT_MAPPED)
    assert len((await contact_of(ledger)).registers) == 1


async def test_several_notifications_of_one_person_in_one_call_are_folded_in_turn(ledger: Ledger) -> None:
    ingested = await ledger.inbox.ingest(
        [
            interpreted(choice(True, after=SECOND)),
            interpreted(choice(False)),
            interpreted(choice(False, after=2 * SECOND)),
        ]
    )

    assert [each.disposition for each in ingested] == [
        Disposition.APPLIED,
        Disposition.UNCHANGED,
        Disposition.APPLIED,
    ]
    assert [each.withdrawal for each in ingested] == [False, False, True]
    contact = await contact_of(ledger)
    assert contact.revision == 2
    assert [register.statement for register in contact.registers.values()] == [
        choice(False, after=2 * SECOND)
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param([choice(after=SECOND)], [choice(False)], id="older"),
        pytest.param(
            [choice()], [choice(kind=ChoiceKind.ASSERTION, after=SECOND)], id="repeated by a snapshot"
        ),
        pytest.param(
            [choice()],
            [choice(False, kind=ChoiceKind.ASSERTION, after=SECOND, didomi_user="device-2")],
            id="stale device",
        ),
        pytest.param(
            [choice(source_id="b")], [choice(source_id="a")], id="same value and time, other source"
        ),
    ],
)
async def test_what_says_nothing_new_is_unchanged_and_leaves_the_contact_settled(
    ledger: Ledger, clock: FrozenClock, first: list[Choice], second: list[Choice]
) -> None:
    await ingest_one(ledger, *first)
    await settle_all(ledger, clock)

    ingested = await ingest_one(ledger, *second)

    assert ingested.disposition is Disposition.UNCHANGED
    contact = await contact_of(ledger)
    assert (contact.state, contact.due_at, contact.revision) == (DeliveryState.SETTLED, None, 1)


async def test_what_changes_only_the_registers_is_stored_without_being_due(
    ledger: Ledger, clock: FrozenClock
) -> None:
    """Else the fold would not be a join: what comes next must meet all that came before."""
    await ingest_one(ledger, choice(source_id="b"))
    await settle_all(ledger, clock)

    await ingest_one(ledger, choice(source_id="a"))

    contact = await contact_of(ledger)
    assert [register.statement for register in contact.registers.values()] == [choice(source_id="a")]
    assert contact.state is DeliveryState.SETTLED


async def test_a_choice_stated_again_later_is_a_change(ledger: Ledger, clock: FrozenClock) -> None:
    """A person who repeats a choice overrides what was edited in the CRM since
    (docs/how-choices-are-decided.md, "What is sent").
    """
    await ingest_one(ledger, choice())
    await settle_all(ledger, clock)

    ingested = await ingest_one(ledger, choice(after=SECOND))

    assert ingested.disposition is Disposition.APPLIED
    assert (await contact_of(ledger)).state is DeliveryState.DUE


async def test_a_changed_contact_is_due_now_whatever_it_waited_for(
    ledger: Ledger, clock: FrozenClock
) -> None:
    await ingest_one(ledger, choice())
    claim = await claim_one(ledger, clock)
    await ledger.queue.settle(
        [settlement(claim, Move.UNMATCHED, after=timedelta(days=1), unmatched_since=START)], now=clock.now()
    )

    now = clock.advance(SECOND)
    await ingest_one(ledger, choice(False, after=SECOND))

    contact = await contact_of(ledger)
    assert (contact.state, contact.due_at) == (DeliveryState.DUE, now)
    assert contact.unmatched_since == START


async def test_a_parked_contact_that_changes_is_tried_again(ledger: Ledger, clock: FrozenClock) -> None:
    await ingest_one(ledger, choice())
    claim = await claim_one(ledger, clock)
    await ledger.queue.settle([settlement(claim, Move.PARKED, reason="value_refused")], now=clock.now())

    await ingest_one(ledger, choice(False, after=SECOND))

    contact = await contact_of(ledger)
    assert (contact.state, contact.reason) == (DeliveryState.DUE, None)


async def test_a_contact_that_keeps_changing_keeps_its_place_in_the_line(
    ledger: Ledger, clock: FrozenClock
) -> None:
    await ingest_one(ledger, choice())
    clock.advance(SECOND)
    await ingest_one(ledger, choice(after=SECOND))

    assert (await contact_of(ledger)).due_at == START


async def test_a_contact_that_changes_under_delivery_keeps_its_lease(
    ledger: Ledger, clock: FrozenClock
) -> None:
    await ingest_one(ledger, choice())
    await claim_one(ledger, clock)

    await ingest_one(ledger, choice(False, after=SECOND))

    contact = await contact_of(ledger)
    assert (contact.state, contact.due_at, contact.revision) == (DeliveryState.DELIVERING, START + LEASE, 2)
    assert await claim_all(ledger, clock) == []


async def test_a_notification_on_which_the_fold_fails_is_parked_alone(ledger: Ledger) -> None:
    """A value of a kind that no notification has stands for a mistake of ours."""
    broken = interpreted(choice(object()), key="bob")  # type: ignore[arg-type]  # the mistake

    ingested = await ledger.inbox.ingest(
        [interpreted(choice(), key="ada"), broken, interpreted(choice(subject=PROFILING), key="bob")]
    )

    assert [each.disposition for each in ingested] == [
        Disposition.APPLIED,
        Disposition.PARKED,
        Disposition.APPLIED,
    ]
    assert ingested[1].reason is Reason.INTERNAL_ERROR
    assert {subject for subject, _ in (await contact_of(ledger, "bob")).registers} == {PROFILING}
    logged = await find_notification(ledger, broken.digest)
    assert logged is not None
    assert logged.notes[0].startswith("internal_error TypeError at ")


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("a\0b", id="NUL"),
        pytest.param("a\ud800b", id="a lone surrogate"),
        pytest.param("k" * 3_000, id="longer than an index entry may be"),
    ],
)
async def test_an_identity_that_no_database_can_index_is_parked(ledger: Ledger, key: str) -> None:
    ingested = await ledger.inbox.ingest([interpreted(choice(), key=key), interpreted(choice(), key="ada")])

    assert [(each.disposition, each.reason) for each in ingested] == [
        (Disposition.PARKED, Reason.INTERNAL_ERROR),
        (Disposition.APPLIED, None),
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\0", id="NUL"),
        pytest.param("\ud800", id="a lone surrogate"),
        pytest.param("🙂" * 5_000, id="longer than an index entry may be"),
    ],
)
async def test_a_strange_description_stops_no_notification(ledger: Ledger, text: str) -> None:
    (ingested,) = await ledger.inbox.ingest(
        [interpreted(choice(), didomi_user=text, source_id=text, warnings=(text,))]
    )

    assert ingested.disposition is Disposition.APPLIED


async def test_a_contact_whose_stored_state_is_damaged_is_not_overwritten(ledger: Ledger) -> None:
    await ingest_one(ledger, choice())
    await ledger._database.write(
        lambda connection: connection.exec_driver_sql("UPDATE contacts SET registers = 'damaged'")
    )

    ingested = await ingest_one(ledger, choice(False, after=SECOND))

    assert (ingested.disposition, ingested.reason) == (Disposition.PARKED, Reason.INTERNAL_ERROR)
    with pytest.raises(ValueError, match=r"."):
        await ledger.reader.contact("ada")


async def test_more_notifications_than_a_statement_holds_are_ingested_in_one_call(ledger: Ledger) -> None:
    notifications = [interpreted(choice(), key=f"person-{number}") for number in range(1_200)]

    ingested = await ledger.inbox.ingest(notifications)
    again = await ledger.inbox.ingest(notifications)

    assert len({each.contact_id for each in ingested}) == 1_200
    assert all(each.duplicate for each in again)
    assert (await ledger.reader.count_contacts()).by_state[DeliveryState.DUE] == 1_200


@st.composite
def _arrivals(draw: st.DrawFn) -> tuple[list[Choice], list[list[int]]]:
    """Choices, and the calls in which they arrive: each at least once, in any order, some of them again."""
    choices = draw(st.lists(rival_choice, min_size=1, max_size=6))
    numbers = draw(st.permutations([*range(len(choices)), *draw(st.lists(st.integers(0, len(choices) - 1)))]))
    calls: list[list[int]] = [[]]
    for number in numbers:
        if draw(st.booleans()):
            calls.append([])
        calls[-1].append(number)
    return choices, calls


@given(arrivals=_arrivals())
# The ledger is shared by the examples: each has a person of its own.
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_order_and_repetition_of_arrival_do_not_matter(
    ledger: Ledger, arrivals: tuple[list[Choice], list[list[int]]]
) -> None:
    choices, calls = arrivals
    in_order, otherwise = new_digest(), new_digest()
    await ledger.inbox.ingest([interpreted(*choices, key=in_order)])

    received = [interpreted(each, key=otherwise) for each in choices]
    for call in calls:
        await ledger.inbox.ingest([received[number] for number in call])

    assert (await contact_of(ledger, otherwise)).registers == (await contact_of(ledger, in_order)).registers


async def test_concurrent_calls_for_one_person_lose_nothing(ledger: Ledger) -> None:
    notifications: list[InterpretedNotification] = [
        interpreted(choice(after=number * SECOND, didomi_user=f"device-{number}")) for number in range(20)
    ]

    await asyncio.gather(*(ledger.inbox.ingest([each]) for each in notifications))

    assert len((await contact_of(ledger)).registers) == 20
