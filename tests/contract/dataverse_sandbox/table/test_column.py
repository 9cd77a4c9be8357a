"""dataverse.md 6.1-6.3: what each type of column accepts, refuses and gives back."""

import httpx
import pytest
from tests.contract.dataverse_sandbox.conftest import CONTROL

ROW = "contacts(new_didomikey='customer-0001')"
EXTRA = {
    "columns": {
        "new_count": {"type": "integer"},
        "new_amount": {"type": "decimal"},
        "new_many": {"type": "multiselect", "options": {str(number): str(number) for number in range(200)}},
        "new_fixed": {"type": "string", "writable": False, "default": "as made"},
        "new_account": {"type": "lookup"},
    }
}
LITERAL, PAYLOAD = "0x0", "0x80048d19"


@pytest.mark.parametrize(
    ("column", "sent", "read"),
    [
        pytest.param("donotemail", True, True, id="boolean"),
        pytest.param("donotemail", None, None, id="boolean-cleared"),
        pytest.param("new_profiling", 100000001, 100000001, id="option"),
        pytest.param(
            "new_topics", " 100000001 , 100000000 ", "100000001,100000000", id="options-with-blanks"
        ),
        pytest.param("new_topics", "", None, id="options-cleared-by-empty-text"),
        pytest.param(
            "new_many", ",".join(map(str, range(150))), ",".join(map(str, range(150))), id="150-options"
        ),
        pytest.param("emailaddress1", "x" * 100, "x" * 100, id="text-of-full-length"),
        pytest.param(
            "emailaddress1", "\N{GRINNING FACE}" * 50, "\N{GRINNING FACE}" * 50, id="two-units-each"
        ),
        pytest.param("description", "x" * 2000, "x" * 2000, id="memo-of-full-length"),
        pytest.param("new_count", -2147483648, -2147483648, id="smallest-integer"),
        pytest.param("new_amount", 1.237, 1.24, id="decimal-is-rounded"),
        pytest.param("birthdate", "2000-02-29", "2000-02-29", id="date"),
        pytest.param("birthdate", "1753-01-01", "1753-01-01", id="earliest-date"),
        pytest.param("new_profilingon", "2026-11-23T10:00:00Z", "2026-11-23T10:00:00Z", id="instant"),
        pytest.param(
            "new_profilingon", "2026-11-23T10:00:00+02:00", "2026-11-23T08:00:00Z", id="instant-with-offset"
        ),
        pytest.param("new_profilingon", "2026-11-23T10:00:00.120Z", "2026-11-23T10:00:00.12Z", id="fraction"),
        pytest.param("statecode", 1, 1, id="state"),
    ],
)
async def test_a_right_value_is_stored(
    api: httpx.AsyncClient, column: str, sent: object, read: object
) -> None:
    await api.put(f"{CONTROL}/schema", json=EXTRA)

    response = await api.patch(ROW, json={column: sent})

    assert response.status_code == 204, response.text
    assert (await api.get(f"{ROW}?$select={column}")).json()[column] == read


