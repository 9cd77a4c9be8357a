"""From a notification to the Contact row, and all that can happen on the way, in every delivery mode."""

from datetime import timedelta
from pathlib import Path

import pytest

from dataverse_sandbox import SandboxServer
from didomi_dataverse.delivery.rate_limit.state import ALERT_PAUSE
from didomi_dataverse.delivery.retry import FIRST_RECHECK
from didomi_dataverse.ledger.delivery_state import DeliveryState
from didomi_sandbox.bodies import event, event_created, person, purpose
from tests.clocks import START
from tests.service.harness import Harness, open_house, replaced, says

ONE, TWO, THREE = "customer-0001", "customer-0002", "customer-0003"
STRANGER = "customer-9999"
BY_EMAIL = ("{ alternate_key: new_didomikey }", "{ column: emailaddress1 }")
BY_CONTACT_ID = ("{ alternate_key: new_didomikey }", "{ contactid: true }")
MAY_CREATE = ("upsert: false", "upsert: true\n  on_create: { lastname: Unknown }")


def refusal(status: int, code: str, **more: object) -> dict[str, object]:
    """A fault: the sandbox answers matching requests with this error."""
    return {"reply": {"status": status, "body": {"error": {"code": code, "message": "No."}}, **more}}


def call(mode: str) -> dict[str, object]:
    """What matches the next call that is about rows."""
    return {"path": "contacts("} if mode == "single" else {"method": "POST", "path": "$batch"}


@pytest.fixture(params=["batch", "multiple", "single"])
def mode(request: pytest.FixtureRequest) -> str:
    """The same story, told in each of the three ways."""
    found: str = request.param
    return found


async def test_every_kind_of_column_gets_its_value(house: Harness) -> None:
    who = person(ONE, country="FR", metadata={"loyalty_id": "L-7"})
    chosen = [
        purpose("newsletter", enabled=True),
        purpose("email_ads", enabled=False),
        purpose(
            "profiling",
            enabled=False,
            legitimate_interest=False,
            values={
                "topics": ["sport", "culture"],
                "frequency": "weekly",
                "interests": "film",
                "remark": "evenings, please",
                "language": "fr",
            },
        ),
    ]
    body = event_created(event("E1", who, chosen, created_at=START, channels={"sms": True}))
    await house.receive(body)
    assert await house.deliver() == ["written"]
    row = await house.row(ONE)
    expected = {
        "new_newsletter": True,
        "donotbulkemail": True,
        "new_profiling": 100000001,
        "new_profilingobjection": True,
        "new_profilingon": "2026-03-01T12:00:00Z",
        "new_topics": "100000000,100000001",
        "new_frequency": 2,
        "new_likesmusic": False,
        "new_likesfilm": True,
        "new_remark": "evenings, please",
        "new_language": "fr",
        "donotphone": False,
        "address1_country": "FR",
        "new_loyaltyid": "L-7",
        "new_consentchangedon": "2026-03-01T12:00:00Z",
        "new_didomievent": "E1",
    }
    assert {name: row[name] for name in expected} == expected


async def test_a_repeated_notification_causes_no_write(house: Harness) -> None:
    body = says(ONE, minute=1, newsletter=True)
    await house.receive(body)
    await house.deliver()
    again = await house.receive(body, body)
    assert [kept.duplicate for kept in again] == [True, True]
    assert await house.deliver() == []
    assert (await house.stats())["rows_written"] == 1


async def test_an_older_choice_that_arrives_later_changes_nothing(house: Harness) -> None:
    await house.receive(says(ONE, minute=10, newsletter=False))
    await house.deliver()
    await house.receive(says(ONE, minute=5, newsletter=True))
    assert await house.deliver() == []
    assert (await house.row(ONE))["new_newsletter"] is False


async def test_an_older_notification_still_holds_the_newest_word_on_something_else(house: Harness) -> None:
    await house.receive(says(ONE, minute=10, newsletter=False))
    await house.receive(says(ONE, minute=5, newsletter=True, email_ads=False))
    await house.deliver()
    row = await house.row(ONE)
    assert (row["new_newsletter"], row["donotbulkemail"]) == (False, True)


