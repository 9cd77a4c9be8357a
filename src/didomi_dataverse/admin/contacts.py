"""`contacts show|retry|resync`: what is known of a person, and have Dataverse told again."""

from collections.abc import Sequence
from dataclasses import dataclass

from didomi_dataverse.admin.contact_view import ContactView, build_contact_view, list_columns
from didomi_dataverse.admin.lookup import NotFoundError, find_contact_ids, find_contact_key
from didomi_dataverse.admin.session import AdminSession
from didomi_dataverse.admin.view import View

DEFAULT_LIMIT = 20
"""How many notifications, and how many attempts, a contact is shown with unless another number is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResyncResult(View):
    """What a resync changed."""

    due: int
    """Contacts whose every mapped column is sent again."""

    being_written: int
    """Contacts left alone because a write for them is under way. Try these again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryResult(View):
    """What a retry changed."""

    due: int
    """Contacts that are due now: they were parked, or had no row."""

    requested: int
    """Contacts that were named, each counted once."""

    def to_json(self) -> dict[str, int]:
        """The members that programs read."""
        return {"due": self.due}


async def show_contact(session: AdminSession, name: str, *, limit: int = DEFAULT_LIMIT) -> ContactView:
    """Why every column of one person says what it says.

    `name` is an organization user id or a number (`#12`). The latest `limit` notifications and as many
    attempts are included; the evidence of a column is found however old it is. Raises NotFoundError when
    nothing is known of the person, StoreError when the store cannot be read.
    """
    ledger, mapping = session.ledger, session.configuration.mapping
    contact = await ledger.reader.contact(await find_contact_key(session, name))
    if contact is None:
        raise NotFoundError(
            "No notification about this person was ever applied. Is the identifier spelt as in Didomi?"
        )
    didomi_users = {user for _, user in contact.registers}
    # One more than is shown tells whether there are more.
    return build_contact_view(
        contact,
        mapping,
        notifications=await ledger.reader.notifications_of(contact.contact_id, limit + 1, didomi_users),
        attempts=await ledger.reader.attempts_of(contact.contact_id, limit + 1),
        confirmations=await ledger.reader.confirmations_of(
            contact.contact_id, list_columns(contact, mapping)
        ),
        limit=limit,
    )


async def retry_contacts(session: AdminSession, names: Sequence[str]) -> RetryResult:
    """Make these people due now if they are parked or have no row. `names`: as for `find_contact_ids`.

    Raises NotFoundError, and changes nothing, when one of them is not known.
    """
    contact_ids = sorted(set(await find_contact_ids(session, names)))
    due = await session.ledger.commands.retry(contact_ids, now=session.clock.now())
    return RetryResult(due=due, requested=len(contact_ids))


async def resync_contacts(session: AdminSession, names: Sequence[str]) -> ResyncResult:
    """Forget what Dataverse confirmed for these people, so that every mapped column is sent again.

    Raises NotFoundError, and changes nothing, when one of them is not known.
    """
    contact_ids = await find_contact_ids(session, names)
    due, being_written = await session.ledger.commands.resync(contact_ids, now=session.clock.now())
    return ResyncResult(due=due, being_written=being_written)


async def resync_all_contacts(session: AdminSession) -> ResyncResult:
    """As `resync_contacts`, for every contact of the ledger: one write for each."""
    due, being_written = await session.ledger.commands.resync_all(now=session.clock.now())
    return ResyncResult(due=due, being_written=being_written)
