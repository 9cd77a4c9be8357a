"""What a bulk message may hold."""

import pytest

from didomi_dataverse.dataverse.bulk_body import target_key
from didomi_dataverse.dataverse.requests import AlternateKey, RowId


def place(value: str) -> tuple[str, str]:
    return target_key(AlternateKey("new_didomikey", value))


@pytest.mark.parametrize("other", ["josé", "JOSE", "Jose\u0301", " jose ", "José"])
def test_keys_that_the_server_may_take_for_the_same_share_a_place(other: str) -> None:
    """dataverse.md 1.5: without case everywhere, without accents for most languages."""
    assert place(other) == place("jose")


@pytest.mark.parametrize("other", ["josef", "jo se", "j-ose"])
def test_other_keys_have_places_of_their_own(other: str) -> None:
    assert place(other) != place("jose")


def test_a_row_has_one_place_however_its_id_is_spelt() -> None:
    guid = "6f1c2d3e-0000-4000-8000-00000000ABCD"
    places = {target_key(RowId(one)) for one in (guid, guid.lower())}
    assert len(places) == 1
