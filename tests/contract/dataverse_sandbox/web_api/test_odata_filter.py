"""Reading lists: dataverse.md 1.4 (lookup by `$filter`), 7 (cheap column checks), 11.1."""

import httpx
import pytest
from tests.contract.dataverse_sandbox.conftest import CONTROL

IN = "Microsoft.Dynamics.CRM.In"
ROWS = [
    {"new_didomikey": "a", "lastname": "Ünder", "emailaddress1": "a@example.com", "donotemail": True},
    {
        "new_didomikey": "b",
        "lastname": "o'Brien",
        "emailaddress1": "b@example.com",
        "birthdate": "2001-01-01",
    },
    {"new_didomikey": "c", "lastname": "Third", "new_profiling": 100000000, "numberofchildren": 3},
    {"new_didomikey": "d", "lastname": "Third", "new_profilingon": "2026-01-01T00:00:00.5Z"},
]


@pytest.fixture(autouse=True)
async def _rows(api: httpx.AsyncClient) -> None:
    response = await api.put(f"{CONTROL}/contacts", json=ROWS)
    assert response.status_code == 200, response.text


async def found(api: httpx.AsyncClient, **options: str) -> str:
    response = await api.get(
        "contacts",
        params={"$select": "new_didomikey", **{f"${name}": text for name, text in options.items()}},
    )
    assert response.status_code == 200, response.text
    return "".join(row["new_didomikey"] for row in response.json()["value"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("emailaddress1 eq 'A@EXAMPLE.com'", "a"),
        ("emailaddress1 eq 'a@example.com  '", "a"),
        ("lastname eq 'under'", "a"),
        ("lastname eq 'o''brien'", "b"),
        ("emailaddress1 eq null", "cd"),
        ("emailaddress1 ne null", "ab"),
        ("lastname ne 'third'", "ab"),
        ("donotemail eq true", "a"),
        ("donotemail eq false and lastname eq 'third'", "cd"),
        ("lastname eq 'third' and donotemail eq true", ""),
        ("new_didomikey eq 'a' or new_didomikey eq 'c'", "ac"),
        ("new_didomikey eq 'a' or donotemail eq true", "a"),
        ("not (new_didomikey eq 'a' or new_didomikey eq 'c')", "bd"),
        ("new_profiling eq 100000000", "c"),
        ("numberofchildren gt 2 and numberofchildren le 3", "c"),
        ("birthdate ge 2001-01-01", "b"),
        ("new_profilingon gt 2026-01-01T00:00:00Z", "d"),
        ("new_profilingon lt 2026-01-01T00:00:00Z", ""),
        ("contains(emailaddress1,'@EXAMPLE')", "ab"),
        ("startswith(lastname,'th')", "cd"),
        ("endswith(emailaddress1,'.com') and not startswith(emailaddress1,'b')", "a"),
        ("statecode eq 0", "abcd"),
        ("contactid eq 00000000-0000-4000-8000-000000000001", ""),
        ("(((lastname eq 'third')))", "cd"),
        (f"{IN}(PropertyName='new_didomikey',PropertyValues=['A','c'])", "ac"),
        (f'{IN}(PropertyName="lastname",PropertyValues=["third","o\'Brien"])', "cdb"),
        (f"{IN}(PropertyName='new_profiling',PropertyValues=['100000000']) and lastname ne null", "c"),
        (f"not {IN}(PropertyName='new_didomikey',PropertyValues=['a','c'])", "bd"),
    ],
)
async def test_a_filter_finds(api: httpx.AsyncClient, text: str, expected: str) -> None:
    assert await found(api, filter=text) == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("nothing eq 1", "0x0"),
        ("lastname eq 5", "0x0"),
        ("donotemail eq 1", "0x0"),
        ("donotemail eq 'true'", "0x0"),
        ("new_profiling eq '100000000'", "0x0"),
        ("contactid eq 'a'", "0x0"),
        ("lastname eq 'it's'", "0x8006088a"),
        ("lastname = 'a'", "0x8006088a"),
        ("lastname like 'a'", "0x8006088a"),
        ("lastname eq", "0x8006088a"),
        ("(lastname eq 'a'", "0x8006088a"),
        ("lastname eq 'a' and", "0x8006088a"),
        ("lastname eq @p", "0x8006088a"),
        ('lastname eq "a"', "0x0"),
        (f"{IN}(PropertyName='nothing',PropertyValues=['a'])", "0x0"),
        (f"{IN}(PropertyName='new_profiling',PropertyValues=['a'])", "0x0"),
        (f"{IN}(PropertyName='new_profiling',PropertyValues=['~'])", "0x0"),
        (f"{IN}(PropertyName='lastname',PropertyValues=[])", "0x8006088a"),
        (f"{IN}(PropertyName='lastname',PropertyValues='a')", "0x8006088a"),
        (f"{IN}(PropertyValues=['a'])", "0x8006088a"),
        (f"{IN}(PropertyName='lastname',PropertyValues=[\"\\x\"])", "0x8006088a"),
        ("not " * 200 + "lastname eq 'a'", "0x8006088a"),
        ("", "0x8006088a"),
    ],
)
async def test_a_malformed_filter_is_refused(api: httpx.AsyncClient, text: str, code: str) -> None:
    response = await api.get("contacts", params={"$filter": text})

    assert (response.status_code, response.json()["error"]["code"]) == (400, code)


