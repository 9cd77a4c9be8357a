"""`notifications`, `contacts` and `parked`: run beside a process that has the store open for serving."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dataverse_sandbox import SandboxServer
from didomi_dataverse.cli.main import main
from didomi_dataverse.didomi.interpreted import Disposition, Reason
from didomi_dataverse.ledger.delivery_state import DeliveryState
from didomi_sandbox.bodies import Body, event, event_created, person, purpose
from tests.clocks import START
from tests.contract.ledger.steps import find_notification
from tests.notifications import interpreted
from tests.service.harness import Harness, open_house, replaced, says

ONE, TWO = "customer-0001", "customer-0002"
LATER = timedelta(days=36_500)
"""The commands go by the clock on the wall, which is always ahead of the house's."""
LOYALTY = "L-77-secret"
NO = {"reply": {"status": 400, "body": {"error": {"code": "0x80044331", "message": "No."}}}}
REJECTED = {"match": {"path": "contacts("}, "times": 1, **NO}


@pytest.fixture
def config(tmp_path: Path, house: Harness) -> Path:  # noqa: ARG001 - it wrote the file
    return tmp_path / "config.yaml"


async def run(config: Path, *words: str) -> Result:
    """The command, in a thread: it has an event loop of its own, and the house's goes on."""
    return await asyncio.to_thread(CliRunner().invoke, main, [*words, "--config", str(config)])


async def answer(config: Path, *words: str, exit_code: int = 0) -> Any:  # noqa: ANN401 - JSON
    result = await run(config, *words, "--json")
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


def personal(key: str = ONE) -> Body:
    who = person(key, didomi_user_id="device-of-ada", country="FR", metadata={"loyalty_id": LOYALTY})
    chosen = [
        purpose("newsletter", enabled=True),
        purpose("profiling", None, values={"remark": "call me at home, please", "topics": "sport"}),
    ]
    body = event_created(event("E1", who, chosen, created_at=START))
    parameters = body["parameters"]
    assert isinstance(parameters, dict)
    parameters["entity"]["proofs_id"] = ["proof-of-ada"]
    return body


SECRETS = (ONE, "device-of-ada", LOYALTY, "call me", "proof-of-ada")


async def test_the_list_masks_people(house: Harness, config: Path) -> None:
    await house.receive(personal())
    await house.receive(says(None, minute=1, newsletter=True))
    result = await run(config, "notifications", "list")
    assert result.exit_code == 0, result.output
    assert [line.split("  ")[2] for line in result.stdout.splitlines()] == [
        "event.created: skipped (anonymous), no person named",
        "event.created: applied, c***1 (13 characters)",
    ]
    assert not any(secret in result.output for secret in SECRETS)


@pytest.mark.parametrize(
    ("words", "count"),
    [
        pytest.param(("--person", "CUSTOMER-0001"), 2, id="person, however spelt"),
        pytest.param(("--person", "unknown"), 0, id="unknown person"),
        pytest.param(("--disposition", "skipped"), 1, id="disposition"),
        pytest.param(("--reason", "anonymous"), 1, id="reason"),
        pytest.param(("--type", "event.created"), 3, id="type"),
        pytest.param(("--type", "user.created"), 0, id="other type"),
        pytest.param(("--since", "2026-01-01T00:00:00Z"), 3, id="since"),
        pytest.param(("--since", "2999-01-01"), 0, id="since later"),
        pytest.param(("--since", "9999w"), 3, id="since long ago"),
        pytest.param(("--limit", "1"), 1, id="limit"),
    ],
)
async def test_the_list_is_narrowed(house: Harness, config: Path, words: tuple[str, ...], count: int) -> None:
    await house.receive(
        personal(), says(ONE, minute=1, newsletter=True), says(None, minute=1, newsletter=True)
    )
    assert len(await answer(config, "notifications", "list", *words)) == count


