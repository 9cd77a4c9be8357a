"""dataverse.md 7: what a check or a wizard may ask about the table."""

from typing import Any

import httpx
import pytest
from tests.contract.dataverse_sandbox.conftest import CONTROL

CONTACT = "EntityDefinitions(LogicalName='contact')"
CRM = "Microsoft.Dynamics.CRM."


async def read(api: httpx.AsyncClient, url: str) -> Any:  # noqa: ANN401 - JSON
    response = await api.get(url)
    assert response.status_code == 200, response.text
    return response.json()


async def values(api: httpx.AsyncClient, url: str) -> list[dict[str, Any]]:
    return list((await read(api, url))["value"])


async def test_the_table_names_its_set_and_id(api: httpx.AsyncClient) -> None:
    document = await read(
        api, f"{CONTACT}?$select=LogicalName,EntitySetName,PrimaryIdAttribute,IsOptimisticConcurrencyEnabled"
    )

    assert document["EntitySetName"] == "contacts"
    assert document["PrimaryIdAttribute"] == "contactid"
    assert "OwnershipType" not in document


async def test_tables_can_be_listed_without_the_private_ones(api: httpx.AsyncClient) -> None:
    tables = await values(
        api, "EntityDefinitions?$filter=IsPrivate eq false and (SchemaName eq 'Contact')&$select=LogicalName"
    )

    assert [table["LogicalName"] for table in tables] == ["contact"]


async def test_another_table_is_not_found(api: httpx.AsyncClient) -> None:
    assert (await api.get("EntityDefinitions(LogicalName='account')")).status_code == 404


async def test_keys_state_their_index_status(api: httpx.AsyncClient) -> None:
    await api.put(
        f"{CONTROL}/schema",
        json={"keys": {"new_pending": {"columns": ["employeeid"], "status": "InProgress"}}},
    )

    keys = await values(
        api, f"{CONTACT}/Keys?$select=SchemaName,LogicalName,KeyAttributes,EntityKeyIndexStatus"
    )

    assert [(key["LogicalName"], key["KeyAttributes"], key["EntityKeyIndexStatus"]) for key in keys] == [
        ("new_didomikey", ["new_didomikey"], "Active"),
        ("new_pending", ["employeeid"], "InProgress"),
    ]


async def test_a_key_can_be_created(api: httpx.AsyncClient) -> None:
    response = await api.post(
        f"{CONTACT}/Keys", json={"SchemaName": "new_MailKey", "KeyAttributes": ["emailaddress1"]}
    )

    assert response.status_code == 204
    assert (await read(api, f"{CONTACT}/Keys(LogicalName='new_mailkey')"))["EntityKeyIndexStatus"] == "Active"
    assert (await api.get("contacts(emailaddress1='customer-0001%40example.com')")).status_code == 200


async def test_columns_state_type_and_writability(api: httpx.AsyncClient) -> None:
    select = "LogicalName,AttributeType,AttributeTypeName,IsValidForUpdate,IsCustomAttribute,RequiredLevel"
    columns = {
        column["LogicalName"]: column
        for column in await values(api, f"{CONTACT}/Attributes?$select={select}")
    }

    assert columns["donotemail"]["AttributeType"] == "Boolean"
    assert columns["new_topics"]["AttributeType"] == "Virtual"
    assert columns["new_topics"]["AttributeTypeName"] == {"Value": "MultiSelectPicklistType"}
    assert columns["statecode"]["AttributeType"] == "State"
    assert columns["fullname"]["IsValidForUpdate"] is False
    assert (columns["new_topics"]["IsCustomAttribute"], columns["donotemail"]["IsCustomAttribute"]) == (
        True,
        False,
    )
    assert columns["statecode"]["RequiredLevel"]["Value"] == "SystemRequired"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LogicalName eq 'donotemail'", ["donotemail"]),
        ("LogicalName eq 'donotemail' or LogicalName eq 'donotfax'", ["donotemail", "donotfax"]),
        (
            f"IsCustomAttribute eq true and AttributeType eq {CRM}AttributeTypeCode'Picklist'",
            ["new_profiling", "new_frequency"],
        ),
        ("AttributeTypeName/Value eq 'MultiSelectPicklistType'", ["new_topics"]),
        (
            "IsCustomAttribute eq false and (LogicalName eq 'donotfax' or LogicalName eq 'new_topics')",
            ["donotfax"],
        ),
        ("( LogicalName eq 'new_topics' ) or (LogicalName eq 'donotfax')", ["donotfax", "new_topics"]),
        ("RequiredLevel/Value ne 'None'", ["contactid", "statecode", "statuscode"]),
    ],
)
async def test_columns_can_be_filtered(api: httpx.AsyncClient, text: str, expected: list[str]) -> None:
    response = await api.get(f"{CONTACT}/Attributes", params={"$select": "LogicalName", "$filter": text})

    assert [column["LogicalName"] for column in response.json()["value"]] == expected


