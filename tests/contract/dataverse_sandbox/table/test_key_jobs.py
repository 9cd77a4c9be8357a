"""dataverse.md 1.5: a job builds an alternate key, and only its status shows the result."""

import httpx
import pytest
from tests.contract.dataverse_sandbox.conftest import CONTROL, ManualClock

CONTACT = "EntityDefinitions(LogicalName='contact')"
MAIL = "contacts(emailaddress1='customer-0001%40example.com')"


async def create(api: httpx.AsyncClient, name: str, *columns: str) -> httpx.Response:
    return await api.post(f"{CONTACT}/Keys", json={"SchemaName": name, "KeyAttributes": list(columns)})


async def status(api: httpx.AsyncClient, name: str) -> str:
    key = (await api.get(f"{CONTACT}/Keys(LogicalName='{name}')?$select=EntityKeyIndexStatus")).json()
    return str(key["EntityKeyIndexStatus"])


async def reactivate(api: httpx.AsyncClient, name: str) -> httpx.Response:
    body = {"EntityLogicalName": "contact", "EntityKeyLogicalName": name}
    return await api.post("ReactivateEntityKey", json=body)


async def slow_down(api: httpx.AsyncClient, seconds: float) -> None:
    await api.put(f"{CONTROL}/switches", json={"key_build_seconds": seconds})


async def test_a_key_is_usable_once_its_job_has_ended(api: httpx.AsyncClient, clock: ManualClock) -> None:
    await slow_down(api, 60)
    assert (await create(api, "new_Mail", "emailaddress1")).status_code == 204

    seen = []
    for _ in range(3):
        answer = await api.get(MAIL)
        seen.append((await status(api, "new_mail"), answer.status_code))
        clock.time += 30

    assert seen == [("Pending", 400), ("InProgress", 400), ("Active", 200)]


async def test_rows_that_repeat_a_value_make_the_job_fail(api: httpx.AsyncClient, clock: ManualClock) -> None:
    await slow_down(api, 60)
    await create(api, "new_last", "lastname")
    await api.patch("contacts(new_didomikey='customer-0001')", json={"lastname": "Customer 0002"})
    clock.time += 60

    assert await status(api, "new_last") == "Failed"
    assert (await api.get("contacts(lastname='Customer%200003')")).status_code == 400


async def test_a_failed_key_can_be_restarted(api: httpx.AsyncClient) -> None:
    await api.patch("contacts(new_didomikey='customer-0001')", json={"lastname": "Customer 0002"})
    await create(api, "new_last", "lastname")
    assert await status(api, "new_last") == "Failed"
    await api.patch("contacts(new_didomikey='customer-0001')", json={"lastname": "Customer 0001"})

    response = await reactivate(api, "new_last")

    assert response.status_code == 204
    assert await status(api, "new_last") == "Active"


@pytest.mark.parametrize("name", ["new_didomikey", "nothing"])
async def test_only_a_failed_key_is_restarted(api: httpx.AsyncClient, name: str) -> None:
    response = await reactivate(api, name)

    assert (response.status_code, response.json()["error"]["code"]) == (400, "0x8006088f")


async def test_only_keys_of_contact_are_restarted(api: httpx.AsyncClient) -> None:
    body = {"EntityLogicalName": "account", "EntityKeyLogicalName": "a"}

    assert (await api.post("ReactivateEntityKey", json=body)).status_code == 404


async def test_a_key_that_is_too_large_fails_later(api: httpx.AsyncClient) -> None:
    """100 + 250 + 250 characters of two bytes are more than 900 bytes."""
    response = await create(api, "new_big", "emailaddress1", "address1_line1", "address1_line2")

    assert response.status_code == 204
    assert await status(api, "new_big") == "Failed"


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param(["donotemail"], id="yes-no"),
        pytest.param(["new_topics"], id="choices"),
        pytest.param(["description"], id="memo"),
        pytest.param(["creditlimit"], id="money"),
        pytest.param(["employeeid", "employeeid"], id="twice"),
        pytest.param([f"address1_{part}" for part in ("name", "city", "county")] * 6, id="too-many"),
    ],
)
async def test_a_key_of_such_columns_is_refused_at_once(api: httpx.AsyncClient, columns: list[str]) -> None:
    response = await create(api, "new_no", *columns)

    assert (response.status_code, response.json()["error"]["code"]) == (400, "0x8006088f")


@pytest.mark.parametrize("column", ["numberofchildren", "new_share", "birthdate", "gendercode", "ownerid"])
async def test_a_key_may_be_of_these_types(api: httpx.AsyncClient, column: str) -> None:
    await api.put(f"{CONTROL}/schema", json={"columns": {"new_share": {"type": "decimal"}}})
    await create(api, "new_key", column)

    assert await status(api, "new_key") == "Active"


async def test_names_and_number_of_keys_are_limited(api: httpx.AsyncClient) -> None:
    assert (await create(api, "new_didomikey", "employeeid")).status_code == 400
    made = [
        (await create(api, f"new_{number}", column)).status_code
        for number, column in enumerate(["pager", "fax", "home2", "callback", "business2", "employeeid"] * 2)
    ]

    assert made == [204] * 9 + [400] * 3


async def test_a_deleted_key_is_gone(api: httpx.AsyncClient) -> None:
    response = await api.delete(f"{CONTACT}/Keys(LogicalName='new_didomikey')")

    assert response.status_code == 204
    assert (await api.get("contacts(new_didomikey='customer-0001')")).status_code == 400
    assert (await api.delete(f"{CONTACT}/Keys(LogicalName='new_didomikey')")).status_code == 404


async def test_a_job_ends_with_its_key_or_with_a_reset(api: httpx.AsyncClient, clock: ManualClock) -> None:
    await slow_down(api, 60)
    await create(api, "new_mail", "emailaddress1")
    await create(api, "new_pager", "pager")
    await api.delete(f"{CONTACT}/Keys(LogicalName='new_mail')")
    await api.post(f"{CONTROL}/reset")
    clock.time += 60

    keys = (await api.get(f"{CONTACT}/Keys")).json()["value"]
    assert [key["LogicalName"] for key in keys] == ["new_didomikey"]
