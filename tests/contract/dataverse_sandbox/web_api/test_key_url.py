"""dataverse.md 1.4 and 1.5: which key values a URL can carry, and which columns are a key."""

from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.dataverse_sandbox.batches import GO_ON, answers, batch, part
from tests.contract.dataverse_sandbox.conftest import CONTROL

from dataverse_sandbox.errors import ODataError
from dataverse_sandbox.options import SandboxOptions
from dataverse_sandbox.table.collation import fold_case
from dataverse_sandbox.table.contact_columns import initial_schema
from dataverse_sandbox.table.table import Table
from dataverse_sandbox.web_api.key_url import parse_address

BANNED = "/<>*%&:\\?+"
ORGANISATION_KEYS = {
    "columns": {"new_no": {"type": "integer"}},
    "keys": {
        "new_no_key": {"columns": ["new_no"]},
        "new_name_key": {"columns": ["firstname", "emailaddress1"]},
        "new_fresh_key": {"columns": ["lastname"], "status": "Pending"},
    },
}


def encoded(value: str) -> str:
    return quote(value.replace("'", "''"), safe="")


async def answer(api: httpx.AsyncClient, predicate: str, method: str = "PATCH") -> tuple[int, str | None]:
    response = await api.request(
        method, f"contacts({predicate})", json={"donotemail": True} if method == "PATCH" else None
    )
    return response.status_code, response.json()["error"]["code"] if response.content else None


@pytest.mark.parametrize("method", ["GET", "PATCH"])
@pytest.mark.parametrize("character", BANNED)
async def test_a_forbidden_character_is_refused_even_encoded(
    api: httpx.AsyncClient, character: str, method: str
) -> None:
    predicate = f"new_didomikey='a{encoded(character)}b'"

    assert await answer(api, predicate, method) == (400, "0x8006088a")


@pytest.mark.parametrize(
    "value",
    [
        "a@example.com",
        "a.b-c_d",
        "a b",
        "o'brien",
        "''",
        "É-ß-日本",
        "(a)",
        "a,b",
        "a=b",
        "a;b",
        "a$b",
        "a!b~",
    ],
)
async def test_other_characters_are_kept(api: httpx.AsyncClient, value: str) -> None:
    predicate = f"new_didomikey='{encoded(value)}'"

    assert await answer(api, predicate) == (204, None)
    found = await api.get(f"contacts({predicate})?$select=new_didomikey")
    assert found.json()["new_didomikey"] == value


async def test_a_value_is_decoded_exactly_once(api: httpx.AsyncClient) -> None:
    """`%252D` decodes to `%2D`, which holds a forbidden percent sign."""
    assert await answer(api, "new_didomikey='a%252Db'") == (400, "0x8006088a")


async def test_an_encoded_number_sign_matches_nothing(api: httpx.AsyncClient) -> None:
    assert await answer(api, "new_didomikey='a%23b'") == (404, "0x80060891")


@pytest.mark.parametrize(
    "predicate",
    [
        pytest.param("new_didomikey=customer-0001", id="text-without-quotes"),
        pytest.param("new_didomikey='a'b'", id="quote-not-doubled"),
        pytest.param("new_didomikey='a", id="no-closing-quote"),
        pytest.param("new_didomikey=@p", id="parameter-alias"),
        pytest.param("{00000000-0000-4000-8000-000000000001}", id="guid-in-braces"),
        pytest.param("'00000000-0000-4000-8000-000000000001'", id="guid-in-quotes"),
        pytest.param("contactid='00000000-0000-4000-8000-000000000001'", id="named-guid-in-quotes"),
        pytest.param("new_didomikey='a',new_didomikey='b'", id="column-twice"),
        pytest.param("", id="nothing"),
        pytest.param("new_didomikey='%ff'", id="not-utf-8"),
        pytest.param("new_didomikey='%zz'", id="broken-escape"),
    ],
)
async def test_a_predicate_that_cannot_be_read_is_refused(api: httpx.AsyncClient, predicate: str) -> None:
    assert await answer(api, predicate) == (400, "0x8006088a")


@pytest.mark.parametrize(
    "predicate",
    [
        pytest.param("emailaddress1='customer-0001@example.com'", id="no-key-on-the-column"),
        pytest.param("new_Didomikey='customer-0001'", id="names-are-case-sensitive"),
        pytest.param("lastname='Customer 0001'", id="key-not-active-yet"),
        pytest.param("firstname='A'", id="half-of-a-composite-key"),
    ],
)
async def test_columns_that_are_no_active_key_are_refused(api: httpx.AsyncClient, predicate: str) -> None:
    await api.put(f"{CONTROL}/schema", json=ORGANISATION_KEYS)

    assert await answer(api, predicate) == (400, "0x80060888")


