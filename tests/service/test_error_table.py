"""Every row of dataverse.md 5.3, given to one contact of three: what is done, what a person sees, and that
its neighbours do not notice.
"""

from datetime import timedelta

import pytest

from didomi_dataverse.dataverse.errors.classify import classify
from didomi_dataverse.dataverse.errors.entry import Action
from didomi_dataverse.dataverse.replies import Answered
from didomi_dataverse.dataverse.requests import Condition
from didomi_dataverse.ledger.delivery_state import DeliveryState
from tests.service.harness import Harness, says

ONE, TWO, THREE = "customer-0001", "customer-0002", "customer-0003"
MENDED = timedelta(minutes=20)
"""Longer than any of these waits."""

# Status, code, class of action, outcome. A status in brackets there is inferred.
ROWS = [
    (400, "0x0", Action.DEAD, "parked"),
    (400, "0x80048d19", Action.DEAD, "parked"),
    (400, "0x8006088a", Action.DEAD, "parked"),
    (404, "0x8006088a", Action.ALERT, "alerted"),
    (400, "0x80060888", Action.ALERT, "alerted"),
    (400, "0x80060890", Action.ALERT, "alerted"),
    (400, "0x8006088f", Action.DEAD, "parked"),
    (400, "0x8006089d", Action.ALERT, "alerted"),
    (404, "0x80060891", Action.SKIP, "unmatched"),
    (404, "0x80040217", Action.RE_RESOLVE, "unmatched"),
    (404, "", Action.RE_RESOLVE, "unmatched"),
    (412, "0x80060892", Action.REUPSERT, "retried"),
    (412, "0x80040237", Action.REUPSERT, "retried"),
    (412, "0x80060882", Action.RETRY, "retried"),
    (400, "0x8006088d", Action.ALERT, "alerted"),
    (412, "0x80040333", Action.DEAD, "parked"),
    (500, "0x80040333", Action.DEAD, "parked"),
    (400, "0x80044331", Action.DEAD, "parked"),
    (400, "0x8004432f", Action.DEAD, "parked"),
    (400, "0x80044330", Action.DEAD, "parked"),
    (400, "0x8004431a", Action.DEAD, "parked"),
    (400, "0x8004431c", Action.DEAD, "parked"),
    (400, "0x80040239", Action.DEAD, "parked"),
    (400, "0x80040203", Action.DEAD, "parked"),
    (400, "0x80040200", Action.DEAD, "parked"),
    (400, "0x8005e009", Action.ALERT, "alerted"),
    (400, "0x80040265", Action.DEAD, "parked"),
    (400, "0x80040224", Action.RETRY, "retried"),
    (400, "0x80040216", Action.DEAD, "parked"),
    (500, "0x80044171", Action.RETRY, "retried"),
    (400, "0x80044172", Action.RETRY, "retried"),
    (500, "0x80044173", Action.RETRY, "retried"),
    (500, "0x80081111", Action.RETRY, "retried"),
    (500, "0x80081116", Action.RETRY, "retried"),
    (500, "0x80044150", Action.RETRY, "retried"),
    (500, "0x80044151", Action.RETRY, "retried"),
    (500, "0x80040255", Action.RETRY, "retried"),
    (500, "0x80040251", Action.RETRY, "retried"),
    (500, "0x80073000", Action.RETRY, "retried"),
    (400, "0x80073001", Action.DEAD, "parked"),
    (400, "0x80073002", Action.REUPSERT, "retried"),
    (400, "0x80071154", Action.RETRY, "retried"),
    (503, "0x8004a001", Action.RETRY, "retried"),
    (503, "0x80072323", Action.RETRY, "retried"),
    (503, "0x80072324", Action.RETRY, "retried"),
    (400, "0x80072325", Action.ALERT, "alerted"),
    (500, "0x80048543", Action.RETRY, "retried"),
    (400, "0x8004022e", Action.DEAD, "parked"),
    *(
        (401, code, Action.TOKEN, "alerted")
        for code in (
            *("0x8004a101", "0x8004a102", "0x8004a100", "0x8004a105", "0x8004a103"),
            *("0x80040204", "0x80044300", "0x80044302", "0x80040277", ""),
        )
    ),
    *(
        (403, code, Action.ALERT, "alerted")
        for code in (
            *("0x80040220", "0x80048306", "0x80040256", "0x8004020d", "0x80040231", "0x80048405"),
            *("0x80040276", "0x8004049e", "0x8004f502", "0x8004f504", "0x8004f507", "0x8004a110"),
            *("0x80072560", "0x80095ffc", "0x80040225", "0x8004d24b", "0x80042f09", "0x80040299"),
        )
    ),
    (503, "0x8004a104", Action.ALERT, "alerted"),
    (405, "0x8004023b", Action.ALERT, "alerted"),
    (405, "0x80040315", Action.ALERT, "alerted"),
    (413, "0x8004418a", Action.DEAD, "parked"),
    (413, "", Action.DEAD, "parked"),
    (429, "0x80072322", Action.WAIT, "postponed"),
    (429, "0x80072321", Action.WAIT, "postponed"),
    (429, "0x80072326", Action.WAIT, "postponed"),
    (429, "0x8005f103", Action.WAIT, "postponed"),
    (500, "", Action.RETRY, "retried"),
    (501, "", Action.ALERT, "alerted"),
    (502, "", Action.RETRY, "retried"),
    (503, "", Action.RETRY, "retried"),
    (504, "", Action.RETRY, "retried"),
]
STATES = {
    "parked": DeliveryState.PARKED,
    "unmatched": DeliveryState.UNMATCHED,
    "alerted": DeliveryState.DUE,
    "retried": DeliveryState.DUE,
    "postponed": DeliveryState.DUE,
}


