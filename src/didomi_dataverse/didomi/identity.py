"""`organization_user_id` → whom a notification is about (didomi.md 2.5).

The server compares key values without regard to case (dataverse.md 1.5), so two spellings are one row there
and must be one contact here: otherwise two contacts would fight over one row.
"""

import hashlib
import re
import unicodedata
import uuid
from enum import StrEnum
from typing import assert_never

from didomi_dataverse.didomi.interpreted import Identity, Reason
from didomi_dataverse.text import is_storable

MAX_CHARACTERS = 1_000


class Normalization(StrEnum):
    """What the customer sends as `organization_user_id`, and how the CRM spells the same thing."""

    LITERAL = "literal"  # the CRM column holds what Didomi sends
    EMAIL = "email"  # lower case; anything that is no address is refused
    GUID = "guid"  # any usual spelling of a GUID; for matching by contactid too
    PHONE = "phone"  # digits only
    SHA256 = "sha256"  # the CRM column holds the hex SHA-256 of the lower-cased id; a hash is taken as it is


_GUID = re.compile(
    r"(?:urn:uuid:)?[{(]?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})[)}]?",
    re.ASCII | re.IGNORECASE,
)
_PHONE = re.compile(r"[0-9+().\-/\s]*[0-9][0-9+().\-/\s]*", re.ASCII)
_SHA256_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII | re.IGNORECASE)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def identify(organization_user_id: str | None, normalize: Normalization) -> Identity | Reason:
    """The identity, or why there is none: ANONYMOUS (nobody named) or IDENTITY_UNUSABLE.

    `identifier` is the spelling for Dataverse: composed characters (NFC), stripped, then as `normalize` says.
    """
    if organization_user_id is None:
        return Reason.ANONYMOUS
    # A character that cannot be stored is not replaced here: two people could become one.
    if len(organization_user_id) > MAX_CHARACTERS or not is_storable(organization_user_id):
        return Reason.IDENTITY_UNUSABLE
    literal = unicodedata.normalize("NFC", organization_user_id).strip()
    if not literal:
        return Reason.ANONYMOUS
    identifier = _normalized(literal, normalize)
    if identifier is None:
        return Reason.IDENTITY_UNUSABLE
    return Identity(key=_folded(identifier), identifier=identifier)


def _normalized(literal: str, normalize: Normalization) -> str | None:
    match normalize:
        case Normalization.LITERAL:
            return literal
        case Normalization.EMAIL:
            return literal.lower() if _EMAIL.fullmatch(literal) else None
        case Normalization.GUID:
            found = _GUID.fullmatch(literal)
            return str(uuid.UUID("".join(found.groups()))) if found else None
        case Normalization.PHONE:
            return re.sub(r"[^0-9]", "", literal) if _PHONE.fullmatch(literal) else None
        case Normalization.SHA256:
            if _SHA256_HEX.fullmatch(literal):
                return literal.lower()
            # Case is folded first: two spellings are one contact, so they must have one hash.
            return hashlib.sha256(_folded(literal).encode()).hexdigest()
    assert_never(normalize)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text.casefold())
