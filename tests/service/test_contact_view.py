"""`contacts show` answers why a column says what it says."""

import json
from datetime import timedelta
from typing import Any

import pytest

from didomi_dataverse.admin.contacts import show_contact
from didomi_dataverse.admin.lookup import NotFoundError
from didomi_dataverse.admin.render_contact import render_contact
from didomi_dataverse.admin.session import AdminSession
from didomi_sandbox.bodies import Body, person, user_deleted, user_state
from tests.service.harness import Harness, says

ONE = "customer-0001"
NO = {"reply": {"status": 400, "body": {"error": {"code": "0x80044331", "message": "No."}}}}
MINUTE = timedelta(minutes=1)


async def seen(house: Harness, key: str = ONE) -> tuple[dict[str, Any], str]:
    """What is known of one person: as JSON, and as text."""
    view = await show_contact(AdminSession(house.ledger, house.configuration, house.clock), key)
    return view.to_json(), render_contact(view)


def line_of(text: str, column: str) -> str:
    """What the text says of one column."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"  {column} = "))
    return line


def deleted(event_id: str) -> Body:
    return {"type": "event.deleted", "parameters": {"entity": {"id": event_id}}}


async def test_a_written_column_names_rule_event_time_and_answer(house: Harness) -> None:
    await house.receive(says(ONE, minute=1, event_id="E1", newsletter=False))
    await house.deliver()
    view, text = await seen(house)
    column = view["columns"]["new_newsletter"]
    assert column["value"] is False
    assert column["confirmed"] == {"value": False}
    assert column["rule"] == "mapping.gdpr.purposes.newsletter"
    assert column["sources"] == ["E1"]
    assert column["written_at"] == house.clock.now().isoformat(timespec="milliseconds")
    assert view["attempts"][0]["status"] == 204
    assert "new_newsletter = no: mapping.gdpr.purposes.newsletter (event E1); written" in text
    json.dumps(view)


async def test_a_column_that_dataverse_was_not_told_yet_says_so(house: Harness) -> None:
    await house.receive(says("customer-9999", minute=1, newsletter=False))
    await house.deliver()
    view, text = await seen(house, "customer-9999")
    assert (view["state"], view["reason"]) == ("unmatched", "unmatched")
    assert "Dataverse was not told yet" in text
    assert "unmatched" in text


async def test_a_column_that_still_holds_the_last_value_shows_both(house: Harness) -> None:
    await house.receive(says(ONE, minute=1, newsletter=True))
    await house.deliver()
    await house.receive(says(ONE, minute=2, newsletter=False))
    _, text = await seen(house)
    assert "new_newsletter = no: mapping.gdpr.purposes.newsletter" in text
    assert "Dataverse still has yes" in text


async def test_an_unknown_identifier_is_not_found(house: Harness) -> None:
    with pytest.raises(NotFoundError, match="Is the identifier spelt as in Didomi"):
        await seen(house, "unknown")


async def test_what_a_deletion_left_is_explained(house: Harness) -> None:
    await house.receive(says(ONE, minute=1, event_id="E1", newsletter=True, email_ads=True))
    await house.receive(says(ONE, minute=2, event_id="E2", newsletter=False))
    for event_id in ("E1", "E2"):
        await house.receive({"type": "event.deleted", "parameters": {"entity": {"id": event_id}}})
    await house.receive(says(ONE, minute=0, event_id="E0", newsletter=True))
    _, text = await seen(house)
    assert "gdpr.purposes.newsletter.consent = no (deleted, but a refusal stays in force)" in text
    assert "gdpr.purposes.email_ads.consent = nothing any more: deleted" in text


async def test_evidence_is_found_however_many_attempts_came_after_it(house: Harness) -> None:
    await house.receive(says(ONE, minute=0, email_ads=False))
    await house.deliver()
    first = house.clock.now().isoformat(timespec="milliseconds")
    for minute in range(1, 26):
        await house.receive(says(ONE, minute=minute, newsletter=bool(minute % 2)))
        await house.after(MINUTE)
    view, text = await seen(house)
    column = view["columns"]["donotbulkemail"]
    assert (column["written_at"], len(view["attempts"])) == (first, 20)
    assert column["request_id"]
    assert line_of(text, "donotbulkemail").endswith(f"written {first}")
    assert text.endswith("  There are more: `--limit` shows them.")


async def test_a_refusal_that_a_rejected_row_took_counts_as_written(house: Harness) -> None:
    await house.put_faults({"match": {"path": "contacts("}, "times": 1, **NO})
    await house.receive(says(ONE, minute=1, newsletter=False, profiling=True))
    assert await house.deliver() == ["parked"]
    now = house.clock.now().isoformat(timespec="milliseconds")
    view, text = await seen(house)
    assert (
        view["columns"]["new_newsletter"]["written_at"],
        view["columns"]["new_profiling"]["written_at"],
    ) == (
        now,
        None,
    )
    assert line_of(text, "new_newsletter").endswith(f"written {now}")
    assert line_of(text, "new_profiling").endswith("Dataverse was not told yet")
    assert view["attempts"][0]["columns"]["new_newsletter"]["confirmed"] is True
    (attempt,) = (line for line in text.splitlines() if " parked: " in line)
    assert "new_newsletter (written all the same)" in attempt


async def test_an_attempt_that_found_no_row_says_what_dataverse_answered(house: Harness) -> None:
    await house.receive(says("customer-9999", minute=1, newsletter=False))
    await house.deliver()
    _, text = await seen(house, "customer-9999")
    assert "unmatched: no columns; no row has this key" in text
    assert "no answer" not in text
    for _ in range(40):
        await house.after(timedelta(hours=6))
    view, text = await seen(house, "customer-9999")
    assert (view["state"], view["attempts"][0]["outcome"]) == ("parked", "parked")
    assert " parked: no columns; no row has this key" in text
    assert "no answer" not in text


async def test_a_notification_is_shown_with_what_columns_call_it_by(house: Harness) -> None:
    await house.receive(says(ONE, minute=1, event_id="E1", newsletter=False))
    view, text = await seen(house)
    assert view["notifications"][0]["source"] == "E1"
    assert "event.created E1 of 2026-03-01T11:01:00.000+00:00: applied" in text


async def test_a_deletion_is_given_as_the_reason(house: Harness) -> None:
    await house.receive(says(ONE, minute=1, event_id="E1", email_ads=True))
    await house.deliver()
    await house.receive(deleted("E1"))
    await house.deliver()
    view, text = await seen(house)
    assert view["columns"]["donotbulkemail"]["deleted"] is True
    assert (
        "donotbulkemail = yes: nothing is left after a deletion: no consent"
        " (mapping.gdpr.purposes.email_ads, inverted; was event E1); written" in text
    )
    assert line_of(text, "new_didomievent").startswith(
        "  new_didomievent = (empty): nothing is left after a deletion (mapping.gdpr.stamps.notification_id)"
    )


async def test_a_choice_that_another_purpose_still_says_is_not_deleted(house: Harness) -> None:
    await house.receive(says(ONE, minute=1, event_id="E1", email_ads=True))
    await house.receive(says(ONE, minute=2, event_id="E2", newsletter=True))
    await house.receive(deleted("E2"))
    view, _ = await seen(house)
    assert {name: column["deleted"] for name, column in view["columns"].items()} == {
        "donotbulkemail": False,
        "new_consentchangedon": False,
        "new_didomievent": False,
        "new_newsletter": True,
    }


async def test_the_deletion_of_a_shared_device_is_shown_for_every_person_it_concerns(house: Harness) -> None:
    """The log names one person for each notification."""
    others = ("customer-0002", "customer-0003")
    await house.receive(*(says(who, minute=1, device="tablet", newsletter=True) for who in (ONE, others[0])))
    await house.receive(says(others[1], minute=1, device="phone", newsletter=True))
    user = user_state(person(None, didomi_user_id="tablet"), [], version=9, updated_at=house.clock.now())
    await house.receive(user_deleted(user))
    kinds = {
        who: [one["type"] for one in (await seen(house, who))[0]["notifications"]] for who in (ONE, *others)
    }
    assert kinds == {
        ONE: ["user.deleted", "event.created"],
        others[0]: ["user.deleted", "event.created"],
        others[1]: ["event.created"],
    }


async def test_an_inverted_column_says_so(house: Harness) -> None:
    await house.receive(says(ONE, minute=1, event_id="E1", email_ads=False, newsletter=False))
    view, text = await seen(house)
    assert view["columns"]["donotbulkemail"]["inverted"] is True
    assert view["columns"]["new_newsletter"]["inverted"] is False
    assert "donotbulkemail = yes: mapping.gdpr.purposes.email_ads, inverted (event E1)" in text
    assert "new_newsletter = no: mapping.gdpr.purposes.newsletter (event E1)" in text


async def test_a_stamp_that_waits_for_a_column_says_so(house: Harness) -> None:
    await house.receive(says(ONE, minute=1, event_id="E1", email_ads=True))
    await house.receive(says(ONE, minute=2, event_id="E2", newsletter=True))
    await house.deliver()
    await house.receive(deleted("E2"))
    _, text = await seen(house)
    assert line_of(text, "new_newsletter").endswith("Dataverse still has yes")
    waits = "Dataverse still has E2 (a stamp goes out with the next column)"
    assert line_of(text, "new_didomievent").endswith(waits)
    await house.deliver()
    _, text = await seen(house)
    assert line_of(text, "new_didomievent").endswith(waits)
    await house.receive(says(ONE, minute=3, event_id="E3", email_ads=False))
    await house.deliver()
    _, text = await seen(house)
    assert "a stamp goes out" not in text


async def test_a_column_that_is_sent_again_was_told_before(house: Harness) -> None:
    await house.receive(says(ONE, minute=1, newsletter=False))
    await house.deliver()
    now = house.clock.now().isoformat(timespec="milliseconds")
    await house.ledger.commands.resync([(await house.contact(ONE)).contact_id], now=house.clock.now())
    _, text = await seen(house)
    assert line_of(text, "new_newsletter").endswith(f"written {now}, and to be written again")
