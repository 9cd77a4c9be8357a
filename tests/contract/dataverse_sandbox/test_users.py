"""dataverse.md 2.5, 5.3, 7: application users, their privileges, and impersonation."""

from typing import Any

import httpx
import pytest

from dataverse_sandbox import SandboxApp
from tests.contract.dataverse_sandbox.batches import GO_ON, answers, batch, patch
from tests.contract.dataverse_sandbox.conftest import BASE_URL, CONTROL

FIRST = "contacts(new_didomikey='customer-0001')"
FIRST_ID = "00000000-0000-4000-8000-000000000001"
BULK = "contacts/Microsoft.Dynamics.CRM."
OTHER = "11111111-1111-4111-8111-111111111111"
OTHER_USER = "22222222-2222-4222-8222-222222222222"
BIND = {"ownerid@odata.bind": f"/systemusers({OTHER_USER})"}
ALL = ["Read", "Write", "Create", "Delete", "Append", "AppendTo"]


async def allow(api: httpx.AsyncClient, app: SandboxApp, *verbs: str, others: tuple[str, ...] = ()) -> None:
    privileges = [f"prv{verb}Contact" for verb in verbs] + [f"prv{name}" for name in others]
    response = await api.put(
        f"{CONTROL}/applications", json={app.identity.client_id: {"privileges": privileges}}
    )
    assert response.status_code == 200, response.text


def without(verb: str) -> list[str]:
    return [known for known in ALL if known != verb]


def target(**columns: object) -> dict[str, object]:
    return {"@odata.type": "Microsoft.Dynamics.CRM.contact", **columns}


@pytest.mark.parametrize(
    ("verb", "call"),
    [
        pytest.param("Read", ("GET", FIRST, None), id="read-one"),
        pytest.param("Read", ("GET", "contacts", None), id="read-many"),
        pytest.param("Read", ("GET", "contacts/$count", None), id="count"),
        pytest.param("Read", ("GET", f"{FIRST}/lastname", None), id="read-column"),
        pytest.param("Write", ("PATCH", FIRST, {"lastname": "x"}), id="update"),
        pytest.param("Write", ("PUT", f"{FIRST}/lastname", {"value": "x"}), id="set-column"),
        pytest.param("Write", ("DELETE", f"{FIRST}/lastname", None), id="clear-column"),
        pytest.param("Create", ("PATCH", "contacts(new_didomikey='new')", {}), id="upsert-new"),
        pytest.param("Create", ("POST", "contacts", {}), id="create"),
        pytest.param("Delete", ("DELETE", FIRST, None), id="delete"),
        pytest.param("Append", ("PATCH", FIRST, BIND), id="bind"),
        pytest.param("Append", ("POST", "contacts", BIND), id="bind-on-create"),
        pytest.param(
            "Create", ("POST", f"{BULK}CreateMultiple", {"Targets": [target()]}), id="create-multiple"
        ),
        pytest.param(
            "Write",
            ("POST", f"{BULK}UpdateMultiple", {"Targets": [target(contactid=FIRST_ID)]}),
            id="update-multiple",
        ),
        pytest.param(
            "Create", ("POST", f"{BULK}UpsertMultiple", {"Targets": [target()]}), id="upsert-multiple-new"
        ),
        pytest.param(
            "Write",
            ("POST", f"{BULK}UpsertMultiple", {"Targets": [target(contactid=FIRST_ID)]}),
            id="upsert-multiple",
        ),
    ],
)
async def test_a_missing_privilege_is_named(
    api: httpx.AsyncClient, app: SandboxApp, verb: str, call: tuple[str, str, Any]
) -> None:
    method, url, body = call
    request = (
        api.build_request(method, url, json=body) if body is not None else api.build_request(method, url)
    )
    await allow(api, app, *without(verb))
    refused = await api.send(request)
    await allow(api, app, verb, *without(verb))
    allowed = await api.send(request)

    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "0x80040220")
    assert f"is missing prv{verb}Contact privilege" in refused.json()["error"]["message"]
    assert allowed.status_code in {200, 204}


