"""docs/sandbox.md: the control routes, and the faults that they set."""

from typing import Any

import httpx
import pytest
from tests.contract.dataverse_sandbox.batches import GO_ON, HEADERS, answers, batch, change_set, patch
from tests.contract.dataverse_sandbox.conftest import CONTROL, ManualClock, fetch_token

from dataverse_sandbox import ConnectionCutError, SandboxApp

ROW = "contacts(new_didomikey='customer-0001')"
BODY = {"donotemail": True}
BUSY: dict[str, Any] = {
    "status": 503,
    "headers": {"Retry-After": "7"},
    "body": {"error": {"code": "0x8004a001", "message": "busy"}},
}


async def set_faults(api: httpx.AsyncClient, *faults: dict[str, Any]) -> None:
    response = await api.put(f"{CONTROL}/faults", json=list(faults))
    assert response.status_code == 200, response.text


async def held(api: httpx.AsyncClient, key: str = "customer-0001") -> dict[str, Any]:
    rows = (await api.get(f"{CONTROL}/contacts")).json()
    return next(dict(row) for row in rows if row["new_didomikey"] == key)


async def test_contacts_can_be_replaced_and_read_back(api: httpx.AsyncClient) -> None:
    put = await api.put(
        f"{CONTROL}/contacts", json=[{"new_didomikey": "a", "donotemail": True}, {"lastname": "B"}]
    )

    rows = (await api.get(f"{CONTROL}/contacts")).json()
    assert put.json() == {"rows": 2}
    assert [(row["new_didomikey"], row["donotemail"], row["lastname"]) for row in rows] == [
        ("a", True, None),
        (None, False, "B"),
    ]
    # What was read can be put back, whole.
    assert (await api.put(f"{CONTROL}/contacts", json=rows)).status_code == 200
    assert [row["contactid"] for row in (await api.get(f"{CONTROL}/contacts")).json()] == [
        row["contactid"] for row in rows
    ]


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("contacts", b'[{"lastname": "\\ud800"}]'),
        ("faults", b'[{"reply": {"status": 503, "body": {"error": {"message": "\\ud800"}}}}]'),
    ],
)
async def test_text_that_utf_8_cannot_encode_is_refused(
    api: httpx.AsyncClient, route: str, body: bytes
) -> None:
    refused = await api.put(f"{CONTROL}/{route}", content=body)

    assert refused.status_code == 400
    assert "surrogate" in refused.json()["error"]
    assert (await api.get(f"{CONTROL}/contacts")).status_code == 200


async def test_a_table_can_be_filled_with_sample_rows(api: httpx.AsyncClient) -> None:
    response = await api.post(f"{CONTROL}/fill", json={"rows": 1200})

    assert response.json() == {"rows": 1200}
    row = (await api.get("contacts(new_didomikey='customer-1200')")).json()
    assert (row["contactid"], row["emailaddress1"]) == (
        "00000000-0000-4000-8000-000000001200",
        "customer-1200@example.com",
    )
    assert (await api.get(f"{CONTROL}/stats")).json()["rows_written"] == 0


@pytest.mark.parametrize("body", [{}, {"rows": -1}, {"rows": "1"}, {"rows": True}, {"rows": 1, "more": 1}])
async def test_a_wrong_number_of_rows_is_refused(api: httpx.AsyncClient, body: object) -> None:
    assert (await api.post(f"{CONTROL}/fill", json=body)).status_code == 400
    assert (await api.get(f"{CONTROL}/fill")).status_code == 405


async def test_an_empty_table_reads_as_an_empty_list(api: httpx.AsyncClient) -> None:
    await api.put(f"{CONTROL}/contacts", json=[])

    assert (await api.get(f"{CONTROL}/contacts")).json() == []


async def test_a_refused_replacement_leaves_the_rows(api: httpx.AsyncClient) -> None:
    response = await api.put(f"{CONTROL}/contacts", json=[{"new_didomikey": "a"}, {"new_didomikey": "A"}])

    assert response.status_code == 400
    assert len((await api.get(f"{CONTROL}/contacts")).json()) == 8
    assert (await api.get(ROW)).status_code == 200


