"""Text from outside is stored as it is, or with what no store can hold replaced."""

import pytest

from didomi_dataverse.text import clean, clip, is_storable


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        pytest.param("", "", id="empty"),
        pytest.param("plain", "plain", id="ASCII"),
        pytest.param("Zoë 🎉", "Zoë 🎉", id="beyond ASCII"),
        pytest.param("a\x00b", "a\ufffdb", id="NUL, which PostgreSQL refuses"),
        pytest.param("\ud83c", "\ufffd", id="half a surrogate pair, which UTF-8 refuses"),
    ],
)
def test_only_what_no_store_can_hold_is_replaced(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned
    assert is_storable(text) is (text == cleaned)


def test_text_is_cut_to_the_length_of_its_column() -> None:
    assert clip("a\x00bcd", max_characters=3) == "a\ufffdb"