async def test_one_column_is_found_by_name(api: httpx.AsyncClient) -> None:
    document = await read(api, f"{CONTACT}/Attributes(LogicalName='emailaddress1')")

    assert document["@odata.type"] == f"#{CRM}StringAttributeMetadata"
    assert (await api.get(f"{CONTACT}/Attributes(LogicalName='new_nothing')")).status_code == 404


async def test_type_details_need_a_cast(api: httpx.AsyncClient) -> None:
    with_cast = await values(
        api, f"{CONTACT}/Attributes/{CRM}StringAttributeMetadata?$select=LogicalName,MaxLength"
    )
    lengths = {column["LogicalName"]: column["MaxLength"] for column in with_cast}

    assert (lengths["emailaddress1"], lengths["firstname"]) == (100, 50)
    assert "description" not in lengths
    refused = await api.get(f"{CONTACT}/Attributes?$select=LogicalName,MaxLength")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "0x0")


async def test_options_come_with_expand(api: httpx.AsyncClient) -> None:
    url = f"{CONTACT}/Attributes/{CRM}{{}}AttributeMetadata?$expand=OptionSet,GlobalOptionSet"
    picklists = {column["LogicalName"]: column for column in await values(api, url.format("Picklist"))}
    several = await values(api, url.format("MultiSelectPicklist"))
    flags = await values(api, f"{CONTACT}/Attributes/{CRM}BooleanAttributeMetadata?$expand=OptionSet")

    options = picklists["new_profiling"]["OptionSet"]["Options"]
    assert [(option["Value"], option["Label"]["UserLocalizedLabel"]["Label"]) for option in options] == [
        (100000000, "Granted"),
        (100000001, "Refused"),
    ]
    assert "statecode" not in picklists
    assert [option["Value"] for option in several[0]["OptionSet"]["Options"]] == [100000000, 100000001]
    assert flags[0]["OptionSet"]["TrueOption"]["Value"] == 1


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(f"{CONTACT}/Attributes/{CRM}EnumAttributeMetadata", id="abstract-class"),
        pytest.param(f"{CONTACT}/Attributes?$expand=OptionSet", id="options-without-a-cast"),
        pytest.param(f"{CONTACT}/Attributes?$filter=LogicalName is 'a'", id="unknown-comparison"),
        pytest.param(f"{CONTACT}/Attributes?$filter=Nothing eq 'a'", id="unknown-property"),
        pytest.param(f"{CONTACT}/Attributes?$filter=(LogicalName eq 'a'", id="bracket-not-closed"),
        pytest.param(f"{CONTACT}/Attributes?$filter=LogicalName eq 'a')", id="bracket-not-opened"),
        pytest.param(f"{CONTACT}/Attributes?$filter=()", id="nothing-in-brackets"),
        pytest.param(f"{CONTACT}?$select=Nothing", id="unknown-selection"),
        pytest.param(f"{CONTACT}?$expand=Relationships", id="unknown-expansion"),
    ],
)
async def test_a_malformed_question_is_refused(api: httpx.AsyncClient, url: str) -> None:
    assert (await api.get(url)).status_code == 400


async def test_columns_and_keys_come_with_the_table(api: httpx.AsyncClient) -> None:
    expand = "Attributes($select=LogicalName;$filter=LogicalName eq 'donotemail'),Keys($select=LogicalName)"
    response = await api.get(CONTACT, params={"$select": "LogicalName", "$expand": expand})

    document = response.json()
    assert [column["LogicalName"] for column in document["Attributes"]] == ["donotemail"]
    assert [key["LogicalName"] for key in document["Keys"]] == ["new_didomikey"]


@pytest.mark.parametrize(
    ("message", "expected"), [("UpdateMultiple", 1), ("CreateMultiple", 1), ("UpsertMultiple", 0)]
)
async def test_bulk_messages_are_found_by_their_filter(
    api: httpx.AsyncClient, message: str, expected: int
) -> None:
    """UpsertMultiple is not listed (dataverse.md 3.4)."""
    url = (
        "sdkmessagefilters?$select=sdkmessagefilterid"
        f"&$filter=sdkmessageid/name eq @m and primaryobjecttypecode eq @t&@m='{message}'&@t='contact'"
    )

    assert len(await values(api, url)) == expected