async def test_schema_adds_columns_and_keys(api: httpx.AsyncClient) -> None:
    columns = {
        "new_x": {"type": "string", "max_length": 3},
        "new_y": {"type": "boolean", "default": True},
        "new_z": {"type": "picklist", "options": {"5": "Five"}},
    }
    answered = await api.put(
        f"{CONTROL}/schema", json={"columns": columns, "keys": {"new_xkey": {"columns": ["new_x"]}}}
    )

    assert answered.json()["keys"]["new_xkey"] == {"columns": ["new_x"], "status": "Active"}
    assert (await api.patch("contacts(new_x='abc')", json={"new_z": 5})).status_code == 204
    assert (await api.get("contacts(new_x='ABC')")).json()["new_y"] is True
    assert (await api.patch("contacts(new_x='abc')", json={"new_z": 6})).status_code == 400
    assert (await api.patch("contacts(new_x='abcd')", json={})).status_code == 400


@pytest.mark.parametrize(
    ("route", "body", "named"),
    [
        pytest.param("contacts", [{"new_nothing": 1}], "new_nothing", id="unknown-column"),
        pytest.param("contacts", [{"donotemail": 1}], "Edm.Boolean", id="wrong-value"),
        pytest.param("contacts", {}, "list", id="rows-not-a-list"),
        pytest.param("schema", {"column": {}}, "'column'", id="schema-key"),
        pytest.param("schema", {"columns": {"new_x": {"type": "text"}}}, "type is one of", id="type"),
        pytest.param(
            "schema", {"columns": {"new_x": {"type": "string", "length": 5}}}, "'length'", id="column-key"
        ),
        pytest.param(
            "schema", {"keys": {"k": {"columns": ["new_x"]}}}, "'new_x'", id="key-of-unknown-column"
        ),
        pytest.param(
            "schema", {"keys": {"k": {"columns": ["lastname"], "status": "Ready"}}}, "Active", id="status"
        ),
        pytest.param(
            "faults", [{"match": {}, "reply": {"status": 500}, "time": 1}], "'time'", id="fault-key"
        ),
        pytest.param("faults", [{"match": {"verb": "GET"}, "behaviour": "slow"}], "'verb'", id="match-key"),
        pytest.param("faults", [{"match": {}}], "either reply or behaviour", id="neither"),
        pytest.param("faults", [{"behaviour": "cut"}], "cut_before", id="behaviour"),
        pytest.param("faults", [{"reply": {"code": 1}}], "'code'", id="reply-key"),
        pytest.param("faults", [{"reply": {"status": 500}, "times": 0}], "times", id="times"),
        pytest.param("limits", {"request": 5}, "'request'", id="limits-key"),
        pytest.param("limits", {"row_ms": {"bulk": 5}}, "'bulk'", id="mode"),
        pytest.param("limits", {"enforce": 1}, "enforce", id="enforce"),
        pytest.param("limits", {"requests": -1}, "requests", id="negative"),
    ],
)
async def test_a_wrong_control_body_is_refused_by_name(
    api: httpx.AsyncClient, route: str, body: object, named: str
) -> None:
    response = await api.put(f"{CONTROL}/{route}", json=body)

    assert response.status_code == 400
    assert named in response.json()["error"]


async def test_unknown_routes_and_verbs_are_refused(api: httpx.AsyncClient) -> None:
    assert (await api.get(f"{CONTROL}/rows")).status_code == 404
    assert (await api.post(f"{CONTROL}/contacts")).status_code == 405
    assert (await api.put(f"{CONTROL}/limits", content=b"{")).status_code == 400
    assert (await api.get(f"{CONTROL}/contacts?where=1")).status_code == 400