async def test_no_choice_is_never_written(house: Harness) -> None:
    await house.receive(says(ONE, minute=1, newsletter=None, email_ads=True))
    await house.deliver()
    row = await house.row(ONE)
    assert row["new_newsletter"] is None


async def test_repeating_a_choice_overrides_an_edit_made_in_the_crm(house: Harness) -> None:
    await house.receive(says(ONE, minute=1, newsletter=False))
    await house.deliver()
    await house.put_rows({"new_didomikey": ONE, "new_newsletter": True})
    await house.receive(says(ONE, minute=2, newsletter=False))
    assert await house.deliver() == ["written"]
    assert (await house.row(ONE))["new_newsletter"] is False


async def test_many_contacts_share_a_call(house: Harness, mode: str) -> None:
    await house.receive(*(says(key, minute=1, newsletter=True) for key in (ONE, TWO, THREE)))
    assert await house.deliver() == ["written"] * 3
    calls = (await house.stats())["calls"]
    expected = {
        "batch": {"batch": {"200": 1}},
        # Their keys are resolved first.
        "multiple": {"batch": {"200": 1}, "update_multiple": {"204": 1}},
        "single": {"patch": {"204": 3}},
    }
    assert {kind: calls[kind] for kind in expected[mode]} == expected[mode]


# --- Finding the row


async def test_a_person_without_a_row_is_kept_and_nothing_is_created(house: Harness) -> None:
    rows = len(await house.rows())
    await house.receive(says(STRANGER, minute=1, newsletter=True))
    assert await house.deliver() == ["unmatched"]
    assert len(await house.rows()) == rows
    assert (await house.contact(STRANGER)).state is DeliveryState.UNMATCHED


async def test_a_row_that_turns_up_later_gets_every_choice(house: Harness) -> None:
    await house.receive(says(STRANGER, minute=1, newsletter=False))
    await house.deliver()
    await house.receive(says(STRANGER, minute=2, email_ads=False))
    assert await house.deliver() == ["unmatched"]
    await house.put_rows({"new_didomikey": STRANGER})
    assert await house.after(FIRST_RECHECK) == ["written"]
    row = await house.row(STRANGER)
    assert (row["new_newsletter"], row["donotbulkemail"]) == (False, True)


async def test_a_row_is_looked_for_no_longer_than_configured(house: Harness) -> None:
    await house.receive(says(STRANGER, minute=1, newsletter=True))
    outcomes = await house.deliver()
    for _ in range(60):
        outcomes += await house.after(timedelta(hours=6))
    parked = await house.contact(STRANGER)
    assert (parked.state, parked.reason) == (DeliveryState.PARKED, "unmatched")
    assert outcomes[-1] == "parked"
    # Less often the longer it lasts: ten doublings of a minute, then every six hours of the week.
    assert 20 < len(outcomes) < 40


async def test_a_row_that_vanished_and_came_back_gets_every_choice_again(house: Harness) -> None:
    await house.receive(says(ONE, minute=1, newsletter=False, email_ads=False))
    await house.deliver()
    await house.put_rows()
    await house.receive(says(ONE, minute=2, newsletter=True))
    assert await house.deliver() == ["unmatched"]
    await house.put_rows({"new_didomikey": ONE})
    assert await house.after(FIRST_RECHECK) == ["written"]
    row = await house.row(ONE)
    assert (row["new_newsletter"], row["donotbulkemail"]) == (True, True)


async def test_an_identifier_that_no_key_url_can_carry_finds_its_row(house: Harness) -> None:
    odd = "o'neil+news/50%@example.com"
    await house.put_rows({"new_didomikey": odd})
    await house.receive(says(odd, minute=1, newsletter=False))
    assert await house.deliver() == ["written"]
    assert (await house.row(odd))["new_newsletter"] is False


async def test_two_spellings_of_one_identifier_are_one_contact(house: Harness) -> None:
    await house.receive(says("Customer-0001", minute=1, newsletter=True))
    await house.receive(says("CUSTOMER-0001 ", minute=2, newsletter=False))
    assert await house.deliver() == ["written"]
    assert (await house.row(ONE))["new_newsletter"] is False


