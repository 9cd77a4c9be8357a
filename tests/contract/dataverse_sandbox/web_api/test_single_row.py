"""dataverse.md 2.1-2.3 and 2.6: what each method answers, and what it does to the row."""

from typing import Any

import httpx
import pytest

ROW = "contacts(new_didomikey='customer-0001')"
NO_ROW = "contacts(new_didomikey='unknown')"
ROW_ID = "00000000-0000-4000-8000-000000000001"
ROW_BY_ID = f"contacts({ROW_ID})"
NO_ROW_BY_ID = "contacts(00000000-0000-4000-8000-00000000ffff)"
BODY = {"donotemail": True}
ANY = {"If-Match": "*"}
NONE = {"If-None-Match": "*"}
STALE = {"If-Match": 'W/"1"'}
WHOLE = {"Prefer": "return=representation"}


async def row(api: httpx.AsyncClient, address: str = ROW) -> dict[str, Any]:
    response = await api.get(address)
    assert response.status_code == 200, response.text
    return dict(response.json())


def code(response: httpx.Response) -> str:
    return str(response.json()["error"]["code"])


@pytest.mark.parametrize(
    ("method", "address", "headers", "status", "expected_code"),
    [
        pytest.param("PATCH", ROW, {}, 204, None, id="patch-updates"),
        pytest.param("PATCH", NO_ROW, {}, 204, None, id="patch-creates"),
        pytest.param("PATCH", NO_ROW_BY_ID, {}, 204, None, id="patch-creates-by-id"),
        pytest.param("PATCH", ROW, ANY, 204, None, id="update-only-updates"),
        pytest.param("PATCH", NO_ROW, ANY, 404, "0x80060891", id="update-only-misses-by-key"),
        pytest.param("PATCH", NO_ROW_BY_ID, ANY, 404, "0x80040217", id="update-only-misses-by-id"),
        pytest.param("PATCH", ROW, NONE, 412, "0x80040237", id="create-only-finds-a-row"),
        pytest.param("PATCH", NO_ROW, NONE, 204, None, id="create-only-creates"),
        pytest.param("PATCH", ROW, STALE, 412, "0x80060882", id="stale-version"),
        pytest.param("PATCH", NO_ROW, STALE, 404, "0x80060891", id="version-of-no-row"),
        pytest.param("PATCH", ROW, {"If-None-Match": "null"}, 204, None, id="the-word-null-is-no-condition"),
        pytest.param("PATCH", ROW, WHOLE, 200, None, id="representation-of-an-update"),
        pytest.param("PATCH", NO_ROW, WHOLE, 201, None, id="representation-of-a-create"),
        pytest.param("PATCH", NO_ROW, ANY | WHOLE, 404, "0x80060891", id="representation-of-nothing"),
        pytest.param("GET", ROW, {}, 200, None, id="get-by-key"),
        pytest.param("GET", ROW_BY_ID, {}, 200, None, id="get-by-id"),
        pytest.param("GET", f"contacts(contactid={ROW_ID})", {}, 200, None, id="get-by-named-id"),
        pytest.param("GET", NO_ROW, {}, 404, "0x80060891", id="get-misses-by-key"),
        pytest.param("GET", NO_ROW_BY_ID, {}, 404, "0x80040217", id="get-misses-by-id"),
        pytest.param("DELETE", ROW, {}, 204, None, id="delete"),
        pytest.param("DELETE", NO_ROW, {}, 404, "0x80060891", id="delete-misses"),
        pytest.param("DELETE", ROW, STALE, 412, "0x80060882", id="delete-of-a-stale-version"),
        pytest.param("PUT", ROW, {}, 405, "0x8004023b", id="put-of-a-whole-row"),
        pytest.param("GET", "contact(1)", {}, 404, "0x8006088a", id="wrong-set"),
        pytest.param("PATCH", "contacts", {}, 405, "0x8004023b", id="patch-of-the-set"),
    ],
)
async def test_the_status_matrix_holds(
    api: httpx.AsyncClient,
    *,
    method: str,
    address: str,
    headers: dict[str, str],
    status: int,
    expected_code: str | None,
) -> None:
    sent = BODY if method in {"PATCH", "PUT"} else None
    response = await api.request(method, address, headers=headers, json=sent)

    assert response.status_code == status, response.text
    if expected_code is not None:
        assert code(response) == expected_code
    if status == 204:
        assert response.content == b""


@pytest.mark.parametrize("address", [ROW, ROW_BY_ID, "contacts(new_didomikey='CUSTOMER%2D0001')"])
async def test_the_response_echoes_the_requested_url(api: httpx.AsyncClient, address: str) -> None:
    response = await api.patch(address, json=BODY)

    assert response.headers["OData-EntityId"] == f"https://sandbox.test/api/data/v9.2/{address}"
    assert response.headers["OData-Version"] == "4.0"


async def test_a_create_keeps_the_key_of_the_url_and_the_defaults(api: httpx.AsyncClient) -> None:
    await api.patch(NO_ROW, json=BODY)

    created = await row(api, NO_ROW)
    assert created["new_didomikey"] == "unknown"
    assert created["donotemail"] is True
    # dataverse.md 6.2: consent by omission.
    assert created["donotbulkemail"] is False
    assert created["followemail"] is True


async def test_on_create_the_body_wins_over_the_key_of_the_url(api: httpx.AsyncClient) -> None:
    response = await api.patch(NO_ROW, json={"new_didomikey": "other"})

    assert response.status_code == 204
    assert (await api.get(NO_ROW)).status_code == 404
    assert (await row(api, "contacts(new_didomikey='other')"))["new_didomikey"] == "other"


