"""Find what an operator names: a person by identifier or number, a notification by a prefix of its digest."""

from collections.abc import Sequence

from didomi_dataverse.admin.session import AdminSession
from didomi_dataverse.didomi.identity import identify
from didomi_dataverse.didomi.interpreted import Identity
from didomi_dataverse.errors import DidomiDataverseError
from didomi_dataverse.ledger.read_models import StoredNotification

NOTIFICATION_ID_CHARACTERS = 12
"""How many hex digits of a digest views show as the id of a notification. Fewer: two notifications may share
one, and a command that takes it asks for more digits. More: longer lines."""

_MIN_PREFIX_CHARACTERS = 4
_DIGEST_CHARACTERS = 64
_MAX_NUMBER_CHARACTERS = 19  # a number with more digits does not fit the store's 64-bit ids
_HEX_DIGITS = frozenset("0123456789abcdef")


class NotFoundError(DidomiDataverseError):
    """What the operator named does not exist, or its name fits more than one thing."""


def notification_id(digest: str) -> str:
    """The id of a notification as views show it.

    >>> notification_id("3f9c0d21a7be" + "0" * 52)
    '3f9c0d21a7be'
    """
    return digest[:NOTIFICATION_ID_CHARACTERS]


def identity_key(session: AdminSession, organization_user_id: str) -> str:
    """The key under which the ledger keeps this person. Raises NotFoundError when the text cannot be an
    organization user id.
    """
    identity = identify(organization_user_id, session.policy.normalize)
    if not isinstance(identity, Identity):
        raise NotFoundError(
            "This cannot be an organization user id as contact.match.normalize has it. Write it as Didomi"
            " does."
        )
    return identity.key


async def find_notification(session: AdminSession, prefix: str) -> StoredNotification:
    """The notification whose digest begins with these hex digits. Raises NotFoundError when none or several
    do.
    """
    digits = prefix.lower()
    is_prefix = _MIN_PREFIX_CHARACTERS <= len(digits) <= _DIGEST_CHARACTERS and _HEX_DIGITS.issuperset(digits)
    if not is_prefix:
        raise NotFoundError(
            f"{prefix[:_DIGEST_CHARACTERS]!r} is not a notification id. Take one from `notifications"
            f" list`: at least {_MIN_PREFIX_CHARACTERS} hex digits."
        )
    found = await session.ledger.reader.notifications_by_prefix(digits)
    if not found:
        raise NotFoundError(f"No notification's id begins with {digits}. Retention may have deleted it.")
    if len(found) > 1:
        raise NotFoundError(f"Several notifications' ids begin with {digits}. Write more of it.")
    return found[0]


async def find_contact_key(session: AdminSession, name: str) -> str:
    """The key of the person with this organization user id, or with this number (`#12`).

    Raises NotFoundError for a number without a contact, and for a text that cannot be an identifier. The key
    of an identifier is given whether or not the ledger knows the person.
    """
    number = parse_contact_number(name)
    if number is None:
        return identity_key(session, name)
    key = await session.ledger.reader.key_of(number)
    if key is None:
        raise NotFoundError(f"No contact has the number #{number}. Take one from `parked list`.")
    return key


async def find_contact_ids(session: AdminSession, names: Sequence[str]) -> list[int]:
    """The contacts with these organization user ids or numbers (`#12`). Two names of one person give its
    contact twice. Raises NotFoundError when one of them is not known.
    """
    contact_ids: list[int] = []
    for name in names:
        number = parse_contact_number(name)
        if number is None:
            found = await session.ledger.reader.contact_ids((identity_key(session, name),))
        else:
            found = await session.ledger.reader.contact_ids((), (number,))
        if not found:
            raise NotFoundError(
                "No notification about one of these people was ever received. Are they spelt as in Didomi?"
            )
        contact_ids += found
    return contact_ids


def parse_contact_number(name: str) -> int | None:
    """The number in `#12`; None for an organization user id.

    >>> parse_contact_number("#12"), parse_contact_number("12"), parse_contact_number("#twelve")
    (12, None, None)
    """
    digits = name.removeprefix("#")
    is_number = name.startswith("#") and digits.isdecimal() and len(digits) < _MAX_NUMBER_CHARACTERS
    return int(digits) if is_number else None