async def test_matching_by_another_column(sandbox: SandboxServer, tmp_path: Path, mode: str) -> None:
    async with open_house(sandbox, tmp_path, mode=mode, change=replaced(BY_EMAIL)) as house:
        await house.receive(says("customer-0002@example.com", minute=1, newsletter=False))
        assert await house.deliver() == ["written"]
        assert (await house.row(TWO))["new_newsletter"] is False


async def test_several_rows_with_one_value_are_left_alone_and_parked(
    sandbox: SandboxServer, tmp_path: Path, mode: str
) -> None:
    async with open_house(sandbox, tmp_path, mode=mode, change=replaced(BY_EMAIL)) as house:
        await house.put_rows({"emailaddress1": "a@example.com"}, {"emailaddress1": "A@example.com"})
        await house.receive(says("a@example.com", minute=1, newsletter=True))
        assert await house.deliver() == ["parked"]
        assert (await house.contact("a@example.com")).reason == "several_rows"
        assert [row["new_newsletter"] for row in await house.rows()] == [None, None]


async def test_several_rows_are_all_written_where_that_is_wanted(
    sandbox: SandboxServer, tmp_path: Path, mode: str
) -> None:
    every = ("upsert: false", "upsert: false\n  on_many: all")
    async with open_house(sandbox, tmp_path, mode=mode, change=replaced(BY_EMAIL, every)) as house:
        await house.put_rows({"emailaddress1": "a@example.com"}, {"emailaddress1": "A@example.com"})
        await house.receive(says("a@example.com", minute=1, newsletter=False))
        assert await house.deliver() == ["written"]
        assert [row["new_newsletter"] for row in await house.rows()] == [False, False]


async def test_matching_by_the_contact_id(sandbox: SandboxServer, tmp_path: Path, mode: str) -> None:
    async with open_house(sandbox, tmp_path, mode=mode, change=replaced(BY_CONTACT_ID)) as house:
        guid = (await house.row(ONE))["contactid"]
        await house.receive(says(f"{{{guid.upper()}}}", minute=1, newsletter=False))
        assert await house.deliver() == ["written"]
        assert (await house.row(ONE))["new_newsletter"] is False


# --- Creating the row

CREATED = {
    "lastname": "Unknown",
    "new_newsletter": True,
    "donotbulkemail": True,  # the person did not allow e-mail ads, and the table's own default would
    "donotphone": True,
    "new_profiling": 100000001,
    "new_profilingobjection": True,
    "new_likesmusic": False,
    "new_topics": None,
}


@pytest.mark.parametrize(
    ("key", "change", "column"),
    [
        pytest.param(STRANGER, (), "new_didomikey", id="by its key"),
        pytest.param("a+b@example.com", (), "new_didomikey", id="by a key that no URL can carry"),
        pytest.param("new@example.com", (BY_EMAIL,), "emailaddress1", id="by another column"),
    ],
)
async def test_a_created_row_refuses_whatever_was_not_granted(
    sandbox: SandboxServer,
    tmp_path: Path,
    *,
    mode: str,
    key: str,
    change: tuple[tuple[str, str], ...],
    column: str,
) -> None:
    async with open_house(sandbox, tmp_path, mode=mode, change=replaced(MAY_CREATE, *change)) as house:
        await house.receive(says(key, minute=1, newsletter=True))
        assert await house.deliver() == ["created"]
        row = await house.row(key, column=column)
        assert {name: row[name] for name in CREATED} == CREATED
        await house.receive(says(key, minute=2, newsletter=False))
        assert await house.deliver() == ["written"]
        assert (await house.row(key, column=column))["new_newsletter"] is False


async def test_on_create_never_touches_a_row_that_is_there(
    sandbox: SandboxServer, tmp_path: Path, mode: str
) -> None:
    async with open_house(sandbox, tmp_path, mode=mode, change=replaced(MAY_CREATE)) as house:
        await house.receive(says(ONE, minute=1, newsletter=True))
        assert await house.deliver() == ["written"]
        row = await house.row(ONE)
        assert row["lastname"] != "Unknown"
        assert row["donotbulkemail"] is False