async def test_stats_count_calls_rows_and_writes(api: httpx.AsyncClient) -> None:
    await api.patch(ROW, json=BODY)
    await api.patch("contacts(new_didomikey='unknown')", json=BODY, headers={"If-Match": "*"})
    body = batch(patch("customer-0001"), patch("customer-0002"), patch("x", '{"donotemail":1}'))
    await api.post("$batch", content=body, headers=GO_ON)

    stats = (await api.get(f"{CONTROL}/stats")).json()

    assert stats["calls"] == {
        "batch": {"200": 1},
        "part.patch": {"204": 2, "400": 1},
        "patch": {"204": 1, "404": 1},
        "token": {"200": 1},
    }
    assert (stats["rows_written"], stats["rows_per_call"]) == (3, 1.5)
    assert stats["writes"] == {
        "00000000-0000-4000-8000-000000000001": 2,
        "00000000-0000-4000-8000-000000000002": 1,
    }
    assert (stats["peak_parallel"], stats["peak_writers_per_row"], stats["throttled"]) == (1, 1, 0)


async def test_rolled_back_writes_are_not_counted(api: httpx.AsyncClient) -> None:
    failing = change_set(patch("customer-0001", content_id="1"), patch("b", '{"x":1}', content_id="2"))
    await api.post("$batch", content=batch(failing), headers=HEADERS)

    stats = (await api.get(f"{CONTROL}/stats")).json()
    assert (stats["rows_written"], stats["writes"]) == (0, {})


async def test_reset_goes_back_to_the_start(api: httpx.AsyncClient) -> None:
    at_start = (await api.get(f"{CONTROL}/contacts?select=contactid,donotemail,new_didomikey")).json()
    await api.put(f"{CONTROL}/schema", json={"columns": {"new_x": {"type": "boolean"}}})
    await api.put(f"{CONTROL}/limits", json={"enforce": True, "requests": 0})
    await set_faults(api, {"match": {}, "reply": {"status": 500}})
    await api.put(f"{CONTROL}/contacts", json=[])

    await api.post(f"{CONTROL}/reset")

    again = (await api.get(f"{CONTROL}/contacts?select=contactid,donotemail,new_didomikey")).json()
    assert again == at_start
    assert (await api.patch(ROW, json={"new_x": True})).status_code == 400
    assert (await api.get(f"{CONTROL}/stats")).json()["calls"] == {"patch": {"400": 1}}
    assert (await api.get(f"{CONTROL}/faults")).json() == []


@pytest.mark.parametrize(
    ("match", "hit"),
    [
        pytest.param({}, True, id="anything"),
        pytest.param({"method": "PATCH"}, True, id="method"),
        pytest.param({"method": "POST"}, False, id="another-method"),
        pytest.param({"path": "contacts("}, True, id="part-of-the-path"),
        pytest.param({"path": "*/contacts(*customer-0001*"}, True, id="glob"),
        pytest.param({"path": "*/contacts"}, False, id="glob-is-the-whole-path"),
        pytest.param({"path": "(new_didomikey='customer-0001')"}, True, id="path-decoded"),
        pytest.param({"new_didomikey": "CUSTOMER-0001"}, True, id="key-in-the-url"),
        pytest.param({"columns": {"emailaddress1": "customer-0001@example.com"}}, True, id="stored-value"),
        pytest.param({"donotemail": True}, True, id="value-in-the-body"),
        pytest.param({"donotemail": False}, False, id="the-body-hides-the-stored-value"),
        pytest.param({"donotemail": True, "new_didomikey": "customer-0002"}, False, id="all-must-hold"),
    ],
)
async def test_a_fault_hits_what_it_matches(api: httpx.AsyncClient, match: dict[str, Any], hit: bool) -> None:
    await set_faults(api, {"match": match, "reply": BUSY})

    response = await api.patch("contacts(new_didomikey=%27customer-0001%27)", json=BODY)

    assert response.status_code == (503 if hit else 204)
    assert (await held(api))["donotemail"] is not hit


