"""Deletions by Didomi, from their bodies to the registers, in any order (docs/how-choices-are-decided.md,
"Deletions").
"""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.clocks import START, FrozenClock
from tests.contract.ledger.steps import contact_of, open_ledger, settle_all
from tests.notifications import new_digest
from tests.reference_fold import Deletion, Told, expected_values

from didomi_dataverse.consent.model import UNSET, Item
from didomi_dataverse.consent.registers import resolve
from didomi_dataverse.didomi.interpret import InterpretationPolicy, interpret
from didomi_dataverse.didomi.interpreted import Disposition, InterpretedNotification, Reason
from didomi_dataverse.didomi.notification import parse_notifications
from didomi_dataverse.ledger.delivery_state import DeliveryState
from didomi_dataverse.ledger.ledger import Ledger
from didomi_sandbox import bodies

SECOND = timedelta(seconds=1)
LATER = START + timedelta(hours=1)


def heard(body: bodies.Body, *, after: timedelta = timedelta(0)) -> InterpretedNotification:
    (notification,) = parse_notifications(json.dumps(body).encode())
    return interpret(notification, received_at=LATER + after, caller="oauth", policy=InterpretationPolicy())


def said(
    event_id: str, at: int = 0, *, key: str | None = "ada", device: str = "phone", **on: bool
) -> InterpretedNotification:
    purposes = [bodies.purpose(name, value) for name, value in on.items()]
    user = bodies.person(key, didomi_user_id=device)
    return heard(bodies.event_created(bodies.event(event_id, user, purposes, created_at=START + at * SECOND)))


def event_deleted(event_id: str) -> InterpretedNotification:
    """As in the published example: it names no person (didomi.md 1.3)."""
    return heard(bodies.event_deleted({"id": event_id, "created_at": bodies.format_instant(START)}))


def user_deleted(device: str, *, at: int, key: str | None = None) -> InterpretedNotification:
    user = bodies.person(key, didomi_user_id=device)
    return heard(
        # Two deletions at different times differ in their bodies: equal bodies are one notification.
        bodies.user_deleted(bodies.user_state(user, [], version=9 + at, updated_at=START)),
        after=START + at * SECOND - LATER,
    )


async def values_of(ledger: Ledger, key: str = "ada") -> dict[str, bool | None]:
    contact = await contact_of(ledger, key)
    return {
        subject.purpose: None if resolved.choice.value is UNSET else bool(resolved.choice.value)
        for subject, resolved in resolve(contact.registers).items()
        if isinstance(subject, Item)
    }


async def outcome(ledger: Ledger, notification: InterpretedNotification) -> tuple[Disposition, Reason | None]:
    (ingested,) = await ledger.inbox.ingest([notification])
    return ingested.disposition, ingested.reason


APPLIED = (Disposition.APPLIED, None)
UNCHANGED = (Disposition.UNCHANGED, None)


async def test_a_deleted_event_is_found_through_the_log(ledger: Ledger, clock: FrozenClock) -> None:
    (ingested,) = await ledger.inbox.ingest([said("E1", news=True)])
    await settle_all(ledger, clock)

    (deleted,) = await ledger.inbox.ingest([event_deleted("E1")])

    assert (deleted.disposition, deleted.withdrawal) == (Disposition.APPLIED, True)
    assert deleted.contact_id == ingested.contact_id
    assert await values_of(ledger) == {"news": None}
    assert (await contact_of(ledger)).state is DeliveryState.DUE


async def test_what_was_chosen_before_is_read_from_the_log(ledger: Ledger) -> None:
    await ledger.inbox.ingest([said("E1", 0, news=False, ads=True)])
    await ledger.inbox.ingest([said("E2", 1, news=True)])

    assert await outcome(ledger, event_deleted("E2")) == APPLIED
    assert await values_of(ledger) == {"news": False, "ads": True}


async def test_an_event_that_arrives_after_its_deletion_does_not_count(ledger: Ledger) -> None:
    assert await outcome(ledger, event_deleted("E1")) == (Disposition.PARKED, Reason.DELETED_EVENT_UNKNOWN)
    await ledger.inbox.ingest([said("E1", news=True)])

    assert await values_of(ledger) == {"news": None}


async def test_an_event_and_its_deletion_may_come_in_one_body(ledger: Ledger) -> None:
    ingested = await ledger.inbox.ingest(
        [event_deleted("E2"), said("E1", 0, news=False), said("E2", 1, news=True), said("E3", 2, ads=True)]
    )

    assert [one.reason for one in ingested] == [None] * 4
    assert await values_of(ledger) == {"news": False, "ads": True}


