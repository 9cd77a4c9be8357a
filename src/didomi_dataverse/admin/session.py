"""What an operator does with the ledger, beside a process that serves: look, replay, retry, resync."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from didomi_dataverse.admin.contact_view import contact_view
from didomi_dataverse.clock import Clock
from didomi_dataverse.didomi.identity import identify
from didomi_dataverse.didomi.interpret import InterpretationPolicy
from didomi_dataverse.didomi.interpreted import Identity
from didomi_dataverse.errors import DidomiDataverseError
from didomi_dataverse.ledger.ledger import Ledger
from didomi_dataverse.ledger.read_models import StoredNotification
from didomi_dataverse.wiring.configuration import Configuration
from didomi_dataverse.wiring.ledger import open_ledger
from didomi_dataverse.wiring.policies import reading_policy

_MIN_PREFIX_CHARACTERS = 4
_DIGEST_CHARACTERS = 64
_NUMBER_CHARACTERS = 19


class NotFoundError(DidomiDataverseError):
    """What the operator named is not there, or not only once."""


@dataclass(frozen=True, slots=True)
class AdminSession:
    """An open ledger, and the configuration it is looked at with."""

    ledger: Ledger
    configuration: Configuration
    clock: Clock

    @property
    def policy(self) -> InterpretationPolicy:
        """How notifications are read today."""
        return reading_policy(self.configuration)

    def key_of(self, organization_user_id: str) -> str:
        """Where notifications of this person meet. Raises NotFoundError for what cannot name anybody."""
        identity = identify(organization_user_id, self.policy.normalize)
        if not isinstance(identity, Identity):
            raise NotFoundError(
                "This cannot be an organization user id as contact.match.normalize has it. Write it as Didomi"
                " does."
            )
        return identity.key

    async def notification(self, prefix: str) -> StoredNotification:
        """The notification whose digest begins like this. Raises NotFoundError."""
        digits = prefix.lower()
        if not _MIN_PREFIX_CHARACTERS <= len(digits) <= _DIGEST_CHARACTERS or set(digits) - set(
            "0123456789abcdef"
        ):
            raise NotFoundError(
                f"{prefix[:_DIGEST_CHARACTERS]!r} is no notification's id. Take one from `notifications"
                f" list`: at least {_MIN_PREFIX_CHARACTERS} hex digits."
            )
        found = await self.ledger.reader.notifications_by_prefix(digits)
        if not found:
            raise NotFoundError(f"No notification's id begins with {digits}. Retention may have deleted it.")
        if len(found) > 1:
            raise NotFoundError(f"Several notifications' ids begin with {digits}. Write more of it.")
        return found[0]

    async def contact_key(self, name: str) -> str:
        """The key of an organization user id, or of a contact's number. Raises NotFoundError."""
        number = _number_in(name)
        if number is None:
            return self.key_of(name)
        key = await self.ledger.reader.key_of(number)
        if key is None:
            raise NotFoundError(f"No contact has the number #{number}. Take one from `parked list`.")
        return key

    async def contact_ids(self, names: Sequence[str]) -> list[int]:
        """The contacts of these organization user ids, or numbers as `parked list` shows them (#12).

        Raises NotFoundError when one of them is not known.
        """
        ids: list[int] = []
        for name in names:
            number = _number_in(name)
            if number is None:
                found = await self.ledger.reader.contact_ids((self.key_of(name),))
            else:
                found = await self.ledger.reader.contact_ids((), (number,))
            if not found:
                raise NotFoundError(
                    "No notification about one of these people was ever received. Are they spelt as in"
                    " Didomi?"
                )
            ids += found
        return ids


def _number_in(name: str) -> int | None:
    """The number in #12, None when the name is an organization user id."""
    number = name.removeprefix("#")
    is_number = name.startswith("#") and number.isdecimal() and len(number) < _NUMBER_CHARACTERS
    return int(number) if is_number else None


@asynccontextmanager
async def open_admin_session(configuration: Configuration, *, clock: Clock) -> AsyncIterator[AdminSession]:
    """The ledger of a configuration, for as long as the block lasts. Raises StoreError."""
    ledger = await open_ledger(configuration.settings, clock=clock)
    try:
        yield AdminSession(ledger, configuration, clock)
    finally:
        await ledger.close()


async def find_contact(
    configuration: Configuration, organization_user_id: str, *, clock: Clock
) -> dict[str, Any] | None:
    """What is known of one person (`operate.contact_view`), or None when nothing is. Raises StoreError."""
    identity = identify(organization_user_id, reading_policy(configuration).normalize)
    if not isinstance(identity, Identity):
        return None
    ledger = await open_ledger(configuration.settings, clock=clock)
    try:
        return await contact_view(ledger.reader, configuration.mapping, identity.key)
    finally:
        await ledger.close()