@pytest.mark.parametrize("since", ["yesterday", "99999999999d"])
async def test_an_invalid_time_is_a_usage_error(config: Path, since: str) -> None:
    assert (await run(config, "notifications", "list", "--since", since)).exit_code == 2


async def test_one_notification_shows_what_it_means_and_masks_people(house: Harness, config: Path) -> None:
    (recorded,) = await house.receive(personal())
    result = await run(config, "notifications", "show", recorded.digest[:12])
    shown = await answer(config, "notifications", "show", recorded.digest)

    assert result.exit_code == 0
    assert "choice:    gdpr.purposes.newsletter.consent = yes" in result.stdout
    assert "column:    new_newsletter = yes    by mapping.gdpr.purposes.newsletter" in result.stdout
    assert not any(secret in result.output + json.dumps(shown) for secret in SECRETS)
    entity = shown["body"]["parameters"]["entity"]
    assert entity["consents"]["purposes"][0] == {"id": "newsletter", "enabled": True}
    assert (entity["user"]["organization_user_id"], entity["user"]["metadata"]) == (
        "***",
        {"loyalty_id": "***"},
    )
    assert (shown["columns"]["new_topics"]["value"], shown["columns"]["new_loyaltyid"]["value"]) == (
        "***",
    ) * 2


async def test_the_body_is_shown_when_asked_for_and_said_to_be_personal(house: Harness, config: Path) -> None:
    (recorded,) = await house.receive(personal())
    result = await run(config, "notifications", "show", recorded.digest, "--raw")
    assert all(secret in result.stdout for secret in SECRETS)
    assert "personal" in result.stderr


@pytest.mark.parametrize(
    ("notification_id", "message"),
    [
        pytest.param("0000", "No notification's id begins with 0000", id="unknown"),
        pytest.param("zzzz", "is not a notification id", id="not hex"),
        pytest.param("00", "at least 4 hex digits", id="too short"),
    ],
)
async def test_a_notification_that_is_not_there_is_a_failure(
    config: Path,
    notification_id: str,
    message: str,
) -> None:
    result = await run(config, "notifications", "show", notification_id)
    assert result.exit_code == 1
    assert message in result.stderr


async def test_a_replay_lets_count_what_todays_configuration_accepts(
    sandbox: SandboxServer, tmp_path: Path
) -> None:
    foreign = ("didomi:", "didomi:\n  organization_id: elsewhere")
    async with open_house(sandbox, tmp_path, change=replaced(foreign)) as house:
        (recorded,) = await house.receive(says(ONE, minute=1, newsletter=False))
        assert recorded.reason is Reason.FOREIGN_ORGANIZATION
        path = tmp_path / "config.yaml"
        assert (await answer(path, "notifications", "replay", recorded.digest, exit_code=1))[0]["reason"] == (
            "foreign_organization"
        )

        path.write_text(path.read_text().replace("elsewhere", "acme"))
        (replayed,) = await answer(path, "notifications", "replay", "--all-parked")

        assert (replayed["before"], replayed["disposition"]) == ("parked", "applied")
        logged = await find_notification(house.ledger, recorded.digest)
        assert logged is not None
        assert (logged.disposition, logged.reason, logged.source_id) == (
            Disposition.APPLIED,
            None,
            f"{ONE}-1",
        )
        assert await house.after(LATER) == ["written"]
        assert (await house.row(ONE))["new_newsletter"] is False
        assert await answer(path, "notifications", "replay", "--all-parked") == []


async def test_replaying_again_changes_nothing_but_delivers(house: Harness, config: Path) -> None:
    (recorded,) = await house.receive(says(ONE, minute=1, newsletter=False))
    await house.deliver()
    before = await house.contact(ONE)
    for _ in range(2):
        (replayed,) = await answer(config, "notifications", "replay", recorded.digest)
        assert replayed["disposition"] == "unchanged"
    after = await house.contact(ONE)
    assert (after.registers, after.state) == (before.registers, DeliveryState.DUE)
    logged = await find_notification(house.ledger, recorded.digest)
    assert logged is not None
    assert logged.disposition is Disposition.APPLIED
    assert await house.after(LATER) == ["nothing_to_write"]


