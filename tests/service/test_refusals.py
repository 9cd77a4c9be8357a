"""No refusal is lost and no grant invented, however unlikely the way there. Each of these once went wrong."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dataverse_sandbox import SandboxServer, running_sandbox
from didomi_dataverse.errors import StoreUnavailableError
from didomi_dataverse.ledger.claims import DeliveryQueue
from didomi_dataverse.ledger.delivery_state import DeliveryState
from didomi_sandbox.bodies import (
    Body,
    Entity,
    event,
    event_created,
    person,
    purpose,
    user_state,
    user_updated,
)
from tests.clocks import START
from tests.service.harness import DyingLedger, Harness, open_house, replaced, says

ONE = "customer-0001"
CUT = {"match": {"method": "POST", "path": "$batch"}, "behaviour": "cut_after_commit", "times": 1}


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def snapshot(version: int, seconds: float, *purposes: Entity, device: str = "phone") -> Entity:
    """A Didomi user's whole state at some time."""
    return user_state(
        person(ONE, didomi_user_id=device), list(purposes), version=version, updated_at=at(seconds)
    )


def news(*, enabled: bool) -> Entity:
    return purpose("newsletter", enabled)


def repeated(version: int, seconds: float, *, enabled: bool) -> Body:
    """A snapshot that repeats the newsletter's choice: an assertion."""
    same = news(enabled=enabled)
    return user_updated(snapshot(version - 1, seconds - 5, same), snapshot(version, seconds, same))


async def test_a_kill_between_write_and_settlement_leaves_nothing_taken_for_known(
    sandbox: SandboxServer, tmp_path: Path
) -> None:
    """A wrong mapping is written, the process dies before it settles, the mapping is put back."""
    wrong = replaced(("newsletter: new_newsletter", "newsletter: { column: new_newsletter, invert: true }"))
    async with open_house(sandbox, tmp_path) as house:
        await house.receive(says(ONE, minute=1, newsletter=False))
        await house.deliver()
    async with open_house(sandbox, tmp_path, change=wrong) as house:
        claims = await house.ledger.queue.claim(now=house.clock.now(), limit=9, lease=timedelta(minutes=5))
        house.sender._ledger = DyingLedger()  # type: ignore[assignment]
        with pytest.raises(asyncio.CancelledError):
            await house.sender.deliver(claims, claimed_at=house.clock.monotonic())
        assert (await house.row(ONE))["new_newsletter"] is True
    async with open_house(sandbox, tmp_path) as house:
        await house.deliver()
        assert (await house.row(ONE))["new_newsletter"] is False


async def test_a_lease_that_ended_leaves_nothing_taken_for_known(house: Harness) -> None:
    """Its holder may have written something that it could not settle any more."""
    await house.receive(says(ONE, minute=1, newsletter=False))
    await house.deliver()
    await house.receive(says(ONE, minute=2, email_ads=True))
    await house.ledger.queue.claim(now=house.clock.now(), limit=1, lease=timedelta(minutes=1))
    house.clock.advance(timedelta(minutes=2))
    (taken_over,) = await house.ledger.queue.claim(now=house.clock.now(), limit=1, lease=timedelta(minutes=1))
    assert taken_over.contact.written == {}
    assert (await house.contact(ONE)).written == {}


class Ending:
    """The membership of a replica whose heartbeats fail, just after it began a call."""

    holder = "0123456789abcdef"
    has_time = True
    replicas = 1

    def time_left(self, _holder: str) -> timedelta:
        return timedelta(0)

    async def join(self) -> None:
        """Tells no one."""

    async def leave(self) -> None:
        """Tells no one."""


async def test_what_a_call_that_was_given_up_sent_is_not_taken_for_known(house: Harness) -> None:
    await house.receive(says(ONE, minute=1, newsletter=False))
    await house.deliver()
    membership = house.sender.membership
    house.sender.membership = Ending()
    await house.receive(says(ONE, minute=2, newsletter=True))
    assert await house.deliver() == ["retried"]
    contact = await house.contact(ONE)
    assert contact.state is DeliveryState.DUE
    assert "new_newsletter" not in contact.written
    house.sender.membership = membership
    assert await house.after(timedelta(minutes=1)) == ["written"]
    assert (await house.row(ONE))["new_newsletter"] is True


async def test_a_call_is_not_begun_for_a_name_that_lost_its_claims(house: Harness) -> None:
    await house.receive(says(ONE, minute=1, newsletter=False))
    claims = await house.ledger.queue.claim(
        now=house.clock.now(), limit=1, lease=timedelta(minutes=5), holder=Ending.holder
    )
    claimed_at = house.clock.monotonic()
    await house.sender.deliver(claims, claimed_at=claimed_at, holder=Ending.holder)
    assert house.heard.outcomes == ["postponed"]
    assert house.heard.exchanges == []