async def test_a_choice_of_the_same_body_is_remembered_when_the_newer_one_is_deleted(ledger: Ledger) -> None:
    await ledger.inbox.ingest([said("E2", 1, news=True)])
    await ledger.inbox.ingest([said("E1", 0, news=False), event_deleted("E2")])

    assert await values_of(ledger) == {"news": False}


async def test_a_deletion_never_grants(ledger: Ledger) -> None:
    await ledger.inbox.ingest([said("E1", 0, news=True), said("E2", 1, news=False)])

    assert await outcome(ledger, event_deleted("E2")) == (Disposition.PARKED, Reason.DELETE_WOULD_GRANT)
    assert await values_of(ledger) == {"news": False}

    await ledger.inbox.ingest([said("E3", 2, news=True)])
    assert await values_of(ledger) == {"news": True}


async def test_without_its_history_a_contact_is_left_as_it_is(ledger: Ledger) -> None:
    await ledger.inbox.ingest([said("E1", 0, news=True)])
    await ledger.maintenance.purge(notifications_before=LATER + SECOND, attempts_before=START, limit=10)
    await ledger.inbox.ingest([said("E2", 1, news=True)])
    before = await contact_of(ledger)

    assert await outcome(ledger, event_deleted("E2")) == (Disposition.PARKED, Reason.HISTORY_INCOMPLETE)
    assert await contact_of(ledger) == before


async def test_a_purge_of_what_held_no_choices_cuts_no_history(ledger: Ledger) -> None:
    user = bodies.person("ada", didomi_user_id="phone")
    pending = bodies.event("E0", user, [], created_at=START, status="pending_approval")
    await ledger.inbox.ingest([heard(bodies.event_created(pending))])
    await ledger.maintenance.purge(notifications_before=LATER + SECOND, attempts_before=START, limit=10)
    await ledger.inbox.ingest([said("E1", 0, news=True)])

    assert await outcome(ledger, event_deleted("E1")) == APPLIED


async def test_a_deleted_event_without_a_person_is_skipped(ledger: Ledger) -> None:
    await ledger.inbox.ingest([said("E1", key=None, news=True)])

    assert await outcome(ledger, event_deleted("E1")) == (Disposition.SKIPPED, Reason.ANONYMOUS)


async def test_a_deleted_event_that_had_no_say_any_more_changes_nothing(ledger: Ledger) -> None:
    await ledger.inbox.ingest([said("E1", 0, news=False), said("E2", 1, news=True)])

    assert await outcome(ledger, event_deleted("E1")) == UNCHANGED
    assert await values_of(ledger) == {"news": True}


async def test_a_snapshot_that_names_the_deleted_event_goes_with_it(ledger: Ledger) -> None:
    """Both families tell of one action under the same source id."""
    user = bodies.person("ada", didomi_user_id="phone")
    before = bodies.user_state(user, [], version=1, updated_at=START)
    after = bodies.user_state(user, [bodies.purpose("news", enabled=True)], version=2, updated_at=START)
    source: bodies.Entity = {"id": "E1", "created_at": bodies.format_instant(START)}
    await ledger.inbox.ingest([heard(bodies.user_updated(before, after, source=source))])

    assert await outcome(ledger, event_deleted("E1")) == APPLIED
    assert await values_of(ledger) == {"news": None}


@pytest.mark.parametrize("key", [None, "ada"])
async def test_what_a_deleted_user_said_no_longer_counts(ledger: Ledger, key: str | None) -> None:
    await ledger.inbox.ingest([said("E1", 0, news=True, ads=True), said("E2", 0, device="laptop", ads=True)])

    assert await outcome(ledger, user_deleted("phone", at=10, key=key)) == APPLIED
    assert await values_of(ledger) == {"news": None, "ads": True}

    await ledger.inbox.ingest([said("E3", 5, news=True)])
    assert await values_of(ledger) == {"news": None, "ads": True}
    await ledger.inbox.ingest([said("E4", 20, news=True)])
    assert await values_of(ledger) == {"news": True, "ads": True}


async def test_a_user_deleted_twice_no_longer_counts_until_the_later_time(ledger: Ledger) -> None:
    await ledger.inbox.ingest([user_deleted("phone", at=10, key="ada")])
    await ledger.inbox.ingest([user_deleted("phone", at=5, key="ada")])
    await ledger.inbox.ingest([said("E1", 7, news=True)])

    assert await values_of(ledger) == {"news": None}


