"""dataverse.md 2.6: change tracking by delta links."""

from typing import Any

import httpx
import pytest
from tests.contract.dataverse_sandbox.batches import GO_ON, batch, change_set, part, patch
from tests.contract.dataverse_sandbox.conftest import CONTROL, ManualClock, fetch_token

from dataverse_sandbox import SandboxApp

TRACK = {"Prefer": "odata.track-changes"}
ASKED = "contacts?$select=new_didomikey"
SECOND = "00000000-0000-4000-8000-000000000002"


async def read(api: httpx.AsyncClient, url: str, **prefer: str) -> dict[str, Any]:
    response = await api.get(url, headers=prefer)
    assert response.status_code == 200, response.text
    return dict(response.json())


@pytest.fixture
async def _long_token(api: httpx.AsyncClient, stranger: httpx.AsyncClient, app: SandboxApp) -> None:
    """A token of the sign-in service that outlives a delta link."""
    await api.put(f"{CONTROL}/switches", json={"token_seconds": 10**6})
    api.headers["Authorization"] = f"Bearer {await fetch_token(stranger, app.identity)}"


async def begin(api: httpx.AsyncClient) -> str:
    return str((await read(api, ASKED, **TRACK))["@odata.deltaLink"])


def changed_keys(document: dict[str, Any]) -> list[str]:
    """Keys of rows that are there, and `reason id` of those that are not."""
    return [row.get("new_didomikey") or f"{row['reason']} {row['id']}" for row in document["value"]]


async def test_at_first_all_rows_come_with_a_delta_link(api: httpx.AsyncClient) -> None:
    response = await api.get(ASKED, headers=TRACK)

    document = response.json()
    assert len(document["value"]) == 8
    assert document["@odata.context"].endswith("$metadata#contacts(new_didomikey)/$delta")
    assert "$select=new_didomikey&$deltatoken=" in document["@odata.deltaLink"]
    assert response.headers["Preference-Applied"] == "odata.track-changes"


async def test_later_only_changes_come(api: httpx.AsyncClient) -> None:
    link = await begin(api)
    assert changed_keys(await read(api, link)) == []

    await api.patch("contacts(new_didomikey='customer-0003')", json={"lastname": "x"})
    await api.delete(f"contacts({SECOND})")
    await api.post("contacts", json={"new_didomikey": "new"})
    document = await read(api, link)

    assert changed_keys(document) == ["customer-0003", f"deleted {SECOND}", "new"]
    assert document["value"][1]["@odata.context"].endswith("$metadata#contacts/$deletedEntity")
    assert changed_keys(await read(api, document["@odata.deltaLink"])) == []


async def test_a_row_created_and_deleted_appears_once(api: httpx.AsyncClient) -> None:
    link = await begin(api)
    await api.delete(f"contacts({SECOND})")
    await api.post("contacts", json={"contactid": SECOND, "new_didomikey": "again"})

    assert changed_keys(await read(api, link)) == ["again"]


async def test_a_rolled_back_write_is_not_a_change(api: httpx.AsyncClient) -> None:
    link = await begin(api)
    removal = part("DELETE", f"/api/data/v9.2/contacts({SECOND})", content_id="1")
    refused = patch("customer-0001", '{"donotemail":1}', "2")

    await api.post("$batch", content=batch(change_set(removal, refused)), headers=GO_ON)

    assert changed_keys(await read(api, link)) == []


async def test_pages_of_rows_end_in_a_delta_link_from_their_start(api: httpx.AsyncClient) -> None:
    prefer = {"Prefer": "odata.track-changes,odata.maxpagesize=5"}
    first = await read(api, ASKED, **prefer)
    await api.patch("contacts(new_didomikey='customer-0001')", json={"lastname": "x"})

    second = await read(api, first["@odata.nextLink"])

    assert "@odata.deltaLink" not in first
    assert changed_keys(first) + changed_keys(second) == [f"customer-{number:04d}" for number in range(1, 9)]
    assert changed_keys(await read(api, second["@odata.deltaLink"])) == ["customer-0001"]


async def test_changes_come_in_pages(api: httpx.AsyncClient) -> None:
    link = await begin(api)
    for number in (3, 1, 2):
        await api.patch(f"contacts(new_didomikey='customer-{number:04d}')", json={"lastname": "x"})

    first = await read(api, link, Prefer="odata.maxpagesize=2")
    second = await read(api, first["@odata.nextLink"])

    assert changed_keys(first) == ["customer-0003", "customer-0001"]
    assert changed_keys(second) == ["customer-0002"]
    assert "@odata.deltaLink" in second


@pytest.mark.parametrize("option", ["$filter=lastname eq 'x'", "$orderby=lastname", "$top=1"])
async def test_change_tracking_refuses_other_options(api: httpx.AsyncClient, option: str) -> None:
    assert (await api.get(f"contacts?{option}", headers=TRACK)).status_code == 400


@pytest.mark.usefixtures("_long_token")
@pytest.mark.parametrize(("days", "status"), [(6.9, 200), (7.1, 400)])
async def test_a_delta_link_is_valid_for_seven_days(
    api: httpx.AsyncClient, clock: ManualClock, days: float, status: int
) -> None:
    link = await begin(api)

    clock.time += days * 24 * 3600

    assert (await api.get(link)).status_code == status


async def test_replaced_rows_need_a_new_start(api: httpx.AsyncClient) -> None:
    link = await begin(api)
    await api.put(f"{CONTROL}/contacts", json=[{"new_didomikey": "only"}])

    response = await api.get(link)

    assert (response.status_code, response.json()["error"]["code"]) == (400, "0x80044352")


@pytest.mark.parametrize("token", ["5", "x!1", "5!yesterday", ""])
async def test_a_made_up_token_is_refused(api: httpx.AsyncClient, token: str) -> None:
    response = await api.get(f"contacts?$deltatoken={token}")

    assert (response.status_code, response.json()["error"]["code"]) == (400, "0x8006088a")