async def test_a_reply_is_sent_unchanged_as_often_as_times_says(api: httpx.AsyncClient) -> None:
    await set_faults(api, {"match": {"method": "PATCH"}, "reply": BUSY, "times": 2})

    responses = [await api.patch(ROW, json=BODY) for _ in range(3)]

    assert [response.status_code for response in responses] == [503, 503, 204]
    assert responses[0].headers["Retry-After"] == "7"
    assert responses[0].json() == BUSY["body"]
    assert (await api.get(f"{CONTROL}/faults")).json()[0]["times"] == 0


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"match": {"method": "PATCH"}, "reply": BUSY}, id="json-body"),
        pytest.param({"reply": {"status": 502, "body": "<h1>Bad Gateway</h1>"}}, id="text-body"),
        pytest.param(
            {"reply": {"status": 500, "headers": {"Content-Type": "application/json"}, "body": "{ not"}},
            id="broken-json",
        ),
        pytest.param(
            {"reply": {"status": 500, "headers": {"Content-Type": "application/json"}, "body": '{ "a": 1 }'}},
            id="json-spelt-otherwise",
        ),
        pytest.param(
            {"reply": {"status": 500, "headers": {"Content-Type": "application/json"}, "body": '"a"'}},
            id="json-text",
        ),
        pytest.param({"reply": {"status": 503}, "delay_ms": 1500}, id="late-reply"),
        pytest.param({"behaviour": "slow"}, id="slow"),
        pytest.param({"behaviour": "slow", "delay_ms": 0}, id="slow-by-nothing"),
        pytest.param({"match": {"new_didomikey": "customer-0001"}, "behaviour": "html"}, id="column"),
    ],
)
async def test_the_faults_that_get_shows_can_be_put_back(
    api: httpx.AsyncClient, app: SandboxApp, fault: dict[str, Any]
) -> None:
    await set_faults(api, fault)
    given = app.environment.faults.active
    shown = (await api.get(f"{CONTROL}/faults")).json()

    put = await api.put(f"{CONTROL}/faults", json=shown)

    assert put.json() == shown
    assert app.environment.faults.active == given


async def test_a_json_body_is_shown_as_it_was_given(api: httpx.AsyncClient) -> None:
    await set_faults(api, {"reply": BUSY})

    assert (await api.get(f"{CONTROL}/faults")).json()[0]["reply"]["body"] == BUSY["body"]


async def test_rows_a_call_are_counted_anew_with_the_rows(api: httpx.AsyncClient) -> None:
    for _ in range(3):
        await api.patch(ROW, json=BODY)
    await api.post(f"{CONTROL}/fill", json={"rows": 2})
    await api.patch("contacts(00000000-0000-4000-8000-000000000001)", json=BODY)

    stats = (await api.get(f"{CONTROL}/stats")).json()

    assert (stats["rows_written"], stats["rows_per_call"], stats["calls"]["patch"]) == (1, 1.0, {"204": 4})


async def test_a_fault_in_a_batch_hits_only_its_part(api: httpx.AsyncClient) -> None:
    await set_faults(api, {"match": {"new_didomikey": "customer-0002"}, "reply": BUSY})

    body = batch(patch("customer-0001"), patch("customer-0002"), patch("customer-0003"))
    response = await api.post("$batch", content=body, headers=GO_ON)

    found = answers(response.headers["Content-Type"], response.content)
    assert (response.status_code, [answer.status for answer in found]) == (200, [204, 503, 204])
    assert "\r\nRetry-After: 7" in found[1].text


async def test_a_fault_on_the_batch_hits_the_call(api: httpx.AsyncClient) -> None:
    await set_faults(api, {"match": {"path": "$batch"}, "reply": BUSY})

    response = await api.post("$batch", content=batch(patch("customer-0001")), headers=GO_ON)

    assert response.status_code == 503
    assert (await held(api))["donotemail"] is False