@pytest.mark.parametrize(
    ("column", "sent", "code"),
    [
        pytest.param("donotemail", 1, LITERAL, id="boolean-as-number"),
        pytest.param("donotemail", "true", LITERAL, id="boolean-as-text"),
        pytest.param("new_profiling", 5, "0x8004431a", id="option-unknown"),
        pytest.param("new_profiling", "100000000", LITERAL, id="option-as-text"),
        pytest.param("new_profiling", True, LITERAL, id="option-as-boolean"),
        pytest.param("new_topics", "100000000,7", "0x8004431a", id="one-of-the-options-unknown"),
        pytest.param("new_topics", "sport", LITERAL, id="options-by-label"),
        pytest.param("new_topics", 100000000, LITERAL, id="options-as-number"),
        pytest.param("new_topics", [100000000], LITERAL, id="options-as-list"),
        pytest.param("new_many", ",".join(map(str, range(151))), "0x80040203", id="151-options"),
        pytest.param("emailaddress1", "x" * 101, "0x80044331", id="text-too-long"),
        pytest.param("emailaddress1", "\N{GRINNING FACE}" * 51, "0x80044331", id="too-long-in-units"),
        pytest.param("emailaddress1", 5, LITERAL, id="text-as-number"),
        pytest.param("description", "x" * 2001, "0x80044331", id="memo-too-long"),
        pytest.param("new_count", 2147483648, "0x8004432f", id="integer-too-large"),
        pytest.param("new_count", 1.5, LITERAL, id="integer-with-fraction"),
        pytest.param("new_count", "1", LITERAL, id="integer-as-text"),
        pytest.param("new_amount", 1e15, "0x80044330", id="decimal-too-large"),
        pytest.param("new_amount", "1.5", LITERAL, id="decimal-as-text"),
        pytest.param("birthdate", "2026-11-23T10:00:00Z", LITERAL, id="date-with-time"),
        pytest.param("birthdate", "2026-02-30", LITERAL, id="no-such-day"),
        pytest.param("birthdate", "1752-12-31", "0x80040239", id="date-too-early"),
        pytest.param("new_profilingon", "2026-11-23", LITERAL, id="instant-without-time"),
        pytest.param("new_profilingon", "2026-11-23T10:00:00", LITERAL, id="instant-without-zone"),
        pytest.param("new_profilingon", "1700-01-01T00:00:00Z", "0x80040239", id="instant-too-early"),
        pytest.param("new_profilingon", 1780000000, LITERAL, id="instant-as-number"),
        pytest.param("new_nothing", True, PAYLOAD, id="unknown-column"),
        pytest.param("DoNotEmail", True, PAYLOAD, id="names-are-case-sensitive"),
        pytest.param("fullname", "A B", "0x80040203", id="read-only"),
        pytest.param("createdon", "2026-11-23T10:00:00Z", "0x80040203", id="read-only-instant"),
        pytest.param("new_fixed", "other", "0x80040203", id="column-not-writable"),
        pytest.param("statecode", None, "0x80040200", id="required-cleared"),
        pytest.param("_parentcustomerid_value", "x", PAYLOAD, id="lookup-written-directly"),
        pytest.param("parentcustomerid", "x", PAYLOAD, id="lookup-by-its-column"),
        pytest.param(
            "parentcustomerid_Account@odata.bind", "/accounts(x)", PAYLOAD, id="navigation-in-wrong-case"
        ),
    ],
)
async def test_a_wrong_value_is_refused(api: httpx.AsyncClient, column: str, sent: object, code: str) -> None:
    await api.put(f"{CONTROL}/schema", json=EXTRA)

    response = await api.patch(ROW, json={column: sent})

    assert (response.status_code, response.json()["error"]["code"]) == (400, code)


async def test_a_lookup_is_bound_read_and_cleared(api: httpx.AsyncClient) -> None:
    account = "00000000-0000-4000-8000-00000000aaaa"
    name = "parentcustomerid_account"

    await api.patch(ROW, json={f"{name}@odata.bind": f"/accounts({account})"})
    bound = (await api.get(ROW)).json()["_parentcustomerid_value"]
    await api.patch(ROW, json={name: None})
    cleared = (await api.get(ROW)).json()["_parentcustomerid_value"]
    await api.patch(ROW, json={f"{name}@odata.bind": f"/accounts({account})"})
    await api.delete(f"{ROW}/{name}/$ref")

    assert (bound, cleared) == (account, None)
    assert (await api.get(ROW)).json()["_parentcustomerid_value"] is None


async def test_some_columns_are_written_at_creation_only(api: httpx.AsyncClient) -> None:
    body = {"new_didomikey": "old", "overriddencreatedon": "2020-01-01T00:00:00Z"}

    assert (await api.post("contacts", json=body)).status_code == 204
    assert (await api.get("contacts(new_didomikey='old')")).json()["createdon"] == "2020-01-01T00:00:00Z"
    put = await api.put(f"{ROW}/overriddencreatedon", json={"value": "2020-01-01T00:00:00Z"})
    assert put.status_code == 400


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        pytest.param(b"{", "application/json", id="broken-json"),
        pytest.param(b"[]", "application/json", id="a-list"),
        pytest.param(b"", "application/json", id="nothing"),
        pytest.param(b'{"new_count": NaN}', "application/json", id="not-a-number"),
        pytest.param(b'{"lastname": "half \\ud800"}', "application/json", id="half-a-surrogate-pair"),
        pytest.param(
            b'{"lastname": "\\uDC00\\uD800"}', "application/json", id="surrogates-in-the-wrong-order"
        ),
        pytest.param(b'{"\\ud800": 1}', "application/json", id="half-a-pair-in-a-name"),
        pytest.param(b'\xff{"a":1}', "application/json", id="not-utf-8"),
        pytest.param(b"{}", "text/plain", id="another-content-type"),
        pytest.param(b"[" * 100_000, "application/json", id="nested-too-deeply"),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(
    api: httpx.AsyncClient, content: bytes, content_type: str
) -> None:
    response = await api.patch(ROW, content=content, headers={"Content-Type": content_type})

    assert (response.status_code, response.json()["error"]["code"]) == (400, "0x80048d19")


