"""What the ledger shows of its rows to operators and metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from didomi_dataverse.didomi.interpreted import Disposition, Reason
from didomi_dataverse.ledger.delivery_state import DeliveryState


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredNotification:
    """A notification as the ledger holds it."""

    notification_id: int
    """Its row's number: notifications that arrived later have higher ones."""

    digest: str
    """SHA-256 (hex) of its canonical body, which identifies it."""

    received_at: datetime
    """When it first arrived."""

    last_received_at: datetime
    """When it last arrived."""

    times_received: int
    """How often it arrived, duplicates included. At least 1."""

    type: str
    """Didomi's word, e.g. `event.created`. Empty when its body names none."""

    regulation: str
    """In lower case. Empty when its body could not be read."""

    organization_id: str
    """Didomi's organization. Empty when none is named."""

    didomi_user: str
    """Didomi's user: one device or browser. Empty when none is named."""

    source_id: str
    """The event that it tells of, or the snapshot where no event is named. Empty when neither is known."""

    effective_at: datetime | None
    """When its choices were made. None when its body could not be read."""

    caller: str
    """By which configured way its caller was authenticated."""

    disposition: Disposition
    """What became of it."""

    reason: Reason | None
    """Why it was skipped or parked. None otherwise."""

    notes: tuple[str, ...]
    """Oddities that did not stop it: fixed words with a JSON path, no values."""

    body: bytes = field(repr=False)
    """The bytes as received, or those of its element of a list. Personal: never logged."""

    contact_id: int | None
    """The contact it is about. None when it names no person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationFilter:
    """Which notifications to list. A field that is None excludes nothing."""

    limit: int
    """At most this many."""

    key: str | None = field(default=None, repr=False)
    """Only about the contact with this key."""

    disposition: Disposition | None = None
    """Only with this disposition."""

    reason: Reason | None = None
    """Only skipped or parked for this reason."""

    type: str | None = None
    """Only of this type, in Didomi's word."""

    since: datetime | None = None
    """Only what first arrived then or later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationSummary:
    """A notification without its body. The fields are those of `StoredNotification`."""

    digest: str
    received_at: datetime
    times_received: int
    type: str
    regulation: str
    disposition: Disposition
    reason: Reason | None
    identifier: str | None = field(repr=False)
    """Of the contact it is about. None when it names no person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedContact:
    """A contact that waits for a person."""

    contact_id: int
    """The contact's number in the ledger."""

    identifier: str = field(repr=False)
    """The person's id as Didomi writes it."""

    reason: str
    """Why it was parked."""

    changed_at: datetime
    """When its choices last changed."""

    parked_at: datetime | None
    """When it was parked. None when retention has deleted the attempt that parked it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactCounts:
    """How many contacts there are."""

    by_state: Mapping[DeliveryState, int]
    """In every state, 0 included."""

    oldest_due_at: datetime | None
    """Since when the contact has been due that waits longest. None when none is due."""
