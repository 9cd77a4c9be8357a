"""Masks hide an identifier or free text, and show what is not personal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from didomi_dataverse.privacy.mask import MASKED, is_id, mask, shown_id


@pytest.mark.parametrize(
    ("identifier", "masked"),
    [
        pytest.param("ada@example.com", "a***m (15 characters)", id="e-mail"),
        pytest.param("abc", "a***c (3 characters)", id="three"),
        pytest.param("ab", "**", id="two: the ends would be all of it"),
        pytest.param("a", "*", id="one"),
        pytest.param("", "", id="empty"),
    ],
)
def test_a_mask_shows_the_ends_and_the_length(identifier: str, masked: str) -> None:
    assert mask(identifier) == masked


@given(st.text(alphabet="abc", min_size=3, max_size=30))
def test_a_mask_never_shows_more_than_the_ends(identifier: str) -> None:
    assert mask(identifier)[:5] == f"{identifier[0]}***{identifier[-1]}"
    assert identifier not in mask(identifier)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("newsletter", id="a word"),
        pytest.param("Topics_2.sport:ski-8", id="every character that is allowed"),
        pytest.param("2", id="a digit"),
        pytest.param("x" * 64, id="the longest"),
    ],
)
def test_what_an_organization_gives_as_an_id_is_shown(text: str) -> None:
    assert is_id(text)
    assert shown_id(text) == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("please call", id="a blank"),
        pytest.param("ada@example.com", id="an e-mail address"),
        pytest.param("+33612345678", id="a phone number"),
        pytest.param("schlüssel", id="a letter beyond ASCII"),
        pytest.param("-x", id="a mark first"),
        pytest.param("x\n", id="a line end"),
        pytest.param("x" * 65, id="too long"),
    ],
)
def test_other_text_may_be_a_person_s_own_words_and_is_masked(text: str) -> None:
    assert not is_id(text)
    assert shown_id(text) == MASKED