async def test_a_surrogate_pair_is_one_character(api: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json"}
    await api.patch(ROW, content=b'{"lastname": "\\ud83d\\ude00"}', headers=headers)

    assert (await api.get(ROW)).json()["lastname"] == "\U0001f600"


async def test_labels_come_with_annotations(api: httpx.AsyncClient) -> None:
    await api.patch(ROW, json={"new_profiling": 100000000, "new_topics": "100000000,100000001"})

    response = await api.get(ROW, headers={"Prefer": 'odata.include-annotations="*"'})

    suffix = "@OData.Community.Display.V1.FormattedValue"
    read = response.json()
    assert (read[f"new_profiling{suffix}"], read[f"new_topics{suffix}"]) == ("Granted", "Sport; Culture")
    assert read[f"donotemail{suffix}"] == "No"
    assert response.headers["Preference-Applied"] == 'odata.include-annotations="*"'


@pytest.mark.parametrize(
    ("bound", "code"),
    [
        pytest.param("/contacts(00000000-0000-4000-8000-00000000aaaa)", "0x80048d19", id="another-table"),
        pytest.param("/accounts(1)", "0x8006088a", id="no-id"),
        pytest.param("accounts", "0x8006088a", id="no-row"),
        pytest.param(5, "0x0", id="not-a-text"),
    ],
)
async def test_a_lookup_is_bound_to_a_row_of_its_own_table(
    api: httpx.AsyncClient, bound: object, code: str
) -> None:
    response = await api.patch(ROW, json={"parentcustomerid_account@odata.bind": bound})

    assert (response.status_code, response.json()["error"]["code"]) == (400, code)


async def test_a_navigation_property_itself_takes_only_null(api: httpx.AsyncClient) -> None:
    assert (await api.patch(ROW, json={"parentcustomerid_account": "x"})).status_code == 400
    assert (await api.delete(f"{ROW}/nothing/$ref")).status_code == 404


async def test_annotations_of_a_row_that_was_read_are_ignored(api: httpx.AsyncClient) -> None:
    assert (await api.patch(ROW, json={"@odata.etag": 'W/"1"', "firstname": "A"})).status_code == 204


async def test_instants_out_of_range_are_refused(api: httpx.AsyncClient) -> None:
    for text in ("2026-13-01T00:00:00Z", "9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00"):
        assert (await api.patch(ROW, json={"new_profilingon": text})).status_code == 400


async def test_a_lookup_can_be_bound_by_key(api: httpx.AsyncClient) -> None:
    body = {"parentcustomerid_contact@odata.bind": "/contacts(new_didomikey='customer-0002')"}

    assert (await api.patch(ROW, json=body)).status_code == 204

    second = (await api.get("contacts(new_didomikey='customer-0002')")).json()["contactid"]
    assert (await api.get(ROW)).json()["_parentcustomerid_value"] == second


@pytest.mark.parametrize(
    ("name", "reference", "status"),
    [
        pytest.param("parentcustomerid_contact", "/contacts(new_didomikey='none')", 404, id="no-such-key"),
        pytest.param(
            "parentcustomerid_contact",
            "/contacts(00000000-0000-0000-0000-0000000000ff)",
            404,
            id="no-such-id",
        ),
        pytest.param("parentcustomerid_account", "/accounts(name='a')", 501, id="key-of-another-table"),
    ],
)
async def test_a_lookup_is_bound_to_a_row_that_can_be_found(
    api: httpx.AsyncClient, name: str, reference: str, status: int
) -> None:
    assert (await api.patch(ROW, json={f"{name}@odata.bind": reference})).status_code == status
