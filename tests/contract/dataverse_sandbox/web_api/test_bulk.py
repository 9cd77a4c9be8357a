"""dataverse.md 3.4: the bulk messages."""

from typing import Any

import httpx
import pytest
from tests.contract.dataverse_sandbox.conftest import CONTROL, ManualClock

PREFIX = "contacts/Microsoft.Dynamics.CRM."
TYPE: dict[str, object] = {"@odata.type": "Microsoft.Dynamics.CRM.contact"}
FIRST, SECOND = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2))


def by_key(key: str, **values: object) -> dict[str, object]:
    return {**TYPE, "@odata.id": f"contacts(new_didomikey='{key}')", **values}


def by_id(contactid: str, **values: object) -> dict[str, object]:
    return {**TYPE, "contactid": contactid, **values}


async def send(api: httpx.AsyncClient, message: str, *targets: dict[str, object]) -> httpx.Response:
    return await api.post(PREFIX + message, json={"Targets": list(targets)})


async def rows(api: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    """Rows by key; rows without a key by their id."""
    found = (await api.get(f"{CONTROL}/contacts")).json()
    return {row["new_didomikey"] or row["contactid"]: row for row in found}


async def test_create_multiple_names_the_ids_in_order(api: httpx.AsyncClient) -> None:
    response = await send(
        api,
        "CreateMultiple",
        {**TYPE, "new_didomikey": "a"},
        {**TYPE, "new_didomikey": "b", "firstname": "B"},
    )

    held = await rows(api)
    assert response.status_code == 200
    assert response.json()["Ids"] == [held["a"]["contactid"], held["b"]["contactid"]]
    assert response.json()["@odata.context"].endswith("#Microsoft.Dynamics.CRM.CreateMultipleResponse")


async def test_update_multiple_answers_without_a_body(api: httpx.AsyncClient) -> None:
    response = await send(
        api,
        "UpdateMultiple",
        by_id(FIRST, donotemail=True),
        by_id(SECOND, donotphone=True),
        by_id(FIRST, firstname="A"),
    )

    held = await rows(api)
    assert (response.status_code, response.content) == (204, b"")
    assert (held["customer-0001"]["donotemail"], held["customer-0001"]["firstname"]) == (True, "A")
    assert held["customer-0002"]["donotphone"] is True


async def test_upsert_multiple_updates_and_creates_without_a_result(api: httpx.AsyncClient) -> None:
    response = await send(
        api,
        "UpsertMultiple",
        by_key("customer-0001", donotemail=True),
        by_key("new", donotemail=True),
        by_id(SECOND, firstname="B"),
        {**TYPE, "lastname": "without a key"},
    )

    held = await rows(api)
    assert (response.status_code, response.content) == (204, b"")
    assert (held["customer-0001"]["donotemail"], held["new"]["donotemail"]) == (True, True)
    assert held["customer-0002"]["firstname"] == "B"
    assert len(held) == 10


@pytest.mark.parametrize(
    ("message", "targets", "status", "code"),
    [
        pytest.param("UpdateMultiple", [by_id(FIRST.replace("1", "f"))], 404, "0x80040217", id="missing-row"),
        pytest.param("UpdateMultiple", [by_key("customer-0002")], 400, "0x80040203", id="update-without-id"),
        pytest.param("CreateMultiple", [by_id(FIRST)], 412, "0x80040237", id="create-of-a-taken-id"),
        pytest.param(
            "CreateMultiple", [{**TYPE, "new_didomikey": "customer-0002"}], 412, "0x80060892", id="taken-key"
        ),
        pytest.param("UpsertMultiple", [by_key("a"), by_key("A ")], 400, "0x80040203", id="same-key-twice"),
        pytest.param("UpsertMultiple", [by_id(SECOND), by_id(SECOND)], 400, "0x80040203", id="same-id-twice"),
        pytest.param(
            "UpsertMultiple", [by_key("a", new_didomikey="a")], 400, "0x80040216", id="key-repeated-on-create"
        ),
        pytest.param("UpsertMultiple", [by_key("a%2Bb")], 400, "0x8006088a", id="banned-character"),
        pytest.param(
            "UpsertMultiple", [{**TYPE, "@odata.id": "customer-0001"}], 400, "0x8006088a", id="no-reference"
        ),
        pytest.param("UpsertMultiple", [by_key("a", donotemail=1)], 400, "0x0", id="wrong-value"),
        pytest.param("UpsertMultiple", [by_key("a", new_nothing=1)], 400, "0x80048d19", id="unknown-column"),
        pytest.param("UpsertMultiple", [{"new_didomikey": "a"}], 400, "0x80048d19", id="target-without-type"),
    ],
)
async def test_one_bad_target_rolls_all_back(
    api: httpx.AsyncClient, *, message: str, targets: list[dict[str, object]], status: int, code: str
) -> None:
    good = {**TYPE, "lastname": "good"} if message == "CreateMultiple" else by_id(FIRST, donotemail=True)
    before = await rows(api)

    response = await send(api, message, good, *targets)

    assert (response.status_code, response.json()["error"]["code"]) == (status, code), response.text
    assert await rows(api) == before
    assert (await api.get(f"{CONTROL}/stats")).json()["rows_written"] == 0


async def test_a_key_repeated_in_the_body_is_harmless_on_update(api: httpx.AsyncClient) -> None:
    response = await send(
        api, "UpsertMultiple", by_key("customer-0001", new_didomikey="customer-0001", donotemail=True)
    )

    assert response.status_code == 204


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="no-targets"),
        pytest.param({"Targets": []}, id="empty"),
        pytest.param({"Targets": {}}, id="not-a-list"),
        pytest.param({"Targets": [TYPE], "Other": 1}, id="something-else"),
    ],
)
async def test_a_body_that_is_no_list_of_targets_is_refused(api: httpx.AsyncClient, body: object) -> None:
    assert (await api.post(PREFIX + "CreateMultiple", json=body)).status_code == 400


async def test_only_three_messages_exist_and_only_by_post(api: httpx.AsyncClient) -> None:
    assert (await api.get(PREFIX + "UpsertMultiple")).status_code == 405
    assert (await send(api, "DeleteMultiple", TYPE)).status_code == 404


async def test_a_bulk_message_costs_by_its_own_mode(api: httpx.AsyncClient, clock: ManualClock) -> None:
    await api.put(
        f"{CONTROL}/limits", json={"call_ms": 100, "row_ms": {"multiple": 10, "batch": 50, "single": 50}}
    )

    await send(api, "UpsertMultiple", by_key("a"), by_key("b"))

    assert clock.slept == [pytest.approx(0.12)]
    stats = (await api.get(f"{CONTROL}/stats")).json()
    assert stats["calls"]["upsert_multiple"] == {"204": 1}
    assert (stats["rows_written"], stats["rows_per_call"]) == (2, 2.0)


async def test_a_fault_on_one_person_hits_the_whole_message(api: httpx.AsyncClient) -> None:
    fault = {"match": {"new_didomikey": "customer-0002"}, "reply": {"status": 500}}
    await api.put(f"{CONTROL}/faults", json=[fault])

    struck = await send(api, "UpsertMultiple", by_key("customer-0001"), by_key("customer-0002"))
    other = await send(api, "UpsertMultiple", by_key("customer-0001"), by_id(FIRST.replace("1", "3")))

    assert (struck.status_code, other.status_code) == (500, 204)