async def test_an_integer_key_takes_a_bare_number(api: httpx.AsyncClient) -> None:
    await api.put(f"{CONTROL}/schema", json=ORGANISATION_KEYS)

    assert await answer(api, "new_no=42") == (204, None)
    assert (await api.get("contacts(new_no=42)")).json()["new_no"] == 42
    assert await answer(api, "new_no='42'") == (400, "0x8006088a")


async def test_a_composite_key_is_given_in_any_order(api: httpx.AsyncClient) -> None:
    await api.put(f"{CONTROL}/schema", json=ORGANISATION_KEYS)

    assert await answer(api, "firstname='Joe',emailaddress1='joe%40example.com'") == (204, None)
    found = await api.get("contacts(emailaddress1='JOE%40example.com',firstname='joe')")
    assert (found.status_code, found.json()["firstname"]) == (200, "Joe")


async def test_a_key_over_repeated_values_fails_and_cannot_be_used(api: httpx.AsyncClient) -> None:
    await api.put(f"{CONTROL}/contacts", json=[{"lastname": "Same"}, {"lastname": "same "}])

    answered = await api.put(f"{CONTROL}/schema", json={"keys": {"new_k": {"columns": ["lastname"]}}})

    assert answered.json()["keys"]["new_k"]["status"] == "Failed"
    assert await answer(api, "lastname='Same'") == (400, "0x80060888")


@given(st.text(min_size=1, max_size=40))
def test_what_a_url_can_carry_arrives_unchanged(value: str) -> None:
    """Every text arrives unchanged, or holds a character that the fact page names."""
    try:
        written = encoded(value)
    except UnicodeEncodeError:
        return
    try:
        address = parse_address(f"new_didomikey='{written}'", initial_schema(), SandboxOptions())
    except ODataError:
        assert set(value) & set(BANNED + "#")
    else:
        assert address.key_values == (value,)


@pytest.mark.parametrize(
    ("column", "spec", "literal", "wrong"),
    [
        pytest.param("new_a", {"type": "decimal"}, "1.5", "'1.5'", id="decimal"),
        pytest.param("new_c", {"type": "picklist", "options": {"7": "Seven"}}, "7", "'7'", id="choice"),
        pytest.param("new_d", {"type": "date"}, "2026-01-01", None, id="date"),
        pytest.param(
            "new_l", {"type": "lookup"}, "00000000-0000-4000-8000-00000000aaaa", "'x'", id="lookup-by-value"
        ),
    ],
)
async def test_keys_of_other_types_take_bare_literals(
    api: httpx.AsyncClient, column: str, spec: dict[str, object], literal: str, wrong: str | None
) -> None:
    await api.put(
        f"{CONTROL}/schema", json={"columns": {column: spec}, "keys": {"new_key": {"columns": [column]}}}
    )
    name = f"_{column}_value" if spec["type"] == "lookup" else column

    assert await answer(api, f"{name}={literal}") == (204, None)
    assert str((await api.get(f"contacts({name}={literal})")).json()[name]) == literal
    if wrong is not None:
        assert await answer(api, f"{name}={wrong}") == (400, "0x8006088a")


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("contacts(new_didomikey='a/b')", id="raw-slash"),
        pytest.param("contacts(new_didomikey='a", id="no-end"),
    ],
)
async def test_a_predicate_without_an_end_is_refused(api: httpx.AsyncClient, url: str) -> None:
    assert (await api.get(url)).json()["error"]["code"] == "0x8006088a"


async def test_an_accent_sensitive_table_distinguishes_accents() -> None:
    table = Table(initial_schema(), fold_case)
    table.create(None, {"new_didomikey": "emile"}, 0.0)

    table.create(None, {"new_didomikey": "émile"}, 0.0)

    assert len(table.rows) == 2


async def test_a_url_that_is_too_long_is_refused(api: httpx.AsyncClient) -> None:
    """dataverse.md 1.3: 32,768 characters, twice that inside a batch."""
    padding = "&x=" + "y" * 33_000
    inside = batch(part("GET", "/api/data/v9.2/contacts?$top=1" + padding))

    outer = await api.get("contacts?$top=1" + padding)
    within = await api.post("$batch", content=inside, headers=GO_ON)

    assert outer.status_code == 414
    assert answers(within.headers["Content-Type"], within.content)[0].status == 200