@pytest.mark.parametrize("change", [(), (BY_EMAIL,)], ids=["by its key", "by another column"])
async def test_a_creation_whose_answer_was_lost_makes_one_row(
    sandbox: SandboxServer, tmp_path: Path, mode: str, change: tuple[tuple[str, str], ...]
) -> None:
    async with open_house(sandbox, tmp_path, mode=mode, change=replaced(MAY_CREATE, *change)) as house:
        await house.put_rows()
        await house.put_faults(
            {
                "match": {"method": "PATCH", "path": "contacts(", "columns": {"lastname": "Unknown"}},
                "behaviour": "cut_after_commit",
                "times": 1,
            }
        )
        await house.receive(says("someone@example.com", minute=1, newsletter=False))
        outcomes = await house.deliver()
        outcomes += await house.after(timedelta(minutes=1))
        assert outcomes == ["retried", "written"]
        rows = await house.rows()
        assert [row["new_newsletter"] for row in rows] == [False]


# --- Trouble


async def test_a_rejected_row_is_parked_and_its_neighbours_are_delivered(house: Harness) -> None:
    too_long = event_created(
        event(
            "E2",
            person(TWO),
            [
                purpose("newsletter", enabled=False),
                purpose("profiling", None, values={"language": "x" * 101}),
            ],
            created_at=START,
        )
    )
    await house.receive(
        says(ONE, minute=1, newsletter=True), too_long, says(THREE, minute=1, newsletter=True)
    )
    assert sorted(await house.deliver()) == ["parked", "written", "written"]
    parked = await house.contact(TWO)
    assert (parked.state, parked.reason) == (DeliveryState.PARKED, "rejected")
    attempt = (await house.ledger.reader.attempts_of(parked.contact_id, 1))[0]
    assert (attempt.status, attempt.code) == (400, "0x80044331")
    assert "x" * 101 not in attempt.message
    assert (await house.row(TWO))["new_newsletter"] is False
    assert set(parked.written) == {"new_newsletter"}


async def test_a_parked_contact_is_tried_again_when_its_choices_change(house: Harness) -> None:
    await house.put_faults({"match": {"path": "contacts("}, **refusal(400, "0x80044331"), "times": 1})
    await house.receive(says(ONE, minute=1, newsletter=True))
    assert await house.deliver() == ["parked"]
    await house.receive(says(ONE, minute=2, newsletter=False))
    assert await house.deliver() == ["written"]


async def test_a_throttle_pauses_the_sender_and_drops_nothing(house: Harness, mode: str) -> None:
    fault = refusal(429, "0x80072322", headers={"Retry-After": "60"})
    await house.put_faults({"match": call(mode), **fault, "times": 1})
    await house.receive(says(ONE, minute=1, newsletter=False))
    assert await house.deliver() == ["postponed"]
    await house.receive(says(TWO, minute=1, newsletter=False))
    assert await house.after(timedelta(seconds=59)) == []
    assert sorted(await house.after(timedelta(seconds=1))) == ["written", "written"]
    assert (await house.contact(ONE)).attempts == 0


