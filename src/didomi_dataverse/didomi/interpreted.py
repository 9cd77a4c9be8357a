"""What one notification means to us: whom it is about, what was chosen, and what is to become of it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from didomi_dataverse.consent.model import Choice


class Disposition(StrEnum):
    """What became of a notification."""

    APPLIED = "applied"  # it changed what we know of its contact
    UNCHANGED = "unchanged"  # we knew all of it already, or something newer
    SKIPPED = "skipped"  # by rule, with a reason: nobody needs to act
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
    DELETED_EVENT_UNKNOWN = "deleted_event_unknown"  # nobody is known whom the deleted event was about
    DELETE_WOULD_GRANT = "delete_would_grant"  # what it took back was a refusal, which stays in force
    HISTORY_INCOMPLETE = "history_incomplete"  # what was chosen before the deleted event is not kept any more
    TOO_LARGE = "too_large"  # more choices than one person can have made
    INTERNAL_ERROR = "internal_error"  # we failed on it; kept to be replayed


class DeletionScope(StrEnum):
    """What a notification takes back."""

    EVENT = "event"  # the event `source_id`
    USER = "user"  # everything that `didomi_user` said up to `received_at`


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a notification is about. `key` is where notifications of one person meet; `identifier` is its
    spelling in requests to Dataverse (didomi.md 2.5, dataverse.md 1.5).
    """

    key: str = field(repr=False)
    identifier: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpretedNotification:
    """One notification, read: ready to be logged and folded in one transaction.

    `digest` is the SHA-256 (hex) of the canonical body and identifies the notification. `body` is what is
    kept of it: the raw bytes, or those of the list's element. `disposition` is APPLIED while the ledger has
    not yet looked whether anything changes. `choices` may be present although the notification is SKIPPED
    with REGULATION_NOT_MAPPED: they are known, they only mean no column today. `notes` flag oddities that did
    not stop it (an unreadable time, an array where a string belongs): short fixed words with a JSON path, no
    values. `deletes` is what it takes back; it may then name nobody, and holds no choices.
    """

    digest: str
    body: bytes = field(repr=False)
    received_at: datetime
    type: str
    caller: str
    regulation: str = ""
    organization_id: str = ""
    didomi_user: str = ""
    source_id: str = ""
    effective_at: datetime | None = None
    identity: Identity | None = field(default=None, repr=False)
    choices: tuple[Choice, ...] = field(default=(), repr=False)
    deletes: DeletionScope | None = None
    disposition: Disposition = Disposition.APPLIED
    reason: Reason | None = None
    notes: tuple[str, ...] = ()
