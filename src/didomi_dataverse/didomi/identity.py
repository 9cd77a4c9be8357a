"""`organization_user_id` → the person that a notification is about (didomi.md 2.5).

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
"""Of an `organization_user_id`. Too small refuses real ids; a longer one than a column holds finds no row."""


class Normalization(StrEnum):
    """What the customer sends as `organization_user_id`, and how the CRM spells the same thing."""

    LITERAL = "literal"  # the CRM column holds what Didomi sends
    EMAIL = "email"  # lower case; anything that is not an address is refused
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


def identify(organization_user_id: str | None, normalization: Normalization) -> Identity | Reason:
    """The identity, or why there is none: ANONYMOUS (no id) or IDENTITY_UNUSABLE (not an id of this kind).

    Its `identifier` is in composed characters (NFC), stripped, then as `normalization` says.

    >>> identity = identify(" Ada@Example.com ", Normalization.EMAIL)
    >>> identity.identifier
    'ada@example.com'
    >>> identify("Ada", Normalization.EMAIL), identify(" ", Normalization.EMAIL)
    (<Reason.IDENTITY_UNUSABLE: 'identity_unusable'>, <Reason.ANONYMOUS: 'anonymous'>)
    """
    if organization_user_id is None:
        return Reason.ANONYMOUS
    # A character that cannot be stored is not replaced here: two people could become one.
    if len(organization_user_id) > MAX_CHARACTERS or not is_storable(organization_user_id):
        return Reason.IDENTITY_UNUSABLE
    literal = unicodedata.normalize("NFC", organization_user_id).strip()
    if not literal:
        return Reason.ANONYMOUS
    identifier = _normalize(literal, normalization)
    if identifier is None:
        return Reason.IDENTITY_UNUSABLE
    return Identity(key=_fold_case(identifier), identifier=identifier)


def _normalize(literal: str, normalization: Normalization) -> str | None:
    match normalization:
        case Normalization.LITERAL:
            return literal
        case Normalization.EMAIL:
            return literal.lower() if _EMAIL.fullmatch(literal) else None
        case Normalization.GUID:
            match = _GUID.fullmatch(literal)
            return str(uuid.UUID("".join(match.groups()))) if match else None
        case Normalization.PHONE:
            return re.sub(r"[^0-9]", "", literal) if _PHONE.fullmatch(literal) else None
        case Normalization.SHA256:
            if _SHA256_HEX.fullmatch(literal):
                return literal.lower()
            # Case is folded first: two spellings are one contact, so they must have one hash.
            return hashlib.sha256(_fold_case(literal).encode()).hexdigest()
    assert_never(normalization)


def _fold_case(text: str) -> str:
    return unicodedata.normalize("NFC", text.casefold())