async def test_a_deleted_user_of_two_people_goes_from_both(ledger: Ledger) -> None:
    await ledger.inbox.ingest([said("E1", news=True), said("E2", key="bob", news=True)])

    await ledger.inbox.ingest([user_deleted("phone", at=10)])

    assert (await values_of(ledger), await values_of(ledger, "bob")) == ({"news": None}, {"news": None})


async def test_a_deleted_user_without_a_person_is_skipped(ledger: Ledger) -> None:
    assert await outcome(ledger, user_deleted("tablet", at=1)) == (Disposition.SKIPPED, Reason.ANONYMOUS)


async def test_deletions_are_logged_once_and_change_nothing_twice(ledger: Ledger) -> None:
    await ledger.inbox.ingest([said("E1", news=True)])
    await ledger.inbox.ingest([event_deleted("E1")])
    before = await contact_of(ledger)

    (again,) = await ledger.inbox.ingest([event_deleted("E1")])

    assert again.duplicate
    assert await contact_of(ledger) == before


async def test_a_contact_that_would_become_unusably_large_takes_no_more(ledger: Ledger) -> None:
    """Thousands of choices from many devices: what does not fit is parked, and withdrawals still count."""
    remark = {"remark": "x" * 300_000}

    async def remarks(device: str, event_id: str, *, news: bool) -> tuple[Disposition, Reason | None]:
        user = bodies.person("ada", didomi_user_id=device)
        chosen = [bodies.purpose("news", news, values=remark)]
        event = bodies.event(event_id, user, chosen, created_at=START + int(event_id) * SECOND)
        return await outcome(ledger, heard(bodies.event_created(event)))

    assert await remarks("one", "1", news=True) == APPLIED
    assert await remarks("two", "2", news=True) == (Disposition.PARKED, Reason.TOO_LARGE)
    assert await outcome(ledger, said("3", 3, device="one", news=False)) == APPLIED


# --- Laws


@pytest.fixture
async def sqlite_ledger(sqlite_url: str, clock: FrozenClock) -> AsyncIterator[Ledger]:
    ledger = await open_ledger(sqlite_url, clock=clock)
    yield ledger
    await ledger.close()


events = st.builds(
    Told,
    item=st.sampled_from(["news", "ads"]),
    value=st.booleans(),
    at=st.integers(0, 3),
    user=st.sampled_from(["phone", "laptop"]),
    event=st.sampled_from(["E1", "E2", "E3"]),
)
deletions = st.builds(Deletion, event=st.sampled_from(["E1", "E2", "E3"])) | st.builds(
    Deletion, user=st.sampled_from(["phone", "laptop"]), at=st.integers(0, 3)
)
arrivals = st.lists(events | deletions, min_size=1, max_size=8).flatmap(
    lambda seen: st.tuples(
        st.just(seen),
        # Repeated, reordered, and a few at a time.
        st.lists(st.sampled_from(seen), max_size=4).flatmap(lambda more: st.permutations(seen + more)),
        st.integers(1, 4),
    )
)


def _received(one: Told | Deletion, person: str) -> InterpretedNotification:
    if isinstance(one, Deletion):
        if one.event:
            return event_deleted(f"{one.event}-{person}")
        return user_deleted(f"{one.user}-{person}", at=one.at, key=person)
    return said(
        f"{one.event}-{person}",
        one.at,
        key=person,
        device=f"{one.user}-{person}",
        **{one.item: one.value},
    )


@given(arrivals)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_interleaving_ends_in_what_the_slow_way_finds(
    sqlite_ledger: Ledger,
    arrival: tuple[list[Told | Deletion], Sequence[Told | Deletion], int],
) -> None:
    """Devices, duplicates, deletions, in any order: against a fold that knows everything at once."""
    seen, order, at_once = arrival
    person = new_digest()  # the ledger is shared by the examples: each has ids of its own

    for start in range(0, len(order), at_once):
        await sqlite_ledger.inbox.ingest([_received(one, person) for one in order[start : start + at_once]])

    told = [one for one in seen if isinstance(one, Told)]
    if told:
        found = await values_of(sqlite_ledger, person)
        assert found == expected_values(told, [one for one in seen if isinstance(one, Deletion)])


@given(st.lists(events.filter(lambda one: not one.value) | deletions, min_size=1, max_size=8))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_nothing_without_a_grant_ends_in_one(
    sqlite_ledger: Ledger, seen: list[Told | Deletion]
) -> None:
    person = new_digest()

    for one in seen:
        await sqlite_ledger.inbox.ingest([_received(one, person)])

    if any(isinstance(one, Told) for one in seen):
        assert True not in (await values_of(sqlite_ledger, person)).values()
