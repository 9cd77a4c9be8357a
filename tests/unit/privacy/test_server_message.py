"""What is kept of an error message of Dataverse: what an operator needs to act, and nothing of the person."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from didomi_dataverse.privacy.server_message import safe_message

GUID = "6f1c2d3e-0000-4000-8000-00000000abcd"


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        pytest.param("Value 'Jane Doe' is too long", "Value '***' is too long", id="single quotes"),
        pytest.param('Value "Jane" is bad', 'Value "***" is bad', id="double quotes"),
        pytest.param("Valeur «Jane» refusée", "Valeur «***» refusée", id="guillemets"),
        pytest.param("Wert „Jane“ ist falsch", "Wert „***“ ist falsch", id="German quotes"),
        pytest.param("Value “Jane” is bad", "Value “***” is bad", id="curly quotes"),
        pytest.param("It's 'O'Brien' who isn't there", "It's '***' who isn't there", id="apostrophes"),
        pytest.param("Value 'Jane Doe was cli", "Value '***", id="quote that never closes"),
        pytest.param("jane.doe+x@acme.example exists", "*** exists", id="e-mail"),
        pytest.param("phone +33 6 12-34.56 78 exists", "phone *** exists", id="phone number"),
        pytest.param("card 4111111111111111", "card ***", id="digits"),
        pytest.param("maximum is 100, not 2000", "maximum is 100, not 2000", id="short numbers"),
        pytest.param(f"contact With Id = {GUID}", f"contact With Id = {GUID}", id="GUID"),
        pytest.param(f"contact '{GUID}'", f"contact '{GUID}'", id="quoted GUID"),
        pytest.param("code 0x80060891 again", "code 0x80060891 again", id="error code"),
        pytest.param("entity 'contact' is", "entity 'contact' is", id="table"),
        pytest.param("property 'new_x' is bad", "property 'new_x' is bad", id="known column"),
        pytest.param("property 'NEW_X' is bad", "property 'NEW_X' is bad", id="known column in capitals"),
        pytest.param("property 'jane_doe' is bad", "property '***' is bad", id="looks like a column"),
        pytest.param(
            "Principal user is missing prvWriteContact privilege for entity 'contact'",
            "Principal user is missing prvWriteContact privilege for entity 'contact'",
            id="missing privilege",
        ),
        pytest.param("no jane doe here", "no *** here", id="given value, in another case"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_what_is_kept_of_a_message(message: str, kept: str) -> None:
    assert safe_message(message, ["Jane Doe", "", "a"], ["new_x"]) == kept


def test_a_value_that_is_part_of_a_column_s_name_is_masked_all_the_same() -> None:
    assert "jane" not in safe_message("property 'new_jane' is bad", ["jane"], ["new_jane"])


def test_a_message_is_masked_before_it_is_clipped() -> None:
    kept = safe_message("x" * 490 + " 'Jane Doe of " + "y" * 100 + "' end")

    assert len(kept) <= 500
    assert "Jane" not in kept


@given(st.text(alphabet="ab '\"«»", max_size=20), st.sampled_from(["'", '"', "«»", "“”"]))
def test_a_quoted_value_is_never_kept(value: str, quotes: str) -> None:
    """Whatever quotes stand inside it: at worst more is hidden."""
    assert "Jane" not in safe_message(f"bad: {quotes[0]}Jane{value}{quotes[-1]}")