async def test_a_throttle_of_a_single_part_pauses_the_sender_too(house: Harness) -> None:
    fault = refusal(429, "0x80072322", headers={"Retry-After": "30"})
    await house.put_faults({"match": {"method": "PATCH"}, **fault, "times": 1})
    await house.receive(says(ONE, minute=1, newsletter=False))
    assert await house.deliver() == ["postponed"]
    assert await house.after(timedelta(seconds=29)) == []
    assert await house.after(timedelta(seconds=1)) == ["written"]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"behaviour": "cut_before"}, id="cut before the server did anything"),
        pytest.param({"behaviour": "cut_after_commit"}, id="cut after the server wrote"),
        pytest.param({"behaviour": "html"}, id="a gateway's page"),
        pytest.param({"reply": {"status": 502}}, id="an empty gateway error"),
        pytest.param({"reply": {"status": 503, "headers": {"Retry-After": "5"}}}, id="unavailable"),
        pytest.param({"reply": {"status": 500, "body": {"Message": "Oops"}}}, id="an unknown failure"),
    ],
)
async def test_an_outage_delays_and_loses_nothing(
    house: Harness, mode: str, fault: dict[str, object]
) -> None:
    await house.put_faults({"match": call(mode), **fault, "times": 3})
    await house.receive(says(ONE, minute=1, newsletter=False), says(TWO, minute=1, newsletter=True))
    await house.deliver()
    for _ in range(20):
        await house.after(timedelta(seconds=30))
    assert (await house.row(ONE))["new_newsletter"] is False
    assert (await house.row(TWO))["new_newsletter"] is True
    assert (await house.contact(ONE)).state is DeliveryState.SETTLED


async def test_a_row_that_keeps_failing_is_parked_in_the_end(house: Harness) -> None:
    await house.put_faults({"match": {"method": "PATCH"}, **refusal(500, "0x80044150"), "times": 99})
    await house.receive(says(ONE, minute=1, newsletter=True))
    outcomes = await house.deliver()
    for _ in range(20):
        outcomes += await house.after(timedelta(minutes=15))
    assert outcomes == ["retried"] * 5 + ["parked"]


async def test_an_expired_token_is_renewed_without_anybody_noticing(house: Harness, mode: str) -> None:
    await house.put_faults({"match": call(mode), "reply": {"status": 401}, "times": 1})
    await house.receive(says(ONE, minute=1, newsletter=False))
    assert await house.deliver() == ["written"]


async def test_a_missing_right_stops_the_sender_until_it_is_granted(house: Harness) -> None:
    await house.put_faults({"match": {"method": "PATCH"}, **refusal(403, "0x80040220"), "times": 2})
    await house.receive(says(ONE, minute=1, newsletter=False))
    assert await house.deliver() == ["alerted"]
    alert = house.sender.rate_limit.alert
    assert alert is not None
    assert "prvWriteContact" in alert.advice
    assert (await house.contact(ONE)).state is DeliveryState.DUE
    assert await house.after(ALERT_PAUSE) == ["alerted"]
    assert await house.after(ALERT_PAUSE) == ["written"]
    assert house.sender.rate_limit.alert is None


async def test_a_refusal_of_one_row_does_not_stop_its_neighbours(house: Harness) -> None:
    his = {"path": "contacts", "columns": {"new_didomikey": ONE}}
    fault = {"match": his, **refusal(403, "0x80048306"), "times": 99}
    await house.put_faults(fault)
    await house.receive(says(ONE, minute=1, newsletter=True), says(TWO, minute=1, newsletter=True))
    assert sorted(await house.deliver()) == ["alerted", "written"]
    assert house.sender.rate_limit.alert is None


async def test_a_mapping_that_no_row_can_take_is_an_alert_and_parks_no_contact(
    sandbox: SandboxServer, tmp_path: Path, mode: str
) -> None:
    typo = ("newsletter: new_newsletter", "newsletter: new_newsleter")
    async with open_house(sandbox, tmp_path, mode=mode, change=replaced(typo)) as house:
        await house.receive(says(ONE, minute=1, newsletter=False), says(TWO, minute=1, newsletter=False))
        assert await house.deliver() == ["alerted", "alerted"]
        assert await house.after(ALERT_PAUSE) == ["alerted", "alerted"]
        assert house.sender.rate_limit.alert is not None
    async with open_house(sandbox, tmp_path, mode=mode, clock=house.clock) as mended:
        mended.clock.advance(timedelta(minutes=1))
        assert await mended.deliver() == ["written", "written"]


