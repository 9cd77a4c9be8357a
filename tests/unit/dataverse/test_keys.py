from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from didomi_dataverse.dataverse.keys import fits_filter, fits_key_url, look_up_query, normal_guid, row_path
from didomi_dataverse.dataverse.requests import AlternateKey, LookUp, RowId

GUID = "6f1c2d3e-0000-4000-8000-00000000abcd"


@pytest.mark.parametrize(
    ("value", "path"),
    [
        pytest.param("u-42", "contacts(new_didomikey='u-42')", id="plain"),
        pytest.param("O'Brien", "contacts(new_didomikey='O%27%27Brien')", id="quote doubled, then encoded"),
        pytest.param("a@b.example", "contacts(new_didomikey='a%40b.example')", id="at sign"),
        pytest.param("a b", "contacts(new_didomikey='a%20b')", id="blank inside"),
        pytest.param("Zoë", "contacts(new_didomikey='Zo%C3%AB')", id="UTF-8"),
        pytest.param("日本", "contacts(new_didomikey='%E6%97%A5%E6%9C%AC')", id="three bytes each"),
        pytest.param("a=b,c(d)", "contacts(new_didomikey='a%3Db%2Cc%28d%29')", id="syntax of a key"),
        pytest.param("a_b.c-d~e", "contacts(new_didomikey='a_b.c-d~e')", id="never encoded"),
    ],
)
def test_a_key_is_encoded_exactly_once(value: str, path: str) -> None:
    assert row_path(AlternateKey("new_didomikey", value)) == path


def test_a_row_id_stands_bare() -> None:
    assert row_path(RowId(GUID)) == f"contacts({GUID})"


@pytest.mark.parametrize("character", list("/<>*%&:\\?+#"))
def test_a_banned_character_does_not_fit_wherever_it_stands(character: str) -> None:
    """dataverse.md 1.4: no encoding saves these."""
    values = [f"{character}a", f"a{character}b", f"a{character}", character]
    assert [fits_key_url(value) for value in values] == [False] * 4


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        pytest.param("", False, id="empty"),
        pytest.param(" ", False, id="blank"),
        pytest.param("a ", False, id="ends with a blank: the comparison forgets it"),
        pytest.param(" a", False, id="begins with a blank"),
        pytest.param("a\u00a0", False, id="ends with a no-break space"),
        pytest.param("a\tb", False, id="tab"),
        pytest.param("a\r\nb", False, id="line end"),
        pytest.param("a\x00b", False, id="zero byte"),
        pytest.param("a\x7f", False, id="delete"),
        pytest.param("a\x85b", False, id="C1 control"),
        pytest.param("a\ud800", False, id="half of a surrogate pair"),
        pytest.param("a" * 450, True, id="as long as an index takes"),
        pytest.param("a" * 451, False, id="too long for an index"),
        pytest.param("😀" * 225, True, id="counted in UTF-16 units"),
        pytest.param("😀" * 226, False, id="too long in UTF-16 units"),
        pytest.param("jane.doe@acme.example", True, id="e-mail without a plus"),
        pytest.param("jane+news@acme.example", False, id="e-mail with a plus"),
        pytest.param("O'Brien", True, id="quote"),
    ],
)
def test_what_fits_a_key_url(value: str, *, fits: bool) -> None:
    assert fits_key_url(value) is fits


@given(st.text(max_size=60))
def test_a_value_that_fits_comes_back_from_its_path(value: str) -> None:
    if not fits_key_url(value):
        return
    path = row_path(AlternateKey("new_k", value))
    literal = path.removeprefix("contacts(new_k='").removesuffix("')")

    assert path.isascii()
    assert set("'/?#+& ").isdisjoint(literal)
    assert unquote(literal, errors="strict").replace("''", "'") == value


@given(st.text(max_size=60))
def test_a_value_that_fits_a_filter_comes_back_from_its_query(value: str) -> None:
    if not fits_filter(value):
        return
    query = look_up_query(LookUp("emailaddress1", value))
    literal = query.removeprefix("contacts?$select=contactid&$filter=emailaddress1%20eq%20'")
    literal = literal.removesuffix("'&$top=2")

    assert query.isascii()
    assert set("'/?#+& ").isdisjoint(literal)
    assert unquote(literal, errors="strict").replace("''", "'") == value


def test_a_plus_goes_as_its_code_in_a_query() -> None:
    """A bare plus is a blank there, and would find another person (dataverse.md 1.4)."""
    query = look_up_query(LookUp("emailaddress1", "jane+o'b@acme.example", at_most=51))

    assert query == (
        "contacts?$select=contactid&$filter=emailaddress1%20eq%20'jane%2Bo%27%27b%40acme.example'&$top=51"
    )


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        pytest.param("a+b/c?d#e", True, id="what no key carries"),
        pytest.param(" a ", True, id="blanks at the ends"),
        pytest.param("", False, id="empty"),
        pytest.param("   ", False, id="blank"),
        pytest.param("a\nb", False, id="line end"),
        pytest.param("a\udfff", False, id="half of a surrogate pair"),
        pytest.param("a" * 4000, True, id="as long as a text column"),
        pytest.param("a" * 4001, False, id="longer than any text column"),
    ],
)
def test_what_fits_a_filter(value: str, *, fits: bool) -> None:
    assert fits_filter(value) is fits


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(AlternateKey("new_k", "secret/value"), id="banned character"),
        pytest.param(AlternateKey("new_k='x',other", "u-42"), id="no column"),
        pytest.param(RowId("{" + GUID + "}"), id="braces"),
        pytest.param(RowId(GUID.upper()), id="capitals"),
        pytest.param(RowId("secret"), id="no GUID"),
    ],
)
def test_a_key_that_would_become_another_url_is_refused_without_its_value(
    key: AlternateKey | RowId,
) -> None:
    with pytest.raises(ValueError, match=r"must be|does not fit|logical name") as refused:
        row_path(key)

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "look_up",
    [
        pytest.param(LookUp("emailaddress1", "\n"), id="value"),
        pytest.param(LookUp("emailaddress1 eq 'a' or x", "a"), id="column"),
        pytest.param(LookUp("emailaddress1", "a", at_most=0), id="no rows asked for"),
    ],
)
def test_a_look_up_that_would_ask_something_else_is_refused(look_up: LookUp) -> None:
    with pytest.raises(ValueError, match=r"does not fit|logical name|at least one"):
        look_up_query(look_up)


@pytest.mark.parametrize(
    ("text", "guid"),
    [
        pytest.param(GUID, GUID, id="as it is"),
        pytest.param(GUID.upper(), GUID, id="capitals"),
        pytest.param("{" + GUID + "}", GUID, id="braces"),
        pytest.param(f" {GUID}\n", GUID, id="blanks around"),
        pytest.param("{" + GUID, None, id="one brace"),
        pytest.param(GUID.replace("-", ""), None, id="no hyphens"),
        pytest.param(GUID + "0", None, id="too long"),
        pytest.param("u-42", None, id="something else"),
        pytest.param("", None, id="empty"),
        pytest.param(GUID.replace("6", "\u0666"), None, id="digits of another script"),
    ],
)
def test_a_guid_has_one_spelling(text: str, guid: str | None) -> None:
    assert normal_guid(text) == guid
