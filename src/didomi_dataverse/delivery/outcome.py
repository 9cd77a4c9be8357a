"""What a contact's talk with Dataverse came to. A closed union: every reader must deal with each member."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from didomi_dataverse.dataverse.replies import Reply
from didomi_dataverse.dataverse.requests import JsonScalar
from didomi_dataverse.mapping.apply import ColumnValue


class ParkReason(StrEnum):
    """Why a contact was set aside for a person. The value is stored, counted and shown."""

    REJECTED = "rejected"  # Dataverse will not have this row as it is; the attempt says why
    UNMATCHED = "unmatched"  # no row turned up within `contact.unmatched.retry_for`
    SEVERAL_ROWS = "several_rows"  # more than one row matches, and `contact.on_many` is `park`
    HIDDEN_ROW = "hidden_row"  # creating says it exists, looking for it says it does not
    UNSENDABLE = "unsendable"  # its identifier or a value cannot be put into a request
    INTERNAL_ERROR = "internal_error"  # we failed on it; the log has the event `contact_not_mapped`


class AlertReason(StrEnum):
    """Why the whole sender stopped until a person mends something."""

    REFUSED = "refused"  # Dataverse refuses for a reason that every row shares
    CREDENTIAL = "credential"  # Microsoft Entra refuses the credential


@dataclass(frozen=True, slots=True)
class NothingToWrite:
    """Dataverse already has every column as it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Dataverse confirmed. `columns` are the ones that went out; `row_id` names the row where we know it."""

    columns: Mapping[str, ColumnValue]
    created: bool
    row_id: str | None
    forgotten: bool = False  # what had been confirmed earlier was another row's


@dataclass(frozen=True, slots=True)
class Unmatched:
    """No row, and creating one is not allowed."""


class PostponeCause(StrEnum):
    """Why a contact could not be written now."""

    THROTTLED = "throttled"  # Dataverse asked us to wait
    NOT_REACHED = "not_reached"  # Dataverse stopped before it came to this row
    UNREACHABLE = "unreachable"  # no connection could be made
    NO_TOKEN = "no_token"  # noqa: S105 - Microsoft Entra cannot be reached or is failing
    OUT_OF_TIME = "out_of_time"  # the lease would have ended before another call could


@dataclass(frozen=True, slots=True)
class Postponed:
    """Dataverse could not take it now, through no fault of this row: not an attempt. `delay` None leaves the
    time to the sender's own pause.
    """

    cause: PostponeCause
    delay: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Retried:
    """This row failed in a way that may pass. Counts as an attempt.

    After `max_attempts` it is parked; None: never, because the failure may be the whole server's.
    """

    max_attempts: int | None


@dataclass(frozen=True, slots=True)
class Parked:
    """Set aside for a person. `confirmed` are the refusals that Dataverse took although it took no more."""

    reason: ParkReason
    confirmed: Mapping[str, ColumnValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alerted:
    """Nothing can be written until a person acts. The contact stays due."""

    reason: AlertReason
    advice: str


Outcome = NothingToWrite | Delivered | Unmatched | Postponed | Retried | Parked | Alerted


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """An outcome with its evidence: the columns last sent, with what they rest on, and the last reply."""

    outcome: Outcome
    sent: Mapping[str, ColumnValue] = field(default_factory=dict)
    constants: Mapping[str, JsonScalar] = field(default_factory=dict)  # sent at creation beside `sent`
    reply: Reply | None = None