async def test_a_replayed_deletion_is_worked_out_again(house: Harness, config: Path) -> None:
    await house.receive(says(ONE, minute=1, event_id="E1", newsletter=True))
    body: Body = {
        "type": "event.deleted",
        "parameters": {"entity": {"id": "E1", "created_at": "2026-03-01T11:00:00Z"}},
    }
    (recorded,) = await house.receive(body)
    before = await house.contact(ONE)
    (replayed,) = await answer(config, "notifications", "replay", recorded.digest)
    assert replayed["disposition"] == "unchanged"
    assert (await house.contact(ONE)).registers == before.registers


async def test_a_body_that_still_cannot_be_read_stays_parked(house: Harness, config: Path) -> None:
    kept = interpreted(key=None, body=b"not JSON", disposition=Disposition.PARKED, reason=Reason.NOT_JSON)
    await house.ledger.inbox.ingest([kept])
    (replayed,) = await answer(config, "notifications", "replay", "--all-parked", exit_code=1)
    assert (replayed["readable"], replayed["disposition"]) == (False, "parked")
    shown = await answer(config, "notifications", "show", kept.digest)
    assert (shown["body"], shown["choices"]) == (None, [])
    discarded = await answer(config, "parked", "discard", kept.digest)
    assert discarded == {"discarded": 1}
    assert (await answer(config, "parked", "list"))["notifications"] == []


@pytest.mark.parametrize(
    "words",
    [
        pytest.param((), id="nothing named"),
        pytest.param(("--all-parked", "abcd"), id="both"),
        pytest.param(("abcd", "--reason", "malformed"), id="a reason for one"),
    ],
)
async def test_a_replay_without_a_clear_selection_is_a_usage_error(
    config: Path,
    words: tuple[str, ...],
) -> None:
    assert (await run(config, "notifications", "replay", *words)).exit_code == 2


async def test_a_person_without_a_row_is_looked_for_at_once(house: Harness, config: Path) -> None:
    await house.receive(says("customer-9999", minute=1, newsletter=False))
    assert await house.deliver() == ["unmatched"]
    await house.put_rows({"new_didomikey": "customer-9999"})
    assert await house.deliver() == []
    assert await answer(config, "contacts", "retry", "customer-9999") == {"due": 1}
    assert await house.after(LATER) == ["written"]


async def test_a_parked_person_is_listed_and_retried_by_number(house: Harness, config: Path) -> None:
    await house.receive(says("customer-9999", minute=1, newsletter=False))
    await house.deliver()
    for _ in range(40):
        await house.after(timedelta(hours=6))
    (parked,) = (await answer(config, "parked", "list"))["contacts"]
    assert (parked["reason"], parked["person"]) == ("unmatched", "c***9 (13 characters)")
    assert await answer(config, "contacts", "retry", parked["id"]) == {"due": 1}
    # The patience begins anew.
    assert await house.after(LATER) == ["unmatched"]


async def test_a_parked_person_is_shown_by_number(house: Harness, config: Path) -> None:
    await house.receive(says(ONE, minute=1, newsletter=False))
    await house.put_faults(REJECTED)
    assert await house.deliver() == ["parked"]
    (parked,) = (await answer(config, "parked", "list"))["contacts"]
    result = await run(config, "contacts", "show", parked["id"])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{ONE}: parked (rejected)")
    assert "0x80044331" in result.stdout
    assert "'#12'" in (await run(config, "contacts", "show", "--help")).stdout


