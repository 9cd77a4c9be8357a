"""What a contact's write flow comes to. A closed union: every reader must deal with each member."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from didomi_dataverse.dataverse.replies import Reply
from didomi_dataverse.dataverse.requests import JsonScalar
from didomi_dataverse.mapping.apply import ColumnValue


class ParkReason(StrEnum):
    """Why a contact was set aside for a person. The value is stored, counted and shown."""

    REJECTED = "rejected"
    """Dataverse does not take this row as it is; the attempt says why."""

    UNMATCHED = "unmatched"
    """No row was found within `contact.unmatched.retry_for`."""

    SEVERAL_ROWS = "several_rows"
    """More rows match than `contact.on_many` allows."""

    HIDDEN_ROW = "hidden_row"
    """Creating the row says that it exists, looking for it says that it does not."""

    UNSENDABLE = "unsendable"
    """Its identifier, or a value, cannot be put into a request."""

    INTERNAL_ERROR = "internal_error"
    """The service itself failed on it; the log has the event `contact_not_mapped`."""


class AlertReason(StrEnum):
    """Why the whole sender is stopped until a person acts. The value is counted and shown."""

    REFUSED = "refused"
    """Dataverse refuses for a reason that every row shares."""

    CREDENTIAL = "credential"
    """Microsoft Entra refuses the credential."""


class PostponeCause(StrEnum):
    """Why a contact could not be written now."""

    THROTTLED = "throttled"
    """Dataverse asked to wait."""

    NOT_REACHED = "not_reached"
    """Dataverse stopped before it came to this row, or no call was made for it."""

    UNREACHABLE = "unreachable"
    """No connection could be made."""

    NO_TOKEN = "no_token"  # noqa: S105 - a word, not a secret
    """Microsoft Entra cannot be reached or is failing."""

    OUT_OF_TIME = "out_of_time"
    """The lease would have ended before another call could."""


@dataclass(frozen=True, slots=True)
class NothingToWrite:
    """Dataverse already has every column as it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Dataverse confirmed the write."""

    columns: Mapping[str, ColumnValue]
    """The columns that were sent."""

    created: bool
    """Whether the row was created."""

    row_id: str | None
    """The GUIDs of the rows, sorted and comma-separated; None where only the key is known."""

    is_other_row: bool = False
    """Whether this is another row than the last one: what had been confirmed earlier says nothing of it."""


@dataclass(frozen=True, slots=True)
class Unmatched:
    """There is no row, and creating one is not allowed."""


@dataclass(frozen=True, slots=True)
class Postponed:
    """Dataverse could not take it now, through no fault of this row. Not counted as an attempt."""

    cause: PostponeCause
    """Why."""

    delay: timedelta | None = None
    """When to try again, from now; None leaves that to the sender's own pause."""


@dataclass(frozen=True, slots=True)
class Retried:
    """This row failed in a way that may pass. Counted as an attempt."""

    max_attempts: int | None
    """How many attempts there may be before the contact is parked; None for no bound, because the failure may
    be the whole server's."""


@dataclass(frozen=True, slots=True)
class Parked:
    """Set aside for a person."""

    reason: ParkReason
    """Why."""

    confirmed: Mapping[str, ColumnValue] = field(default_factory=dict)
    """The refusals that Dataverse took although it did not take the whole row."""


@dataclass(frozen=True, slots=True)
class Alerted:
    """Nothing can be written until a person acts. The contact stays due."""

    reason: AlertReason
    """Why."""

    advice: str
    """What the person must do, in whole sentences, without data."""


Outcome = NothingToWrite | Delivered | Unmatched | Postponed | Retried | Parked | Alerted


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """An outcome with its evidence."""

    outcome: Outcome
    """What the flow came to."""

    sent: Mapping[str, ColumnValue] = field(default_factory=dict)
    """The columns that were last sent, with what each rests on. Empty when none were."""

    constants: Mapping[str, JsonScalar] = field(default_factory=dict)
    """What was sent beside them to create the row: `contact.on_create`, and the column to find it by."""

    reply: Reply | None = None
    """The last reply; None when nothing was asked."""
