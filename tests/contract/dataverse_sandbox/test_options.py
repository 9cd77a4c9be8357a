"""Contradictions and open questions of dataverse.md (1.5, 2.3, 2.4, 3.1, 3.4, 5.1, 13): both readings."""

from typing import Any

import httpx
import pytest

from dataverse_sandbox import SandboxApp
from tests.contract.dataverse_sandbox.batches import GO_ON, HEADERS, answers, batch, patch
from tests.contract.dataverse_sandbox.conftest import CONTROL, ManualClock, fetch_token

FIRST = "contacts(new_didomikey='customer-0001')"
UPSERT = "contacts/Microsoft.Dynamics.CRM.UpsertMultiple"
RULES_ON = {"MSCRM.SuppressDuplicateDetection": "false"}


async def set_options(api: httpx.AsyncClient, **settings: object) -> None:
    response = await api.put(f"{CONTROL}/switches", json=settings)
    assert response.status_code == 200, response.text


def error(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def target(key: str, **columns: object) -> dict[str, object]:
    return {
        "@odata.type": "Microsoft.Dynamics.CRM.contact",
        "@odata.id": f"contacts(new_didomikey='{key}')",
        **columns,
    }


async def test_every_option_states_value_choices_and_meaning(api: httpx.AsyncClient) -> None:
    document = (await api.get(f"{CONTROL}/switches")).json()

    for shown in document.values():
        assert shown["value"] in (shown["choices"] or [shown["value"]])
        assert shown["about"]
    assert document["accent_sensitive"]["value"] is False


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"nothing": 1}, "unknown key 'nothing'"),
        ({"accent_sensitive": 1}, "accent_sensitive is one of false, true"),
        ({"duplicate_status": 409}, "duplicate_status is one of 412, 500"),
        ({"batch_requests": 2.5}, "batch_requests is a whole number"),
        ({"batch_requests": -1}, "batch_requests is 0 or more"),
        ({"key_build_seconds": None}, "key_build_seconds is a number"),
        ({"key_build_seconds": "1"}, "key_build_seconds is a number"),
        ([], "not a JSON object"),
    ],
)
async def test_a_wrong_option_is_refused_by_name(api: httpx.AsyncClient, settings: object, said: str) -> None:
    response = await api.put(f"{CONTROL}/switches", json=settings)

    assert response.status_code == 400
    assert said in response.json()["error"]


async def test_a_reset_restores_the_options(api: httpx.AsyncClient) -> None:
    await set_options(api, accent_sensitive=True, duplicate_status=500)

    await api.post(f"{CONTROL}/reset")

    document = (await api.get(f"{CONTROL}/switches")).json()
    assert (document["accent_sensitive"]["value"], document["duplicate_status"]["value"]) == (False, 412)


@pytest.mark.parametrize(("sensitive", "status"), [(False, 412), (True, 204)])
async def test_accents_in_keys(api: httpx.AsyncClient, sensitive: bool, status: int) -> None:
    await set_options(api, accent_sensitive=sensitive)
    assert (await api.post("contacts", json={"new_didomikey": "René"})).status_code == 204

    assert (await api.post("contacts", json={"new_didomikey": "rene"})).status_code == status


async def test_a_key_that_turns_out_ambiguous_fails(api: httpx.AsyncClient) -> None:
    await set_options(api, accent_sensitive=True)
    await api.put(f"{CONTROL}/contacts", json=[{"new_didomikey": "é"}, {"new_didomikey": "e"}])

    await set_options(api, accent_sensitive=False)

    keys = (await api.get("EntityDefinitions(LogicalName='contact')/Keys")).json()["value"]
    assert [key["EntityKeyIndexStatus"] for key in keys] == ["Failed"]


async def test_forbidden_characters_in_key_urls(api: httpx.AsyncClient) -> None:
    url = "contacts(new_didomikey='a%2Bb%2Fc%23')"
    assert error(await api.patch(url, json={})) == (400, "0x8006088a")

    await set_options(api, key_characters="taken")

    assert (await api.patch(url, json={"lastname": "Taken"})).status_code == 204
    assert (await api.get(url)).json()["new_didomikey"] == "a+b/c#"


