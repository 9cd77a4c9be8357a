"""didomi.md 2.5: the person that a notification is about."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from didomi_dataverse.didomi.identity import MAX_CHARACTERS, Normalization, identify
from didomi_dataverse.didomi.interpreted import Identity, Reason

GUID = "6f1c2d3e-0000-4000-8000-00000000abcd"
HASH = hashlib.sha256(b"anna@example.com").hexdigest()


@pytest.mark.parametrize(
    ("written", "normalize", "identifier"),
    [
        pytest.param("crm-0042", Normalization.LITERAL, "crm-0042", id="literal"),
        pytest.param(
            "  crm 42 ", Normalization.LITERAL, "crm 42", id="literal: stripped, blanks inside kept"
        ),
        pytest.param("Anna@Example.com", Normalization.LITERAL, "Anna@Example.com", id="literal: case kept"),
        pytest.param("Zoe\u0308", Normalization.LITERAL, "Zo\u00eb", id="literal: composed"),
        pytest.param(
            "x" * MAX_CHARACTERS, Normalization.LITERAL, "x" * MAX_CHARACTERS, id="literal: longest"
        ),
        pytest.param(" Anna@Example.COM", Normalization.EMAIL, "anna@example.com", id="email"),
        pytest.param(GUID.upper(), Normalization.GUID, GUID, id="guid: upper case"),
        pytest.param(f"{{{GUID}}}", Normalization.GUID, GUID, id="guid: braces"),
        pytest.param(f"({GUID})", Normalization.GUID, GUID, id="guid: parentheses"),
        pytest.param(GUID.replace("-", ""), Normalization.GUID, GUID, id="guid: digits only"),
        pytest.param(f"urn:uuid:{GUID}", Normalization.GUID, GUID, id="guid: URN"),
        pytest.param("+33 (0)6 12-34.56/78", Normalization.PHONE, "330612345678", id="phone"),
        pytest.param("Anna@Example.com ", Normalization.SHA256, HASH, id="sha256: hashed by us"),
        pytest.param(HASH.upper(), Normalization.SHA256, HASH, id="sha256: hashed already"),
    ],
)
def test_an_id_is_spelt_for_dataverse_as_configured(
    written: str, normalize: Normalization, identifier: str
) -> None:
    found = identify(written, normalize)

    assert isinstance(found, Identity)
    assert found.identifier == identifier


@pytest.mark.parametrize(
    ("written", "normalize", "reason"),
    [
        pytest.param(None, Normalization.LITERAL, Reason.ANONYMOUS, id="absent"),
        pytest.param("", Normalization.LITERAL, Reason.ANONYMOUS, id="empty"),
        pytest.param(" \t\u00a0", Normalization.EMAIL, Reason.ANONYMOUS, id="blank"),
        pytest.param(
            "x" * (MAX_CHARACTERS + 1), Normalization.LITERAL, Reason.IDENTITY_UNUSABLE, id="endless"
        ),
        pytest.param("a\u0000b", Normalization.LITERAL, Reason.IDENTITY_UNUSABLE, id="NUL"),
        pytest.param("a\ud800", Normalization.LITERAL, Reason.IDENTITY_UNUSABLE, id="half a surrogate pair"),
        pytest.param("anna", Normalization.EMAIL, Reason.IDENTITY_UNUSABLE, id="no address"),
        pytest.param("anna@", Normalization.EMAIL, Reason.IDENTITY_UNUSABLE, id="no domain"),
        pytest.param("a@b@c", Normalization.EMAIL, Reason.IDENTITY_UNUSABLE, id="two at signs"),
        pytest.param(
            "a b@example.com", Normalization.EMAIL, Reason.IDENTITY_UNUSABLE, id="blank in an address"
        ),
        pytest.param("42", Normalization.GUID, Reason.IDENTITY_UNUSABLE, id="no GUID"),
        pytest.param(
            GUID[:-1] + "_", Normalization.GUID, Reason.IDENTITY_UNUSABLE, id="a GUID with an underscore"
        ),
        pytest.param(
            GUID[:-1] + "٣", Normalization.GUID, Reason.IDENTITY_UNUSABLE, id="a GUID with another digit"
        ),
        pytest.param("call me", Normalization.PHONE, Reason.IDENTITY_UNUSABLE, id="no number"),
        pytest.param("+", Normalization.PHONE, Reason.IDENTITY_UNUSABLE, id="no digit"),
        pytest.param("0612 ext 3", Normalization.PHONE, Reason.IDENTITY_UNUSABLE, id="an extension"),
    ],
)
def test_an_id_that_cannot_be_one_is_refused_with_its_reason(
    written: str | None, normalize: Normalization, reason: Reason
) -> None:
    assert identify(written, normalize) is reason


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("Anna@Example.com", "anna@example.COM", id="case"),
        pytest.param("Zoe\u0308", "ZO\u00cb", id="composition and case"),
        pytest.param(" crm-42", "CRM-42 ", id="blanks"),
        pytest.param("straße", "STRASSE", id="sharp s"),
    ],
)
def test_two_spellings_that_the_server_takes_for_one_are_one_contact(one: str, other: str) -> None:
    """dataverse.md 1.5: key values are compared without regard to case."""
    first, second = identify(one, Normalization.LITERAL), identify(other, Normalization.LITERAL)

    assert isinstance(first, Identity)
    assert isinstance(second, Identity)
    assert first.key == second.key


@given(st.text(max_size=60), st.sampled_from(Normalization))
def test_the_spelling_for_dataverse_leads_back_to_the_same_contact(
    written: str, normalize: Normalization
) -> None:
    found = identify(written, normalize)

    if isinstance(found, Identity):
        assert identify(found.identifier, normalize) == found
