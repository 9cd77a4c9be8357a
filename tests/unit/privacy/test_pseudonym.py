"""A pseudonym tells people apart and names none of them."""

from hypothesis import given
from hypothesis import strategies as st

from didomi_dataverse.privacy.pseudonym import HASH_CHARACTERS, identifier_hash

KEY = b"the key of this ledger"
ADA = "ada@example.com"


def test_one_identifier_has_one_pseudonym_on_every_replica_and_after_every_upgrade() -> None:
    """Otherwise a person could not be followed through the logs of both."""
    assert identifier_hash(KEY, ADA) == "a9b42a624c7c09e1"


def test_two_identifiers_have_two_pseudonyms() -> None:
    assert identifier_hash(KEY, ADA) != identifier_hash(KEY, "bob@example.com")


def test_without_the_key_a_pseudonym_cannot_be_worked_out() -> None:
    assert identifier_hash(KEY, ADA) != identifier_hash(b"another key", ADA)


@given(st.text(max_size=20))
def test_any_text_has_a_pseudonym_that_a_log_can_hold(identifier: str) -> None:
    """Half of a surrogate pair included, which UTF-8 alone cannot encode."""
    pseudonym = identifier_hash(KEY, identifier)

    assert len(pseudonym) == HASH_CHARACTERS
    assert set(pseudonym) <= set("0123456789abcdef")