async def test_a_filter_follows_later_writes(api: httpx.AsyncClient) -> None:
    """The first filter builds an index; each kind of write must update it."""
    assert await found(api, filter="lastname eq 'third'") == "cd"

    await api.patch("contacts(new_didomikey='c')", json={"lastname": "Else"})
    await api.delete("contacts(new_didomikey='d')")
    await api.patch("contacts(new_didomikey='e')", json={"lastname": "Third"})
    await api.patch("contacts(new_didomikey='b')", json={"lastname": "Third"})

    assert sorted(await found(api, filter="lastname eq 'third'")) == ["b", "e"]
    assert await found(api, filter="lastname eq 'else'") == "c"


async def test_parameter_aliases_work_in_filters(api: httpx.AsyncClient) -> None:
    response = await api.get("contacts?$filter=new_didomikey eq @k&@k='b'&$select=lastname")

    assert [row["lastname"] for row in response.json()["value"]] == ["o'Brien"]


async def test_a_bare_plus_in_a_query_is_a_blank(api: httpx.AsyncClient) -> None:
    await api.put(f"{CONTROL}/contacts", json=[{"new_didomikey": "p", "mobilephone": "+33 1"}])

    encoded = await api.get("contacts?$filter=mobilephone eq '%2B33%201'")
    bare = await api.get("contacts?$filter=mobilephone eq '+33%201'")

    assert (len(encoded.json()["value"]), len(bare.json()["value"])) == (1, 0)


async def test_an_unknown_column_in_select_is_refused(api: httpx.AsyncClient) -> None:
    response = await api.get("contacts", params={"$select": "lastname,new_nothing", "$top": "1"})

    assert (response.status_code, response.json()["error"]["code"]) == (400, "0x0")
    assert "Could not find a property named 'new_nothing'" in response.json()["error"]["message"]


async def test_an_unknown_option_is_refused(api: httpx.AsyncClient) -> None:
    assert (await api.get("contacts", params={"$where": "1"})).status_code == 400
    assert (await api.get("contacts", params={"$top": "-1"})).status_code == 400
    assert (await api.get("contacts", params={"ours": "ignored"})).status_code == 200


@pytest.mark.parametrize(
    "query",
    [{"sql": "SELECT lastname FROM contact"}, {"fetchXml": "<fetch><entity name='contact'/></fetch>"}],
)
async def test_a_query_language_that_is_not_simulated_is_not_ignored(
    api: httpx.AsyncClient, query: dict[str, str]
) -> None:
    """Every row would be a wrong answer to it."""
    response = await api.get("contacts", params=query)

    assert response.status_code == 501
    assert next(iter(query)) in response.json()["error"]["message"]


async def test_top_and_order(api: httpx.AsyncClient) -> None:
    assert await found(api, top="2") == "ab"
    assert await found(api, orderby="lastname desc,new_didomikey desc") == "adcb"
    assert await found(api, orderby="emailaddress1") == "cdab"


async def test_pages_lead_to_each_other(api: httpx.AsyncClient) -> None:
    headers = {"Prefer": "odata.maxpagesize=3"}
    first = await api.get("contacts", params={"$select": "new_didomikey", "$count": "true"}, headers=headers)

    second = await api.get(first.json()["@odata.nextLink"], headers=headers)

    keys = [row["new_didomikey"] for page in (first, second) for row in page.json()["value"]]
    assert keys == ["a", "b", "c", "d"]
    assert first.json()["@odata.count"] == 4
    assert "@odata.nextLink" not in second.json()
    assert first.headers["Preference-Applied"] == "odata.maxpagesize=3"


