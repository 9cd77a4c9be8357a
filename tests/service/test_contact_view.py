"""`contacts show` answers why a column says what it says."""

import json

from didomi_dataverse.operate.contact_view import contact_view, readable
from tests.service.house import House, says

ONE = "customer-0001"


async def test_a_written_column_names_rule_event_time_and_answer(house: House) -> None:
    await house.receive(says(ONE, minute=1, event_id="E1", newsletter=False))
    await house.deliver()
    view = await contact_view(house.ledger, house.configuration.mapping, ONE)
    assert view is not None
    column = view["columns"]["new_newsletter"]
    assert column["value"] is False
    assert column["confirmed"] == {"value": False}
    assert column["rule"] == "mapping.gdpr.purposes.newsletter"
    assert column["sources"] == ["E1"]
    assert column["written_at"] == house.clock.now().isoformat(timespec="milliseconds")
    assert view["attempts"][0]["status"] == 204
    assert "new_newsletter = no: mapping.gdpr.purposes.newsletter (event E1); written" in readable(view)
    json.dumps(view)


async def test_a_column_that_dataverse_was_not_told_yet_says_so(house: House) -> None:
    await house.receive(says("customer-9999", minute=1, newsletter=False))
    await house.deliver()
    view = await contact_view(house.ledger, house.configuration.mapping, "customer-9999")
    assert view is not None
    assert (view["state"], view["reason"]) == ("unmatched", "unmatched")
    text = readable(view)
    assert "Dataverse was not told yet" in text
    assert "unmatched" in text


async def test_a_column_that_still_holds_the_last_value_shows_both(house: House) -> None:
    await house.receive(says(ONE, minute=1, newsletter=True))
    await house.deliver()
    await house.receive(says(ONE, minute=2, newsletter=False))
    view = await contact_view(house.ledger, house.configuration.mapping, ONE)
    assert view is not None
    assert "new_newsletter = no: mapping.gdpr.purposes.newsletter" in readable(view)
    assert "Dataverse still has yes" in readable(view)


async def test_nobody_is_found_under_an_unknown_identifier(house: House) -> None:
    assert await contact_view(house.ledger, house.configuration.mapping, "nobody") is None


async def test_what_a_deletion_left_is_explained(house: House) -> None:
    await house.receive(says(ONE, minute=1, event_id="E1", newsletter=True, email_ads=True))
    await house.receive(says(ONE, minute=2, event_id="E2", newsletter=False))
    for event_id in ("E1", "E2"):
        await house.receive({"type": "event.deleted", "parameters": {"entity": {"id": event_id}}})
    await house.receive(says(ONE, minute=0, event_id="E0", newsletter=True))
    view = await contact_view(house.ledger, house.configuration.mapping, ONE)
    assert view is not None
    text = readable(view)
    assert "gdpr.purposes.newsletter.consent = no (deleted, but a refusal stays in force)" in text
    assert "gdpr.purposes.email_ads.consent = nothing any more: deleted" in text