async def test_forbidden_characters_in_bulk_references(api: httpx.AsyncClient) -> None:
    body = {"Targets": [target("a%2Bb")]}
    assert error(await api.post(UPSERT, json=body)) == (400, "0x8006088a")

    await set_options(api, bulk_key_characters="taken")

    assert (await api.post(UPSERT, json=body)).status_code == 204
    assert error(await api.get("contacts(new_didomikey='a%2Bb')")) == (400, "0x8006088a")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, (400, "0x80060888")),
        ({"unknown_key_status": 404}, (404, "0x80060888")),
        ({"inactive_key": "violated"}, (412, "0x80060892")),
    ],
)
async def test_a_key_that_is_not_active(
    api: httpx.AsyncClient, settings: dict[str, Any], expected: tuple[int, str]
) -> None:
    await set_options(api, **settings)
    await api.put(
        f"{CONTROL}/schema", json={"keys": {"later": {"columns": ["employeeid"], "status": "Pending"}}}
    )

    assert error(await api.patch("contacts(employeeid='1')", json={})) == expected


@pytest.mark.parametrize(("reading", "status"), [("unchecked", 204), ("compared", 412)])
async def test_one_null_in_a_composite_key(api: httpx.AsyncClient, reading: str, status: int) -> None:
    await set_options(api, null_in_composite_key=reading)
    await api.put(f"{CONTROL}/schema", json={"keys": {"pair": {"columns": ["employeeid", "pager"]}}})
    await api.post("contacts", json={"employeeid": "1"})

    assert (await api.post("contacts", json={"employeeid": "1"})).status_code == status
    assert (await api.post("contacts", json={"lastname": "Both null"})).status_code == 204


@pytest.mark.parametrize("status", [412, 500])
@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        pytest.param("POST", "contacts", {"emailaddress1": "A@x.org"}, id="create"),
        pytest.param("PATCH", "contacts(new_didomikey='new')", {"emailaddress1": "a@x.org"}, id="upsert-new"),
        pytest.param("PATCH", FIRST, {"emailaddress1": "a@x.org"}, id="upsert-existing"),
        pytest.param(
            "POST", UPSERT, {"Targets": [target("customer-0001", emailaddress1="a@x.org")]}, id="bulk"
        ),
        pytest.param(
            "POST",
            "contacts/Microsoft.Dynamics.CRM.CreateMultiple",
            {"Targets": [{"@odata.type": "Microsoft.Dynamics.CRM.contact", "emailaddress1": "a@x.org"}]},
            id="bulk-create",
        ),
    ],
)
async def test_duplicate_rules_apply_only_on_request(
    api: httpx.AsyncClient, status: int, method: str, url: str, body: dict[str, object]
) -> None:
    await set_options(api, duplicate_status=status)
    await api.put(f"{CONTROL}/schema", json={"duplicate_rules": {"same mail": ["emailaddress1"]}})
    await api.post("contacts", json={"emailaddress1": "a@x.org", "new_didomikey": "other"})

    refused = await api.request(method, url, json=body, headers=RULES_ON)
    suppressed = await api.request(method, url, json=body)

    assert error(refused) == (status, "0x80040333")
    assert suppressed.status_code in {200, 204}


async def test_neither_the_row_itself_nor_null_is_a_duplicate(api: httpx.AsyncClient) -> None:
    await api.put(f"{CONTROL}/schema", json={"duplicate_rules": {"same": ["emailaddress1", "lastname"]}})
    same = {"emailaddress1": "a@x.org", "lastname": "Same"}
    await api.patch(FIRST, json=same)

    again = await api.patch(FIRST, json=same, headers=RULES_ON)
    half = await api.post("contacts", json={"emailaddress1": "a@x.org"}, headers=RULES_ON)
    missing = await api.patch(
        "contacts(new_didomikey='none')", json=same, headers={**RULES_ON, "If-Match": "*"}
    )

    assert (again.status_code, half.status_code) == (204, 204)
    assert error(missing) == (404, "0x80060891")


async def test_codes_as_documented(api: httpx.AsyncClient) -> None:
    unknown = "contacts(00000000-0000-0000-0000-0000000000ff)"
    create_only = {"If-None-Match": "*"}
    assert error(await api.get(unknown)) == (404, "0x80040217")
    assert error(await api.patch(FIRST, json={}, headers=create_only)) == (412, "0x80040237")

    await set_options(api, documented_codes=True)

    assert error(await api.get(unknown)) == (404, "")
    assert error(await api.patch(FIRST, json={}, headers=create_only)) == (412, "")
    taken = {"contactid": "00000000-0000-4000-8000-000000000001"}
    assert error(await api.post("contacts", json=taken)) == (412, "0x80040237")


async def test_inner_errors(api: httpx.AsyncClient) -> None:
    assert "innererror" not in (await api.get("nothing")).json()["error"]

    await set_options(api, inner_error=True)

    error = (await api.get("nothing")).json()["error"]
    assert error["innererror"]["message"] == error["message"]