async def test_counting(api: httpx.AsyncClient) -> None:
    whole, narrowed = (
        await api.get("contacts/$count"),
        await api.get("contacts/$count", params={"$filter": "lastname eq 'third'"}),
    )

    assert (whole.text, whole.headers["Content-Type"]) == ("4", "text/plain")
    assert narrowed.text == "2"


async def test_a_count_covers_all_matching_rows_whatever_the_page(api: httpx.AsyncClient) -> None:
    asked = {"$count": "true", "$top": "1", "$select": "new_didomikey"}
    totals = {"Prefer": 'odata.include-annotations="Microsoft.Dynamics.CRM.totalrecord*"'}

    plain = (await api.get("contacts", params=asked)).json()
    annotated = (await api.get("contacts", params=asked, headers=totals)).json()

    assert (plain["@odata.count"], len(plain["value"])) == (4, 1)
    assert plain.keys() == {"@odata.context", "@odata.count", "value"}
    assert annotated["@Microsoft.Dynamics.CRM.totalrecordcount"] == 4
    assert annotated["@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"] is False


async def test_a_page_and_a_count_end_at_five_thousand(api: httpx.AsyncClient) -> None:
    await api.put(f"{CONTROL}/contacts", json=[{"new_didomikey": f"k-{number}"} for number in range(5001)])

    first = (
        await api.get(
            "contacts?$select=new_didomikey&$count=true",
            headers={"Prefer": 'odata.maxpagesize=9000,odata.include-annotations="*"'},
        )
    ).json()
    last = (await api.get(first["@odata.nextLink"])).json()

    assert (len(first["value"]), first["@odata.count"]) == (5000, 5000)
    assert first["@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"] is True
    assert [row["new_didomikey"] for row in last["value"]] == ["k-5000"]
    assert (await api.get("contacts/$count")).text == "5000"


async def test_top_limits_the_pages_together(api: httpx.AsyncClient) -> None:
    headers = {"Prefer": "odata.maxpagesize=2"}
    first = (await api.get("contacts", params={"$top": "3"}, headers=headers)).json()

    second = (await api.get(first["@odata.nextLink"], headers=headers)).json()

    assert (len(first["value"]), len(second["value"])) == (2, 1)
    assert "@odata.nextLink" not in second


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("lastname eq 'a' extra", id="more-than-a-filter"),
        pytest.param("donotemail gt true", id="no-order"),
        pytest.param("contains(donotemail,'a')", id="no-text"),
        pytest.param("5 eq 5", id="no-column"),
        pytest.param("lastname eq ~", id="no-token"),
    ],
)
async def test_other_wrong_filters_are_refused_too(api: httpx.AsyncClient, text: str) -> None:
    assert (await api.get("contacts", params={"$filter": text})).status_code == 400


@pytest.mark.parametrize("order", ["nothing", "lastname downwards"])
async def test_a_wrong_order_is_refused(api: httpx.AsyncClient, order: str) -> None:
    assert (await api.get("contacts", params={"$orderby": order})).status_code == 400


async def test_computed_columns_can_be_read(api: httpx.AsyncClient) -> None:
    await api.put(f"{CONTROL}/contacts", json=[{"firstname": "A", "lastname": "B"}])

    row = (await api.get("contacts?$select=fullname,versionnumber,modifiedon")).json()["value"][0]

    assert (row["fullname"], row["@odata.etag"]) == ("A B", f'W/"{row["versionnumber"]}"')
    assert len((await api.get("contacts?$filter=fullname eq 'a b'")).json()["value"]) == 1


@pytest.mark.parametrize(
    "query",
    [
        "$expand=parentcustomerid_account",
        "$apply=aggregate($count as n)",
        "fetchXml=<fetch/>",
        "savedQuery=00000000-0000-0000-0000-000000000001",
        "$filter=Microsoft.Dynamics.CRM.Above(PropertyName='contactid',PropertyValue='1')",
    ],
)
async def test_an_option_that_is_not_simulated_is_refused(api: httpx.AsyncClient, query: str) -> None:
    """A refusal is better than rows without the requested members."""
    response = await api.get(f"contacts?{query}")

    assert (response.status_code, response.json()["error"]["code"]) == (501, "0x80040315")
    assert "not simulated" in response.json()["error"]["message"]