async def test_on_update_the_key_of_the_url_cannot_be_changed_by_the_body(api: httpx.AsyncClient) -> None:
    response = await api.patch(ROW, json={"new_didomikey": "renamed", "firstname": "A"})

    assert response.status_code == 204
    held = await row(api)
    assert (held["new_didomikey"], held["firstname"]) == ("customer-0001", "A")


async def test_a_key_changes_through_the_id(api: httpx.AsyncClient) -> None:
    await api.patch(ROW_BY_ID, json={"new_didomikey": "renamed"})

    assert (await api.get(ROW)).status_code == 404
    assert (await row(api, "contacts(new_didomikey='renamed')"))["contactid"] == ROW_ID


@pytest.mark.parametrize(
    ("method", "address"),
    [
        pytest.param("POST", "contacts", id="post"),
        pytest.param("PATCH", ROW_BY_ID, id="patch-by-id"),
        pytest.param("PATCH", NO_ROW, id="patch-by-another-key-value"),
    ],
)
@pytest.mark.parametrize("taken", ["customer-0002", "CUSTOMER-0002", "customer-0002  ", "cüstomer-0002"])
async def test_a_key_value_that_another_row_holds_is_refused(
    api: httpx.AsyncClient, method: str, address: str, taken: str
) -> None:
    response = await api.request(method, address, json={"new_didomikey": taken})

    assert (response.status_code, code(response)) == (412, "0x80060892")
    assert (await row(api))["new_didomikey"] == "customer-0001"


async def test_rows_without_a_key_value_do_not_collide(api: httpx.AsyncClient) -> None:
    statuses = [(await api.post("contacts", json={"new_didomikey": None})).status_code for _ in range(2)]

    assert statuses == [204, 204]


async def test_a_single_upsert_does_not_distinguish_create_and_update(api: httpx.AsyncClient) -> None:
    created, updated = await api.patch(NO_ROW, json=BODY), await api.patch(NO_ROW, json=BODY)

    assert created.status_code == updated.status_code == 204
    assert "Location" not in created.headers


async def test_a_post_returns_the_new_id(api: httpx.AsyncClient) -> None:
    response = await api.post("contacts", json={"lastname": "N"})

    address = response.headers["OData-EntityId"].rpartition("/")[2]
    assert (await row(api, address))["lastname"] == "N"


async def test_a_post_of_a_taken_id_is_refused(api: httpx.AsyncClient) -> None:
    response = await api.post("contacts", json={"contactid": ROW_ID})

    assert (response.status_code, code(response)) == (412, "0x80040237")


async def test_a_post_may_return_the_row(api: httpx.AsyncClient) -> None:
    response = await api.post("contacts?$select=lastname", json={"lastname": "N"}, headers=WHOLE)

    assert response.status_code == 201
    assert response.headers["Preference-Applied"] == "return=representation"
    assert {"@odata.context", "@odata.etag", "lastname", "contactid"} == response.json().keys()


async def test_a_representation_is_narrowed_and_carries_its_version(api: httpx.AsyncClient) -> None:
    response = await api.patch(f"{ROW}?$select=contactid", json=BODY, headers=WHOLE)

    assert response.json()["contactid"] == ROW_ID
    assert "donotemail" not in response.json()
    assert response.headers["ETag"] == response.json()["@odata.etag"]


async def test_a_version_lets_one_of_two_writers_through(api: httpx.AsyncClient) -> None:
    seen = {"If-Match": (await row(api))["@odata.etag"]}

    first = await api.patch(ROW, json=BODY, headers=seen)
    second = await api.patch(ROW, json=BODY, headers=seen)

    assert (first.status_code, second.status_code) == (204, 412)


async def test_an_unchanged_row_is_not_sent_again(api: httpx.AsyncClient) -> None:
    etag = (await row(api))["@odata.etag"]

    assert (await api.get(ROW, headers={"If-None-Match": etag})).status_code == 304


async def test_a_refused_write_changes_nothing(api: httpx.AsyncClient) -> None:
    before = await row(api)

    await api.patch(ROW, json={"donotemail": True, "donotphone": "yes"})
    await api.patch(f"{ROW}?$select=nothing", json=BODY, headers=WHOLE)

    assert await row(api) == before


async def test_null_clears_and_absence_leaves_alone(api: httpx.AsyncClient) -> None:
    await api.patch(ROW, json={"firstname": "A", "middlename": "B"})
    await api.patch(ROW, json={"firstname": None})

    held = await row(api)
    assert (held["firstname"], held["middlename"]) == (None, "B")


async def test_one_column_can_be_set_read_and_cleared(api: httpx.AsyncClient) -> None:
    put = await api.put(f"{ROW}/firstname", json={"value": "A"})
    read = await api.get(f"{ROW}/firstname")
    cleared = await api.delete(f"{ROW}/firstname")
    gone = await api.get(f"{ROW}/firstname")

    assert [put.status_code, read.json()["value"], cleared.status_code, gone.status_code] == [
        204,
        "A",
        204,
        204,
    ]
    assert (await api.put(f"{NO_ROW}/firstname", json={"value": "A"})).status_code == 404
    assert (await api.put(f"{ROW}/nothing", json={"value": "A"})).status_code == 404


async def test_errors_carry_details_when_asked(api: httpx.AsyncClient) -> None:
    response = await api.patch(
        NO_ROW, json=BODY, headers=ANY | {"Prefer": 'return=minimal,odata.include-annotations="*"'}
    )

    error = response.json()["error"]
    prefix = "@Microsoft.PowerApps.CDS.ErrorDetails"
    assert error[f"{prefix}.ApiExceptionMessageName"] == "RecordNotFoundByEntityKey"
    assert error[f"{prefix}.ApiExceptionHttpStatusCode"] == "404"
    assert not any(name.startswith("@") for name in (await api.get(NO_ROW)).json()["error"])
