"""`$metadata`: valid OData 4.0 CSDL that describes the table."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

import httpx
import pytest
from tests.contract.dataverse_sandbox.conftest import CONTROL

EDM = "{http://docs.oasis-open.org/odata/ns/edm}"
PRIMITIVES = {
    f"Edm.{name}"
    for name in ("Boolean", "String", "Int32", "Int64", "Decimal", "Date", "DateTimeOffset", "Guid")
}


@pytest.fixture
async def schema(api: httpx.AsyncClient) -> ET.Element:
    return await read(api)


async def read(api: httpx.AsyncClient) -> ET.Element:
    response = await api.get("$metadata")
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/xml")
    found = ET.fromstring(response.content).find(f".//{EDM}Schema")  # noqa: S314 - our own document
    assert found is not None
    return found


def entity(schema: ET.Element, name: str) -> ET.Element:
    found = schema.find(f"{EDM}EntityType[@Name='{name}']")
    assert found is not None, name
    return found


def properties(entity_type: ET.Element) -> dict[str, str]:
    return {found.attrib["Name"]: found.attrib["Type"] for found in entity_type.iterfind(f"{EDM}Property")}


def types_named(schema: ET.Element) -> Iterator[str]:
    for element in schema.iter():
        for attribute in ("Type", "BaseType", "EntityType"):
            name = element.attrib.get(attribute)
            if name is not None and not name.startswith("OData.Community.Keys.V1."):
                yield re.sub(r"^Collection\((.*)\)$", r"\1", name)


async def test_every_type_that_is_named_is_declared(schema: ET.Element) -> None:
    declared = {f"mscrm.{found.attrib['Name']}" for found in schema if found.tag != f"{EDM}EntityContainer"}

    assert set(types_named(schema)) <= declared | PRIMITIVES


async def test_names_within_a_type_are_unique(schema: ET.Element) -> None:
    for found in schema.iterfind(f"{EDM}EntityType"):
        names = [child.attrib["Name"] for child in found if "Name" in child.attrib]
        assert len(set(names)) == len(names)


async def test_every_property_that_is_referred_to_exists(schema: ET.Element) -> None:
    contact = entity(schema, "contact")
    for navigation in contact.iterfind(f"{EDM}NavigationProperty"):
        constraint = navigation.find(f"{EDM}ReferentialConstraint")
        assert constraint is not None
        assert constraint.attrib["Property"] in properties(contact)
        target = entity(schema, navigation.attrib["Type"].removeprefix("mscrm."))
        assert constraint.attrib["ReferencedProperty"] in properties(target)
    for found in schema.iterfind(f"{EDM}EntityType"):
        for reference in found.iterfind(f"{EDM}Key/{EDM}PropertyRef"):
            assert reference.attrib["Name"] in properties(found)


async def test_every_binding_is_from_a_navigation_property_to_a_set(schema: ET.Element) -> None:
    container = schema.find(f"{EDM}EntityContainer")
    assert container is not None
    sets = {found.attrib["Name"]: found for found in container.iterfind(f"{EDM}EntitySet")}
    navigations = {
        found.attrib["Name"] for found in entity(schema, "contact").iterfind(f"{EDM}NavigationProperty")
    }

    bindings = list(sets["contacts"].iterfind(f"{EDM}NavigationPropertyBinding"))

    assert {binding.attrib["Path"] for binding in bindings} == navigations
    assert {binding.attrib["Target"] for binding in bindings} <= sets.keys()


async def test_columns_have_the_types_of_the_wire(schema: ET.Element) -> None:
    found = properties(entity(schema, "contact"))

    assert [
        found[name]
        for name in ("contactid", "donotemail", "new_profiling", "new_topics", "birthdate", "_ownerid_value")
    ] == ["Edm.Guid", "Edm.Boolean", "Edm.Int32", "Edm.String", "Edm.Date", "Edm.Guid"]


async def test_a_row_has_exactly_the_properties_declared(api: httpx.AsyncClient, schema: ET.Element) -> None:
    row = (await api.get("contacts?$top=1")).json()["value"][0]

    assert properties(entity(schema, "contact")).keys() == {name for name in row if "@" not in name}


async def test_read_only_columns_are_computed(schema: ET.Element) -> None:
    computed = {
        found.attrib["Name"]
        for found in entity(schema, "contact").iterfind(f"{EDM}Property")
        if found.find(f"{EDM}Annotation[@Term='Org.OData.Core.V1.Computed']") is not None
    }

    assert {"fullname", "createdon", "versionnumber"} <= computed
    assert not {"lastname", "overriddencreatedon", "contactid"} & computed


async def test_active_keys_and_new_columns_appear(api: httpx.AsyncClient) -> None:
    await api.put(
        f"{CONTROL}/schema",
        json={
            "columns": {"new_shop": {"type": "lookup"}, "new_code": {"type": "string", "max_length": 7}},
            "keys": {
                "new_pair": {"columns": ["new_shop", "new_code"]},
                "new_later": {"columns": ["employeeid"], "status": "Pending"},
            },
        },
    )

    contact = entity(await read(api), "contact")

    keys = [
        [
            value.attrib["PropertyPath"]
            for value in record.iter(f"{EDM}PropertyValue")
            if "PropertyPath" in value.attrib
        ]
        for record in contact.iterfind(f"{EDM}Annotation/{EDM}Collection/{EDM}Record")
    ]
    assert keys == [["new_didomikey"], ["_new_shop_value", "new_code"]]
    code = contact.find(f"{EDM}Property[@Name='new_code']")
    assert code is not None
    assert code.attrib["MaxLength"] == "7"


async def test_the_bulk_messages_are_bound_to_the_set(schema: ET.Element) -> None:
    actions = {found.attrib["Name"]: found for found in schema.iterfind(f"{EDM}Action[@IsBound='true']")}

    assert actions.keys() == {"CreateMultiple", "UpdateMultiple", "UpsertMultiple"}
    returned = {name: found.find(f"{EDM}ReturnType") for name, found in actions.items()}
    assert [name for name, found in returned.items() if found is not None] == ["CreateMultiple"]


async def test_the_root_lists_the_sets(api: httpx.AsyncClient) -> None:
    document = (await api.get("")).json()

    for found in document["value"]:
        assert (await api.get(found["url"])).status_code == 200
    assert "contacts" in [found["name"] for found in document["value"]]