async def test_a_parked_person_is_listed_with_when_that_was(house: Harness, config: Path) -> None:
    await house.receive(says(ONE, minute=1, newsletter=False))
    house.clock.advance(timedelta(minutes=5))
    await house.put_faults(REJECTED)
    await house.deliver()
    (parked,) = (await answer(config, "parked", "list"))["contacts"]
    assert (parked["changed_at"], parked["parked_at"]) == (
        "2026-03-01T12:00:00.000+00:00",
        "2026-03-01T12:05:00.000+00:00",
    )
    result = await run(config, "parked", "list")
    assert f"parked 2026-03-01T12:05:00.000+00:00  {parked['id']}  rejected" in result.stdout


async def test_an_unknown_number_says_where_numbers_come_from(config: Path) -> None:
    result = await run(config, "contacts", "show", "#999")
    assert result.exit_code == 1
    assert "No contact has the number #999. Take one from `parked list`." in result.stderr


async def test_as_many_attempts_are_shown_as_are_asked_for(house: Harness, config: Path) -> None:
    for minute in (1, 2, 3):
        await house.receive(says(ONE, minute=minute, newsletter=bool(minute % 2)))
        await house.after(timedelta(minutes=1))
    shown = await answer(config, "contacts", "show", ONE, "--limit", "2")
    assert (len(shown["attempts"]), len(shown["notifications"])) == (2, 2)
    assert (await run(config, "contacts", "show", ONE, "--limit", "0")).exit_code == 2


async def test_a_retry_and_a_discard_count_nothing_twice(house: Harness, config: Path) -> None:
    await house.receive(says("customer-9999", minute=1, newsletter=True))
    await house.deliver()
    result = await run(config, "contacts", "retry", "customer-9999", "CUSTOMER-9999")
    assert result.stdout.strip() == "1 is due now."
    (recorded,) = await house.receive({"type": "event.invented", "parameters": {}})
    result = await run(config, "parked", "discard", recorded.digest, recorded.digest[:12])
    assert result.stdout.strip() == "1 was parked, and is skipped now."


async def test_everything_parked_is_retried(house: Harness, config: Path) -> None:
    body: Body = {"type": "event.invented", "parameters": {}}
    await house.receive(body)
    result = await run(config, "parked", "retry")
    assert result.exit_code == 1
    assert "1 of 1 are still parked" in result.stderr
    assert "parked -> parked (unknown_type)" in result.stdout


async def test_everything_is_sent_again_after_a_resync(house: Harness, config: Path) -> None:
    await house.receive(says(ONE, minute=1, newsletter=False), says(TWO, minute=1, newsletter=True))
    await house.deliver()
    await house.put_rows({"new_didomikey": ONE}, {"new_didomikey": TWO})
    assert await answer(config, "contacts", "resync", ONE) == {"due": 1, "being_written": 0}
    assert await house.after(LATER) == ["written"]
    assert (await house.row(ONE))["new_newsletter"] is False
    assert (await house.row(TWO))["new_newsletter"] is None
    assert await answer(config, "contacts", "resync", "--all") == {"due": 2, "being_written": 0}
    assert await house.after(LATER) == ["written", "written"]
    assert (await house.row(TWO))["new_newsletter"] is True


async def test_a_contact_that_is_being_written_is_not_resynced(house: Harness, config: Path) -> None:
    """What is on its way would be remembered as confirmed, and the resync forgotten."""
    await house.receive(says(ONE, minute=1, newsletter=False))
    await house.ledger.queue.claim(now=house.clock.now(), limit=1, lease=timedelta(minutes=5))
    assert await answer(config, "contacts", "resync", ONE, exit_code=1) == {"due": 0, "being_written": 1}


@pytest.mark.parametrize("command", ["retry", "resync"])
@pytest.mark.parametrize("who", ["unknown", "#999", " "])
async def test_an_unknown_name_is_a_failure(
    config: Path,
    command: str,
    who: str,
) -> None:
    result = await run(config, "contacts", command, who)
    assert result.exit_code == 1
    assert "Didomi" in result.stderr