async def test_a_refusal_is_written_again_when_it_is_not_known_what_the_row_holds(house: Harness) -> None:
    """No, then yes in a call whose answer is lost, then no: the last no must not look like the first one."""
    await house.receive(repeated(2, -80, enabled=False))
    await house.deliver()
    await house.put_faults(CUT)
    await house.receive(repeated(4, -60, enabled=True))
    assert await house.deliver() == ["retried"]
    assert (await house.row(ONE))["new_newsletter"] is True
    await house.receive(repeated(6, -40, enabled=False))
    await house.after(timedelta(minutes=20))
    assert (await house.row(ONE))["new_newsletter"] is False


async def test_a_preference_stated_under_one_purpose_is_not_overruled_by_a_repeated_one(
    house: Harness,
) -> None:
    def state(version: int, seconds: float, language: str) -> Entity:
        return snapshot(
            version,
            seconds,
            purpose("newsletter", None, values={"language": language}),
            purpose("profiling", None, values={"language": "en"}),
        )

    source: Entity = {"id": "E", "created_at": at(-31).isoformat()}
    await house.receive(user_updated(state(1, -90, "fr"), state(2, -30, ""), source=source))
    await house.deliver()
    assert (await house.row(ONE))["new_language"] is None


async def test_an_outage_uses_up_no_patience_with_a_row(house: Harness) -> None:
    await house.put_faults(
        {"match": {"method": "POST", "path": "$batch"}, "reply": {"status": 503}, "times": 8}
    )
    await house.receive(says(ONE, minute=1, newsletter=False))
    await house.deliver()
    while (await house.stats())["calls"]["batch"].get("503", 0) < 8:
        await house.after(timedelta(minutes=1))
    deadlock = {"status": 500, "body": {"error": {"code": "0x80044150", "message": "deadlock"}}}
    await house.put_faults({"match": {"method": "PATCH"}, "reply": deadlock, "times": 1})
    assert await house.after(timedelta(minutes=1)) == ["retried"]


async def test_rows_that_only_their_owner_may_write_do_not_hold_up_the_others(house: Harness) -> None:
    keys = [f"closed-{number:02}" for number in range(40)]
    await house.put_rows(*({"new_didomikey": key} for key in [*keys, ONE]))
    closed = {"status": 403, "body": {"error": {"code": "0x80048306", "message": "No."}}}
    await house.put_faults({"match": {"method": "PATCH", "path": "*closed-*"}, "reply": closed})
    await house.receive(*(says(key, minute=1, newsletter=False) for key in keys))
    for _ in range(10):
        await house.after(timedelta(seconds=30))
    await house.receive(says(ONE, minute=2, newsletter=False))
    for _ in range(3):
        await house.after(timedelta(seconds=30))
    assert (await house.row(ONE))["new_newsletter"] is False


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        pytest.param([("newsletter", False)], ["parked", "alerted"], id="refusals"),
        # A refusal is tried twice, with its row and by itself: two people show it. Else it takes three.
        pytest.param([("newsletter", True)], ["parked", "parked", "alerted"], id="grants"),
        pytest.param(
            [("newsletter", True), ("email_ads", False)],
            ["parked", "parked", "alerted"],
            id="beside refusals that are written",
        ),
    ],
)
async def test_a_fault_of_the_mapping_is_seen_on_a_quiet_day_too(
    sandbox: SandboxServer, tmp_path: Path, chosen: list[tuple[str, bool]], expected: list[str]
) -> None:
    """Contacts come one at a time, so no call shows that all of them fail."""
    typo = replaced(("newsletter: new_newsletter", "newsletter: new_newsleter"))
    async with open_house(sandbox, tmp_path, change=typo) as house:
        outcomes = []
        for number in range(1, 5):
            who = person(f"customer-000{number}")
            said = [purpose(name, value) for name, value in chosen]
            await house.receive(event_created(event(f"e-{number}", who, said, created_at=at(1))))
            outcomes += await house.deliver()
        assert outcomes == expected
        assert house.sender.rate_limit.alert is not None


async def test_a_refusal_collected_before_the_last_snapshot_and_told_after_it_counts(house: Harness) -> None:
    """An event is dated by its collection; a snapshot may be taken between collection and storing."""
    await house.receive(repeated(5, -55, enabled=True))
    source: Entity = {"id": "E", "created_at": at(-57).isoformat()}
    yes, no = news(enabled=True), news(enabled=False)
    await house.receive(user_updated(snapshot(5, -55, yes), snapshot(6, -50, no), source=source))
    await house.deliver()
    assert (await house.row(ONE))["new_newsletter"] is False


