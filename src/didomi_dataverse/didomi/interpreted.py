"""The result of interpretation: `InterpretedNotification`, and the closed sets that it uses.

Apart from interpret.py, because parsing and identification return a `Reason`, and interpret.py imports both.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from didomi_dataverse.consent.model import Choice


class NotificationType(StrEnum):
    """The six types that Didomi documents (didomi.md 1.3)."""

    EVENT_CREATED = "event.created"
    EVENT_UPDATED = "event.updated"
    EVENT_DELETED = "event.deleted"
    USER_CREATED = "user.created"
    USER_UPDATED = "user.updated"
    USER_DELETED = "user.deleted"

    @property
    def is_event(self) -> bool:
        """Whether the entity describes one action, not a Didomi user's whole state."""
        return self.value.startswith("event.")

    @property
    def is_update(self) -> bool:
        """Whether it carries an entity from before and one from after."""
        return self.value.endswith(".updated")

    @property
    def is_deletion(self) -> bool:
        """Whether it says that something was deleted."""
        return self.value.endswith(".deleted")


class Disposition(StrEnum):
    """What became of a notification. The value is stored, counted and shown."""

    APPLIED = "applied"  # it changed what we know of its contact
    UNCHANGED = "unchanged"  # we knew all of it already, or something newer
    SKIPPED = "skipped"  # by a rule, with a reason: no action is needed
    PARKED = "parked"  # with a reason, for a person


class Reason(StrEnum):
    """Why a notification was skipped or parked. The value is stored, counted and shown."""

    # skipped
    ANONYMOUS = "anonymous"  # no organization_user_id (didomi.md 2.5)
    PENDING_APPROVAL = "pending_approval"  # not a choice yet (didomi.md 3.1)
    NO_CHOICES = "no_choices"  # nothing in it that a person decided
    REGULATION_NOT_MAPPED = "regulation_not_mapped"  # known, folded, but no column is written for it
    USER_DELETION_IGNORED = "user_deletion_ignored"  # user.deleted, and the configuration says `ignore`
    # parked
    NOT_JSON = "not_json"
    UNKNOWN_TYPE = "unknown_type"
    MALFORMED = "malformed"  # JSON, but not the shape of its type
    REGULATION_MISMATCH = "regulation_mismatch"  # envelope and entity disagree (didomi.md 1.10)
    FOREIGN_ORGANIZATION = "foreign_organization"  # another organization_id than the configured one
    IDENTITY_UNUSABLE = "identity_unusable"  # an organization_user_id that cannot be what it should be
    UNKNOWN_STATUS = "unknown_status"
    CONFIRMATION_REVOKED = "confirmation_revoked"  # confirmed -> pending (didomi.md 3.1)
    DELETED = "deleted"  # user.deleted, and the configuration says `park` (didomi.md 3.2)
    DELETED_EVENT_UNKNOWN = "deleted_event_unknown"  # the log does not know the deleted event
    DELETE_WOULD_GRANT = "delete_would_grant"  # it deleted a refusal, which stays in force
    HISTORY_INCOMPLETE = "history_incomplete"  # the choices before the deleted event are no longer kept
    TOO_LARGE = "too_large"  # more choices than one person can have made
    INTERNAL_ERROR = "internal_error"  # our own mistake; kept to be replayed


class DeletionScope(StrEnum):
    """What a deletion deletes. The value is shown."""

    EVENT = "event"  # the event `source_id`
    USER = "user"  # all choices of `didomi_user` up to `received_at`


@dataclass(frozen=True, slots=True)
class Identity:
    """The person that a notification is about (didomi.md 2.5, dataverse.md 1.5)."""

    key: str = field(repr=False)
    """The key of the contact: notifications about one person have the same."""
    identifier: str = field(repr=False)
    """The spelling in requests to Dataverse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpretedNotification:
    """One notification, interpreted: ready to be logged and folded in one transaction."""

    digest: str
    """SHA-256 (hex) of the canonical body; identifies the notification."""
    body: bytes = field(repr=False)
    """What is kept of it: the raw bytes, or the list element's part of them."""
    received_at: datetime
    """When the request arrived, aware UTC."""
    type: str
    """Didomi's type, as received and clipped. Empty when there was none."""
    caller: str
    """How the caller was authenticated: an `AuthMethod`, or the name of the command that read the body."""
    regulation: str = ""
    """In lower case. Empty when the body could not be parsed."""
    organization_id: str = ""
    """Empty when absent or unreadable."""
    didomi_user: str = ""
    """Empty when none is named."""
    source_id: str = ""
    """The id of the event that its statements come from; for a snapshot without one, the snapshot's own."""
    effective_at: datetime | None = None
    """When its statements were made, aware UTC. None when the body could not be parsed."""
    identity: Identity | None = field(default=None, repr=False)
    """None when it names no person, or not by a usable id."""
    choices: tuple[Choice, ...] = field(default=(), repr=False)
    """What to fold. Present also when SKIPPED with REGULATION_NOT_MAPPED: the choices are known, they only
    have no column today.
    """
    deletes: DeletionScope | None = None
    """What it deletes; None unless it is a deletion, which has no choices and may lack an identity."""
    disposition: Disposition = Disposition.APPLIED
    """APPLIED until the ledger has determined whether anything changes."""
    reason: Reason | None = None
    """Why it was skipped or parked, else None."""
    warnings: tuple[str, ...] = ()
    """What was odd but did not stop it: short fixed words, each with its place in the body and no values."""