async def test_a_fault_can_hit_the_token_endpoint(
    api: httpx.AsyncClient, stranger: httpx.AsyncClient, app: SandboxApp
) -> None:
    await set_faults(api, {"match": {"path": "/oauth2/v2.0/token"}, "reply": {"status": 500}, "times": 1})

    refused = await stranger.post(f"/{app.identity.tenant_id}/oauth2/v2.0/token")

    assert (refused.status_code, refused.content) == (500, b"")
    assert await fetch_token(stranger, app.identity)


@pytest.mark.parametrize(("behaviour", "written"), [("cut_before", False), ("cut_after_commit", True)])
async def test_a_cut_call_may_or_may_not_have_written(
    api: httpx.AsyncClient,
    behaviour: str,
    written: bool,
) -> None:
    await set_faults(api, {"match": {"path": "customer-0001"}, "behaviour": behaviour, "times": 1})

    with pytest.raises(ConnectionCutError):
        await api.patch(ROW, json=BODY)

    assert (await held(api))["donotemail"] is written
    assert (await api.get(f"{CONTROL}/stats")).json()["calls"]["patch"] == {"0": 1}


@pytest.mark.parametrize(
    ("behaviour", "written"),
    [
        pytest.param("cut_before", [True, False, False], id="parts-before-it-stay"),
        pytest.param("cut_after_commit", [True, True, True], id="the-whole-batch-is-done"),
    ],
)
async def test_a_part_can_cut_the_call_of_its_batch(
    api: httpx.AsyncClient, behaviour: str, written: list[bool]
) -> None:
    await set_faults(api, {"match": {"new_didomikey": "customer-0002"}, "behaviour": behaviour})
    keys = ["customer-0001", "customer-0002", "customer-0003"]

    with pytest.raises(ConnectionCutError):
        await api.post("$batch", content=batch(*[patch(key) for key in keys]), headers=GO_ON)

    assert [(await held(api, key))["donotemail"] for key in keys] == written


async def test_a_slow_call_waits_on_the_sandbox_clock(api: httpx.AsyncClient, clock: ManualClock) -> None:
    await set_faults(
        api,
        {"match": {"method": "PATCH"}, "behaviour": "slow", "delay_ms": 90_000, "times": 2},
    )

    single = await api.patch(ROW, json=BODY)
    several = await api.post("$batch", content=batch(patch("customer-0002")), headers=GO_ON)

    assert (single.status_code, several.status_code) == (204, 200)
    assert clock.slept == [90.0, 90.0]


async def test_a_gateway_answers_in_html(api: httpx.AsyncClient) -> None:
    await set_faults(api, {"match": {"method": "PATCH"}, "behaviour": "html"})

    response = await api.patch(ROW, json=BODY)

    assert (response.status_code, response.headers["Content-Type"]) == (502, "text/html")
    assert response.text.startswith("<html>")


async def test_a_fault_can_hit_a_lookup_by_filter(api: httpx.AsyncClient) -> None:
    await set_faults(api, {"match": {"emailaddress1": "customer-0001@example.com"}, "reply": BUSY})

    struck = await api.get("contacts?$filter=emailaddress1 eq 'customer-0001@example.com'")
    other = await api.get("contacts?$filter=emailaddress1 eq 'customer-0002@example.com'")

    assert (struck.status_code, other.status_code) == (503, 200)


async def test_a_fault_on_columns_ignores_malformed_requests(api: httpx.AsyncClient) -> None:
    await set_faults(api, {"match": {"emailaddress1": "x@example.com"}, "reply": BUSY})
    broken = b'{"emailaddress1":"x@example.com"'

    answered = [
        await api.get("contacts?$filter=emailaddress1 is 'x@example.com'"),
        await api.patch(ROW, content=broken, headers={"Content-Type": "application/json"}),
        await api.patch("contacts(new_didomikey=@p)", json=BODY),
        await api.get("WhoAmI"),
    ]

    assert [response.status_code for response in answered] == [400, 400, 400, 200]