def ids(row: tuple[int, str, Action, str]) -> str:
    return f"{row[0]} {row[1] or 'without a code'}"


def strikes_one(status: int, code: str, **match: object) -> dict[str, object]:
    headers = {"Retry-After": "30"} if status == 429 else {}
    body = {"error": {"code": code, "message": "It was refused."}}
    return {
        "match": {"columns": {"new_didomikey": ONE}, **match},
        "reply": {"status": status, "headers": headers, "body": body},
        "times": 1,
    }


@pytest.mark.parametrize(("status", "code", "action", "outcome"), ROWS, ids=map(ids, ROWS))
async def test_a_row_of_the_catalogue_strikes_its_contact_alone(
    house: Harness, status: int, code: str, action: Action, outcome: str
) -> None:
    answered = Answered(status=status, code=code)
    assert classify(answered, Condition.UPDATE_ONLY).action_alone is action
    await house.put_faults(strikes_one(status, code, method="PATCH"))
    await house.receive(*(says(key, minute=1, newsletter=True) for key in (ONE, TWO, THREE)))

    assert sorted(await house.deliver()) == sorted([outcome, "written", "written"])

    for neighbour in (TWO, THREE):
        assert (await house.row(neighbour))["new_newsletter"] is True
    await assert_told(house, answered, outcome)
    assert house.sender.rate_limit.alert is None, "one row's trouble does not stop the sender"
    assert house.is_paused() is (action is Action.WAIT)
    # What can pass by itself does; what cannot stays where a person finds it.
    await house.after(MENDED)
    contact = await house.contact(ONE)
    assert contact.state is (DeliveryState.PARKED if outcome == "parked" else DeliveryState.SETTLED)
    assert (await house.row(ONE))["new_newsletter"] is (None if outcome == "parked" else True)


async def assert_told(house: Harness, answered: Answered, outcome: str) -> None:
    """What an operator sees: where the contact stands, what was answered, and what to do about it."""
    contact = await house.contact(ONE)
    assert contact.state is STATES[outcome]
    (attempt,) = await house.ledger.reader.attempts_of(contact.contact_id, 5)
    assert attempt.outcome == outcome
    if outcome == "unmatched":
        assert contact.reason == "unmatched"
        return
    assert (attempt.status, attempt.code) == (answered.status, answered.code)
    assert "It was refused." in attempt.message
    if outcome in {"parked", "alerted", "retried"}:
        assert attempt.message.startswith(classify(answered, Condition.UPDATE_ONLY).entry.advice)
    if outcome == "parked":
        assert contact.reason == "rejected"
    # Only what may be the row's own trouble uses up patience with it.
    assert contact.attempts == (1 if outcome == "retried" else 0)


BULK_ROWS = [row for row in ROWS if row[2] is Action.DEAD and row[0] != 413] + [
    (412, "0x80060892", Action.REUPSERT, "retried"),
    (403, "0x80048306", Action.ALERT, "alerted"),
    (500, "0x80044150", Action.RETRY, "retried"),
    (404, "0x80040217", Action.RE_RESOLVE, "unmatched"),
]


class TestInABulkMessage:
    """All or nothing, and no word about which row (dataverse.md 3.4): the same comes of it all the same."""

    @pytest.fixture
    def mode(self) -> str:
        return "multiple"

    @pytest.mark.parametrize(("status", "code", "action", "outcome"), BULK_ROWS, ids=map(ids, BULK_ROWS))
    async def test_a_row_of_the_catalogue_strikes_its_contact_alone(
        self, house: Harness, status: int, code: str, action: Action, outcome: str
    ) -> None:
        answered = Answered(status=status, code=code)
        assert classify(answered, Condition.UPDATE_ONLY).action_alone is action
        await house.put_faults(
            strikes_one(status, code, method="POST", path="CRM.UpdateMultiple"),
            strikes_one(status, code, method="PATCH"),
        )
        await house.receive(*(says(key, minute=1, newsletter=True) for key in (ONE, TWO, THREE)))

        assert sorted(await house.deliver()) == sorted([outcome, "written", "written"])

        assert (await house.stats())["calls"]["update_multiple"] == {str(status): 1}
        assert [(await house.row(key))["new_newsletter"] for key in (TWO, THREE)] == [True, True]
        await assert_told(house, answered, outcome)