async def test_a_wrong_secret_is_an_alert_and_not_a_loop(
    sandbox: SandboxServer, tmp_path: Path, mode: str
) -> None:
    secret = sandbox.identity.client_secret
    async with open_house(
        sandbox, tmp_path, mode=mode, change=replaced((secret, "not-the-secret-at-all"))
    ) as house:
        await house.receive(says(ONE, minute=1, newsletter=False))
        assert await house.deliver() == ["alerted"]
        alert = house.sender.rate_limit.alert
        assert alert is not None
        assert "not-the-secret-at-all" not in alert.advice
        assert (await house.contact(ONE)).state is DeliveryState.DUE


# --- Order, leases, restarts


async def test_withdrawals_are_written_before_everything_else(
    sandbox: SandboxServer, tmp_path: Path, mode: str
) -> None:
    async with open_house(sandbox, tmp_path, mode=mode, max_rows=1) as house:
        await house.receive(*(says(key, minute=1, newsletter=True) for key in (ONE, TWO)))
        await house.receive(says(THREE, minute=1, newsletter=False))
        await house.worker.run_once()
        assert (await house.row(THREE))["new_newsletter"] is False
        assert (await house.row(ONE))["new_newsletter"] is None


async def test_a_choice_that_arrives_during_a_write_is_written_next(house: Harness) -> None:
    await house.receive(says(ONE, minute=1, newsletter=True))
    claims = await house.ledger.queue.claim(now=house.clock.now(), limit=1, lease=timedelta(minutes=5))
    await house.receive(says(ONE, minute=2, newsletter=False))
    await house.sender.deliver(claims, claimed_at=house.clock.monotonic())
    assert (await house.contact(ONE)).state is DeliveryState.DUE
    assert await house.deliver() == ["written"]
    assert (await house.row(ONE))["new_newsletter"] is False


async def test_a_worker_whose_lease_ended_cannot_settle(house: Harness) -> None:
    await house.receive(says(ONE, minute=1, newsletter=True))
    stalled = await house.ledger.queue.claim(now=house.clock.now(), limit=1, lease=timedelta(minutes=5))
    began = house.clock.monotonic()
    house.clock.advance(timedelta(minutes=10))
    await house.receive(says(ONE, minute=2, newsletter=False))
    assert await house.deliver() == ["written"]
    await house.sender.deliver(stalled, claimed_at=began)
    assert (await house.row(ONE))["new_newsletter"] is False
    assert (await house.contact(ONE)).state is DeliveryState.SETTLED


async def test_a_changed_mapping_writes_only_what_differs(
    sandbox: SandboxServer, tmp_path: Path, mode: str
) -> None:
    async with open_house(sandbox, tmp_path, mode=mode) as house:
        await house.receive(says(ONE, minute=1, newsletter=True, email_ads=True, gifts=False))
        await house.deliver()
        clock = house.clock
    more = ("newsletter: new_newsletter", "newsletter: new_newsletter\n      gifts: followemail")
    async with open_house(sandbox, tmp_path, mode=mode, change=replaced(more), clock=clock) as again:
        assert await again.deliver() == ["written"]
        (write,) = again.heard.exchanges[-1]
        assert list(getattr(write, "columns")) == ["followemail"]  # noqa: B009 - a look-up has none


async def test_what_a_crash_left_undone_is_done_at_the_next_start(
    sandbox: SandboxServer, tmp_path: Path, mode: str
) -> None:
    """The only process of its store need not wait for the leases of its predecessor."""
    async with open_house(sandbox, tmp_path, mode=mode) as house:
        await house.receive(says(ONE, minute=1, newsletter=False))
        await house.ledger.queue.claim(now=house.clock.now(), limit=1, lease=timedelta(minutes=5))
        clock = house.clock
    async with open_house(sandbox, tmp_path, mode=mode, clock=clock) as restarted:
        assert await restarted.deliver() == ["written"]


async def test_a_value_that_the_mapping_does_not_know_is_reported(house: Harness) -> None:
    await house.receive(
        event_created(
            event(
                "E1",
                person(ONE),
                [purpose("profiling", None, values={"topics": "sport,opera"})],
                created_at=START,
            )
        )
    )
    await house.deliver()
    assert (await house.row(ONE))["new_topics"] == "100000000"
    assert [(found.problem, found.ids) for found in house.heard.findings] == [("unmapped_value", ("opera",))]