async def test_reading_may_be_all_that_is_allowed(api: httpx.AsyncClient, app: SandboxApp) -> None:
    await allow(api, app, "Read")

    response = await api.post("$batch", content=batch(patch("customer-0001"), patch("new")), headers=GO_ON)

    parts = answers(response.headers["Content-Type"], response.content)
    assert [part.status for part in parts] == [403, 403]
    assert "prvWriteContact" in parts[0].body
    assert "prvCreateContact" in parts[1].body
    assert (await api.get(FIRST)).json()["donotemail"] is False


async def second(api: httpx.AsyncClient, **fields: object) -> httpx.AsyncClient:
    """A client with a token of a second application."""
    response = await api.put(
        f"{CONTROL}/applications", json={OTHER: {"client_secret": "of the second", **fields}}
    )
    assert response.status_code == 200, response.text
    tenant = (
        (await api.get("WhoAmI", headers={"Authorization": ""})).headers["WWW-Authenticate"].split("/")[3]
    )
    token = (
        await api.post(
            f"{BASE_URL}/{tenant}/oauth2/v2.0/token",
            data={
                "client_id": OTHER,
                "client_secret": "of the second",
                "grant_type": "client_credentials",
                "scope": f"{BASE_URL}/.default",
            },
        )
    ).json()["access_token"]
    return httpx.AsyncClient(
        transport=api._transport,
        base_url=api.base_url,
        headers={"Authorization": f"Bearer {token}"},
    )


async def test_another_application_is_another_user(api: httpx.AsyncClient) -> None:
    other = await second(api)

    mine, theirs = (await api.get("WhoAmI")).json(), (await other.get("WhoAmI")).json()

    assert mine["UserId"] != theirs["UserId"]
    assert mine["OrganizationId"] == theirs["OrganizationId"]
    await other.patch(FIRST, json={"lastname": "x"})
    row = (await api.get(f"{FIRST}?$select=_createdby_value,_modifiedby_value")).json()
    assert row["_modifiedby_value"] == theirs["UserId"]
    assert row["_createdby_value"] == mine["UserId"]


async def test_limits_are_counted_for_each_user(api: httpx.AsyncClient) -> None:
    other = await second(api)
    await api.put(f"{CONTROL}/limits", json={"enforce": True, "requests": 1})

    assert [(await api.get("WhoAmI")).status_code for _ in range(2)] == [200, 429]
    assert (await other.get("WhoAmI")).status_code == 200


async def test_a_valid_token_without_an_application_user_is_forbidden(api: httpx.AsyncClient) -> None:
    other = await second(api, has_user=False)

    response = await other.get("WhoAmI")

    assert (response.status_code, response.json()["error"]["code"]) == (403, "0x80072560")


async def test_impersonation_shows_both_users(api: httpx.AsyncClient, app: SandboxApp) -> None:
    await allow(api, app, *ALL, others=("ActOnBehalfOfAnotherUser",))

    made = await api.post(
        "contacts", json={}, headers={"CallerObjectId": OTHER_USER, "Prefer": "return=representation"}
    )
    await api.patch(FIRST, json={"lastname": "x"}, headers={"MSCRMCallerID": OTHER_USER})

    assert made.json()["_createdby_value"] == OTHER_USER
    assert made.json()["_createdonbehalfby_value"] == app.identity.user_id
    changed = (await api.get(FIRST)).json()
    assert changed["_modifiedby_value"] == OTHER_USER
    assert changed["_modifiedonbehalfby_value"] == app.identity.user_id
    found = await api.get(f"contacts?$filter=_modifiedonbehalfby_value eq {app.identity.user_id}")
    assert len(found.json()["value"]) == 2


