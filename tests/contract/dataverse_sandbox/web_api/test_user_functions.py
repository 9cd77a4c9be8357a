"""dataverse.md 7: `WhoAmI`, the privileges of a user, and the access to a row."""

from typing import Any

import httpx
import pytest
from tests.contract.dataverse_sandbox.conftest import CONTROL

from dataverse_sandbox import SandboxApp

FIRST_ID = "00000000-0000-4000-8000-000000000001"
OTHER_ID = "11111111-1111-4111-8111-111111111111"
CRM = "Microsoft.Dynamics.CRM."


async def privileges(api: httpx.AsyncClient, url: str) -> list[dict[str, Any]]:
    response = await api.get(url)
    assert response.status_code == 200, response.text
    return list(response.json()["RolePrivileges"])


async def test_who_am_i_states_the_same_ids_every_time(api: httpx.AsyncClient) -> None:
    first, second = await api.get("WhoAmI"), await api.get("../v9.0/WhoAmI()")

    assert first.json().keys() >= {"UserId", "BusinessUnitId", "OrganizationId"}
    assert first.json()["UserId"] == second.json()["UserId"]


async def test_privileges_are_listed_one_by_one_and_together(api: httpx.AsyncClient, app: SandboxApp) -> None:
    user = f"systemusers({app.identity.user_id})/{CRM}"
    by_name = f"{user}RetrieveUserPrivilegeByPrivilegeName(PrivilegeName="
    one = await privileges(api, f"{by_name}'prvWriteContact')")
    none = await privileges(api, f"{by_name}'prvWriteAccount')")
    every = await privileges(api, f"{user}RetrieveUserPrivileges()")

    assert [(held["PrivilegeName"], held["Depth"]) for held in one] == [("prvWriteContact", "Global")]
    assert none == []
    assert {"prvReadContact", "prvWriteContact", "prvCreateContact"} <= {
        held["PrivilegeName"] for held in every
    }
    unknown = f"systemusers(00000000-0000-4000-8000-00000000ffff)/{CRM}RetrieveUserPrivileges()"
    assert (await api.get(unknown)).status_code == 404


async def test_only_held_privileges_are_listed(api: httpx.AsyncClient, app: SandboxApp) -> None:
    await api.put(
        f"{CONTROL}/applications",
        json={app.identity.client_id: {"privileges": ["prvReadContact", "prvWriteContact"]}},
    )
    user = f"systemusers({app.identity.user_id})/{CRM}"

    every = await privileges(api, f"{user}RetrieveUserPrivileges()")
    one = await privileges(
        api, f"{user}RetrieveUserPrivilegeByPrivilegeName(PrivilegeName='prvCreateContact')"
    )
    access = await api.get(
        f"{user}RetrievePrincipalAccess(Target=@p1)",
        params={"@p1": f"{{'@odata.id':'contacts({FIRST_ID})'}}"},
    )

    assert [held["PrivilegeName"] for held in every] == ["prvReadContact", "prvWriteContact"]
    assert one == []
    assert access.json()["AccessRights"] == "ReadAccess, WriteAccess"


@pytest.mark.parametrize(
    ("alias", "status"),
    [
        pytest.param(f"{{'@odata.id':'contacts({OTHER_ID})'}}", 404, id="no-such-row"),
        pytest.param("'a'", 400, id="no-reference"),
    ],
)
async def test_access_is_asked_for_a_row(
    api: httpx.AsyncClient, app: SandboxApp, alias: str, status: int
) -> None:
    user = f"systemusers({app.identity.user_id})/{CRM}"

    response = await api.get(f"{user}RetrievePrincipalAccess(Target=@p1)", params={"@p1": alias})

    assert response.status_code == status