async def test_an_unauthorized_call_may_get_an_empty_response(
    api: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    plain = await stranger.get("/api/data/v9.2/WhoAmI")
    await set_options(api, unauthorized_body="empty", unauthorized_challenge=False)
    bare = await stranger.get("/api/data/v9.2/WhoAmI")

    assert (plain.status_code, bare.status_code) == (401, 401)
    assert (bool(plain.content), "WWW-Authenticate" in plain.headers) == (True, True)
    assert (bare.content, "WWW-Authenticate" in bare.headers) == (b"", False)


async def test_an_environment_without_bulk_messages(api: httpx.AsyncClient) -> None:
    await set_options(api, bulk_messages=False)

    filters = (await api.get("sdkmessagefilters")).json()["value"]

    assert (await api.post(UPSERT, json={"Targets": [target("a")]})).status_code == 404
    assert not [known for known in filters if known["sdkmessageid"]["name"].endswith("Multiple")]
    assert b"UpsertMultiple" not in (await api.get("$metadata")).content


async def test_the_size_of_a_batch(api: httpx.AsyncClient) -> None:
    await set_options(api, batch_requests=2)

    taken = await api.post("$batch", content=batch(patch("a"), patch("b")), headers=GO_ON)
    refused = await api.post("$batch", content=batch(patch("a"), patch("b"), patch("c")), headers=GO_ON)

    assert taken.status_code == 200
    assert error(refused) == (400, "0x80048d19")


async def test_the_line_ends_of_a_batch(api: httpx.AsyncClient) -> None:
    body = batch(patch("a")).replace(b"\r\n", b"\n")
    assert error(await api.post("$batch", content=body, headers=HEADERS)) == (400, "0x80048d19")

    await set_options(api, batch_line_ends="any")

    response = await api.post("$batch", content=body, headers=HEADERS)
    assert [answer.status for answer in answers(response.headers["Content-Type"], response.content)] == [204]


@pytest.mark.parametrize(("reading", "status"), [("own", 204), ("inherited", 412)])
async def test_the_headers_of_a_batch(api: httpx.AsyncClient, reading: str, status: int) -> None:
    await set_options(api, batch_headers=reading)
    await api.put(f"{CONTROL}/schema", json={"duplicate_rules": {"same mail": ["emailaddress1"]}})
    body = batch(patch("a", '{"emailaddress1":"customer-0001@example.com"}'))

    response = await api.post("$batch", content=body, headers={**GO_ON, **RULES_ON})

    assert [answer.status for answer in answers(response.headers["Content-Type"], response.content)] == [
        status
    ]


async def test_the_lifetime_of_a_token(
    api: httpx.AsyncClient, stranger: httpx.AsyncClient, app: SandboxApp, clock: ManualClock
) -> None:
    await set_options(api, token_seconds=600, token_refresh_seconds=300)
    token = await fetch_token(stranger, app.identity)
    headers = {"Authorization": f"Bearer {token}"}
    assert (await stranger.get("/api/data/v9.2/WhoAmI", headers=headers)).status_code == 200

    clock.time += 600

    assert error(await stranger.get("/api/data/v9.2/WhoAmI", headers=headers)) == (401, "0x8004a101")


async def test_a_token_response_may_say_when_to_refresh(
    api: httpx.AsyncClient, stranger: httpx.AsyncClient, app: SandboxApp
) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": app.identity.client_id,
        "client_secret": app.identity.client_secret,
        "scope": "https://sandbox.test/.default",
    }
    url = f"/{app.identity.tenant_id}/oauth2/v2.0/token"
    plain = (await stranger.post(url, data=form)).json()
    await set_options(api, token_refresh_seconds=300)
    with_refresh = (await stranger.post(url, data=form)).json()

    assert (plain["expires_in"], "refresh_in" in plain) == (3599, False)
    assert with_refresh["refresh_in"] == 300


async def test_metadata_may_be_stale_without_strong_consistency(
    api: httpx.AsyncClient, clock: ManualClock
) -> None:
    await set_options(api, metadata_delay_seconds=30)
    url = "EntityDefinitions(LogicalName='contact')/Attributes(LogicalName='new_later')"
    await api.put(f"{CONTROL}/schema", json={"columns": {"new_later": {"type": "boolean"}}})

    late, strong = await api.get(url), await api.get(url, headers={"Consistency": "Strong"})
    written = await api.patch(FIRST, json={"new_later": True})
    clock.time += 30

    assert (late.status_code, strong.status_code, written.status_code) == (404, 200, 204)
    assert (await api.get(url)).status_code == 200