async def test_impersonation_gives_the_privileges_that_both_hold(
    api: httpx.AsyncClient, app: SandboxApp
) -> None:
    other = await second(api, privileges=["prvReadContact"])
    their_id = (await other.get("WhoAmI")).json()["UserId"]
    await allow(api, app, *ALL, others=("ActOnBehalfOfAnotherUser",))

    response = await api.patch(FIRST, json={"lastname": "x"}, headers={"CallerObjectId": their_id})

    assert (response.status_code, response.json()["error"]["code"]) == (403, "0x80040220")


STEP = "33333333-3333-4333-8333-333333333333"


BYPASS = ("BypassCustomBusinessLogic", "0x80040220")
ACT = ("ActOnBehalfOfAnotherUser", "0x8004a110")


@pytest.mark.parametrize(
    ("header", "value", "needs"),
    [
        ("CallerObjectId", OTHER_USER, ACT),
        ("MSCRMCallerID", OTHER_USER, ACT),
        ("MSCRM.BypassBusinessLogicExecution", "CustomSync,CustomAsync", BYPASS),
        ("MSCRM.BypassBusinessLogicExecutionStepIds", f"{STEP},{STEP}", BYPASS),
        ("MSCRM.SuppressCallbackRegistrationExpanderJob", "true", BYPASS),
        ("MSCRM.BypassCustomPluginExecution", "true", ("BypassCustomPlugins", "0x80040220")),
    ],
)
async def test_a_header_that_changes_how_a_request_runs_needs_its_privilege(
    api: httpx.AsyncClient, app: SandboxApp, header: str, value: str, needs: tuple[str, str]
) -> None:
    privilege, code = needs
    refused = await api.patch(FIRST, json={"lastname": "x"}, headers={header: value})
    await allow(api, app, *ALL, others=(privilege,))
    allowed = await api.patch(FIRST, json={"lastname": "x"}, headers={header: value})

    assert (refused.status_code, refused.json()["error"]["code"]) == (403, code)
    assert allowed.status_code == 204


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("CallerObjectId", "other"),
        ("MSCRM.BypassBusinessLogicExecution", "Everything"),
        ("MSCRM.BypassBusinessLogicExecutionStepIds", "first"),
        ("MSCRM.BypassBusinessLogicExecutionStepIds", ",".join([STEP] * 4)),
    ],
)
async def test_such_a_header_with_a_wrong_value_is_refused(
    api: httpx.AsyncClient, app: SandboxApp, header: str, value: str
) -> None:
    await allow(api, app, *ALL, others=("ActOnBehalfOfAnotherUser", "BypassCustomBusinessLogic"))

    response = await api.patch(FIRST, json={}, headers={header: value})

    assert (response.status_code, response.json()["error"]["code"]) == (400, "0x80040203")


async def test_such_headers_with_false_and_a_tag_change_nothing(api: httpx.AsyncClient) -> None:
    headers = {
        "MSCRM.BypassCustomPluginExecution": "false",
        "MSCRM.SuppressCallbackRegistrationExpanderJob": "false",
        "MSCRM.SuppressDuplicateDetection": "true",
    }

    assert (await api.patch(f"{FIRST}?tag=loop", json={}, headers=headers)).status_code == 204


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({OTHER: {}}, "is new: give its client_secret"),
        ({OTHER: {"client_secret": "s", "privileges": ["prvFly"]}}, "unknown privilege 'prvFly'"),
        ({OTHER: {"client_secret": "s", "has_user": 1}}, "has_user"),
        ({OTHER: {"client_secret": 5}}, "client_secret"),
        ({OTHER: {"secret": "s"}}, "unknown key 'secret'"),
    ],
)
async def test_a_wrong_application_is_refused_by_name(
    api: httpx.AsyncClient, body: object, said: str
) -> None:
    response = await api.put(f"{CONTROL}/applications", json=body)

    assert response.status_code == 400
    assert said in response.json()["error"]


async def test_applications_are_listed_without_secrets(api: httpx.AsyncClient, app: SandboxApp) -> None:
    await second(api, has_user=False)

    response = await api.get(f"{CONTROL}/applications")

    assert response.json().keys() == {app.identity.client_id, OTHER}
    assert "of the second" not in response.text