async def test_a_snapshot_without_its_past_overrules_no_other_devices_refusal(house: Harness) -> None:
    """A flattened update has no old entity; that the laptop now has another country is no consent."""
    await house.receive(says(ONE, minute=1, device="laptop", newsletter=True))
    await house.receive(says(ONE, minute=2, device="phone", newsletter=False))
    moved = user_updated(
        snapshot(3, -10, news(enabled=True), device="laptop"),
        snapshot(4, -5, news(enabled=True), device="laptop"),
    )
    parameters = moved["parameters"]
    assert isinstance(parameters, dict)
    del parameters["old_entity"]
    await house.receive(moved)
    await house.deliver()
    assert (await house.row(ONE))["new_newsletter"] is False


async def test_a_refusal_made_before_login_counts_after_it(house: Harness) -> None:
    await house.receive(says(ONE, minute=1, device="laptop", newsletter=True))
    before = snapshot(2, -10, news(enabled=False))
    del before["organization_user_id"]
    await house.receive(user_updated(before, snapshot(3, -5, news(enabled=False))))
    await house.deliver()
    assert (await house.row(ONE))["new_newsletter"] is False


async def test_another_key_finds_other_rows_and_tells_them_everything(
    sandbox: SandboxServer, tmp_path: Path
) -> None:
    other = replaced(("alternate_key: new_didomikey", "alternate_key: new_otherkey"))
    column = {"type": "string", "max_length": 100}
    schema = {
        "columns": {"new_otherkey": column},
        "keys": {"new_other": {"columns": ["new_otherkey"], "status": "Active"}},
    }
    async with open_house(sandbox, tmp_path, change=other) as house:
        await house.control("PUT", "schema", schema)
        await house.put_rows({"new_otherkey": ONE, "new_didomikey": "x"}, {"new_didomikey": ONE})
        await house.receive(says(ONE, minute=1, newsletter=False))
        assert await house.deliver() == ["written"]
    async with open_house(sandbox, tmp_path) as house:
        await house.deliver()
        assert (await house.row(ONE))["new_newsletter"] is False


async def test_another_environment_is_told_everything(
    sandbox: SandboxServer, sandbox_folder: Path, tmp_path: Path
) -> None:
    async with open_house(sandbox, tmp_path) as house:
        await house.receive(*(says(key, minute=1, newsletter=False) for key in (ONE, "stranger")))
        assert sorted(await house.deliver()) == ["unmatched", "written"]
    async with running_sandbox(sandbox_folder) as production, open_house(production, tmp_path) as house:
        assert sorted(await house.deliver()) == ["unmatched", "written"]
        assert (await house.row(ONE))["new_newsletter"] is False


async def test_the_same_environment_is_told_nothing_again(sandbox: SandboxServer, tmp_path: Path) -> None:
    async with open_house(sandbox, tmp_path) as house:
        await house.receive(says(ONE, minute=1, newsletter=False))
        await house.deliver()
    async with open_house(sandbox, tmp_path) as house:
        assert await house.deliver() == []


async def test_people_parked_as_unmatched_are_created_once_that_is_allowed(
    sandbox: SandboxServer, tmp_path: Path
) -> None:
    impatient = replaced(("upsert: false", "unmatched: { retry_for: 0s }"))
    async with open_house(sandbox, tmp_path, change=impatient) as house:
        await house.receive(says("stranger", minute=1, newsletter=False))
        assert await house.deliver() == ["parked"]
    async with open_house(sandbox, tmp_path, change=replaced(("upsert: false", "upsert: true"))) as house:
        assert await house.deliver() == ["created"]


async def test_a_claim_whose_answer_was_lost_is_given_back_and_delivered(house: Harness) -> None:
    """A lease of a replica at work does not end, so no other would ever take it."""
    await house.receive(says(ONE, minute=1, newsletter=False))
    house.worker._ledger = _Forgetful(house.ledger.queue)  # type: ignore[assignment]
    assert await house.worker._start_delivery() is not None
    assert (await house.contact(ONE)).state is DeliveryState.DELIVERING
    house.worker._ledger = house.ledger.queue
    await house.worker._start_delivery()
    await asyncio.gather(*house.worker._running)
    assert (await house.row(ONE))["new_newsletter"] is False


class _Forgetful:
    """A store that commits a claim and loses the connection before it can say so."""

    def __init__(self, ledger: DeliveryQueue) -> None:
        self._ledger = ledger

    async def claim(self, **claim: Any) -> None:  # noqa: ANN401 - as the ledger's
        await self._ledger.claim(**claim)
        raise StoreUnavailableError("The connection is gone.")
