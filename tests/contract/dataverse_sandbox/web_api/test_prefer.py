"""dataverse.md 1.3, 2.1, 6.1: what `Prefer` asks for, and `Preference-Applied`."""

import httpx
import pytest
from tests.contract.dataverse_sandbox.batches import GO_ON, batch, patch
from tests.contract.dataverse_sandbox.conftest import CONTROL

KEY = "contacts(new_didomikey='p')"
LABEL = "OData.Community.Display.V1.FormattedValue"
ROW = {
    "new_didomikey": "p",
    "donotemail": True,
    "new_profiling": 100000001,
    "new_topics": "100000000,100000001",
    "birthdate": "2001-02-03",
    "new_profilingon": "2026-01-02T15:04:59Z",
    "numberofchildren": 1234,
    "creditlimit": 1234.5,
    "new_share": 1234.5,
    "_preferredsystemuserid_value": "00000000-0000-0000-0000-00000000000a",
}


@pytest.fixture(autouse=True)
async def _rows(api: httpx.AsyncClient) -> None:
    await api.put(f"{CONTROL}/schema", json={"columns": {"new_share": {"type": "decimal"}}})
    assert (await api.put(f"{CONTROL}/contacts", json=[ROW])).status_code == 200


async def read(api: httpx.AsyncClient, prefer: str, columns: str = ",".join(ROW)) -> httpx.Response:
    response = await api.get(f"contacts?$select={columns}", headers={"Prefer": prefer})
    assert response.status_code == 200, response.text
    return response


@pytest.mark.parametrize(
    ("column", "label"),
    [
        ("donotemail", "Yes"),
        ("new_profiling", "Refused"),
        ("new_topics", "Sport; Culture"),
        ("birthdate", "2/3/2001"),
        ("new_profilingon", "1/2/2026 3:04 PM"),
        ("numberofchildren", "1,234"),
        ("creditlimit", "$1,234.50"),
        ("new_share", "1,234.50"),
    ],
)
async def test_a_value_is_formatted_for_people(api: httpx.AsyncClient, column: str, label: str) -> None:
    row = (await read(api, f'odata.include-annotations="{LABEL}"', column)).json()["value"][0]

    assert row[f"{column}@{LABEL}"] == label
    assert row[column] == ROW[column]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param("*", {LABEL, "Microsoft.Dynamics.CRM.lookuplogicalname"}, id="all"),
        pytest.param(
            "Microsoft.Dynamics.CRM.*", {"Microsoft.Dynamics.CRM.lookuplogicalname"}, id="namespace"
        ),
        pytest.param(f"*,-{LABEL}", {"Microsoft.Dynamics.CRM.lookuplogicalname"}, id="all-but-one"),
        pytest.param("display.*", set(), id="unknown"),
    ],
)
async def test_only_requested_annotations_come(
    api: httpx.AsyncClient, wanted: str, expected: set[str]
) -> None:
    row = (await read(api, f'odata.include-annotations="{wanted}"')).json()["value"][0]

    found = {name.partition("@")[2] for name in row if "@" in name} - {"odata.etag"}
    assert found - {"Microsoft.Dynamics.CRM.associatednavigationproperty"} == expected


async def test_a_lookup_states_its_target(api: httpx.AsyncClient) -> None:
    row = (await read(api, 'odata.include-annotations="*"')).json()["value"][0]

    name = "_preferredsystemuserid_value@Microsoft.Dynamics.CRM."
    assert row[f"{name}lookuplogicalname"] == "systemuser"
    assert row[f"{name}associatednavigationproperty"] == "preferredsystemuserid"


async def test_null_and_text_have_no_label(api: httpx.AsyncClient) -> None:
    row = (await read(api, 'odata.include-annotations="*"', "lastname,new_frequency,new_didomikey")).json()

    assert not [name for name in row["value"][0] if LABEL in name]


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("odata.maxpagesize=5", "odata.maxpagesize=5"),
        (
            'odata.include-annotations="*", odata.maxpagesize=5',
            'odata.include-annotations="*",odata.maxpagesize=5',
        ),
        ("return=representation", None),
        ("odata.maxpagesize=none", None),
        ("respond-async", None),
    ],
)
async def test_a_list_states_in_one_header_what_was_applied(
    api: httpx.AsyncClient, prefer: str, applied: str | None
) -> None:
    assert (await read(api, prefer)).headers.get_list("Preference-Applied") == ([applied] if applied else [])


@pytest.mark.parametrize(
    ("prefer", "status", "applied"),
    [
        ("return=representation", 200, "return=representation"),
        ("return=minimal", 204, None),
        (
            'return=representation,odata.include-annotations="*"',
            200,
            'return=representation,odata.include-annotations="*"',
        ),
        ('odata.include-annotations="*"', 204, None),
    ],
)
async def test_a_write_states_what_was_applied(
    api: httpx.AsyncClient, prefer: str, status: int, applied: str | None
) -> None:
    response = await api.patch(
        f"{KEY}?$select=donotemail", json={"donotemail": False}, headers={"Prefer": prefer}
    )

    assert (response.status_code, response.headers.get("Preference-Applied")) == (status, applied)
    if status == 200:
        assert response.headers["ETag"] == response.json()["@odata.etag"]
        assert (f"donotemail@{LABEL}" in response.json()) == ("annotations" in prefer)


async def test_a_batch_states_that_it_went_on(api: httpx.AsyncClient) -> None:
    response = await api.post("$batch", content=batch(patch("p")), headers=GO_ON)

    assert response.headers["Preference-Applied"] == "odata.continue-on-error"


async def test_an_unchanged_row_is_not_sent_again_except_with_annotations(api: httpx.AsyncClient) -> None:
    etag = (await api.get(KEY)).headers["ETag"]

    plain = await api.get(KEY, headers={"If-None-Match": etag})
    annotated = await api.get(KEY, headers={"If-None-Match": etag, "Prefer": 'odata.include-annotations="*"'})

    assert (plain.status_code, plain.content) == (304, b"")
    assert annotated.status_code == 200


async def test_an_error_has_details_when_annotations_are_requested(api: httpx.AsyncClient) -> None:
    error = (
        await api.patch(
            KEY,
            json={"donotemail": 1},
            headers={"Prefer": 'odata.include-annotations="*"'},
        )
    ).json()["error"]

    assert error["@Microsoft.PowerApps.CDS.ErrorDetails.ApiExceptionCategory"] == "ClientError"
    assert error["@Microsoft.PowerApps.CDS.ErrorDetails.ApiExceptionHttpStatusCode"] == "400"
    assert error["@Microsoft.PowerApps.CDS.InnerError.Message"] == error["message"]
    assert error.keys() >= {
        "@Microsoft.PowerApps.CDS.ErrorDetails.OperationStatus",
        "@Microsoft.PowerApps.CDS.ErrorDetails.SubErrorCode",
        "@Microsoft.PowerApps.CDS.HelpLink",
        "@Microsoft.PowerApps.CDS.TraceText",
    }
