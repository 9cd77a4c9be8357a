"""Where a contact stands on its way to Dataverse: its state, what was written, and what may happen next."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from didomi_dataverse.consent.registers import JsonScalar, Registers


class DeliveryState(StrEnum):
    """Where a contact stands on its way to Dataverse."""

    SETTLED = "settled"  # Dataverse has what we know, or there is nothing to tell it
    DUE = "due"  # to be written at or after `due_at`
    DELIVERING = "delivering"  # claimed by a worker under a lease that ends at `due_at`
    UNMATCHED = "unmatched"  # no row in Dataverse yet; looked for again at `due_at`
    PARKED = "parked"  # set aside with a reason, for a person


class Move(StrEnum):
    """What can happen to a contact's delivery."""

    CHANGED = "changed"  # its registers changed, or somebody asked for it to be written again
    CLAIMED = "claimed"  # a worker took it, or took it over after the lease ended
    SETTLED = "settled"  # written, or nothing to write
    POSTPONED = "postponed"  # to be tried again; also: a worker gave it back
    UNMATCHED = "unmatched"
    PARKED = "parked"


_S = DeliveryState


MOVES: Mapping[tuple[DeliveryState, Move], DeliveryState] = {
    (_S.SETTLED, Move.CHANGED): _S.DUE,
    (_S.DUE, Move.CHANGED): _S.DUE,
    # The worker that holds the lease finds the revision moved when it settles, and leaves the contact due.
    (_S.DELIVERING, Move.CHANGED): _S.DELIVERING,
    # A new choice is a reason to look again at once; the patience counted from `unmatched_since` goes on.
    (_S.UNMATCHED, Move.CHANGED): _S.DUE,
    # Other values may be accepted where the last ones were not.
    (_S.PARKED, Move.CHANGED): _S.DUE,
    (_S.DUE, Move.CLAIMED): _S.DELIVERING,
    (_S.UNMATCHED, Move.CLAIMED): _S.DELIVERING,
    (_S.DELIVERING, Move.CLAIMED): _S.DELIVERING,
    (_S.DELIVERING, Move.SETTLED): _S.SETTLED,
    (_S.DELIVERING, Move.POSTPONED): _S.DUE,
    (_S.DELIVERING, Move.UNMATCHED): _S.UNMATCHED,
    (_S.DELIVERING, Move.PARKED): _S.PARKED,
}
"""Every allowed move. What is not here cannot happen, and `moved` says so."""


def moved(state: DeliveryState, move: Move) -> DeliveryState:
    """The state after a move. Raises KeyError for one that the table does not know: a bug."""
    return MOVES[state, move]


@dataclass(frozen=True, slots=True)
class Written:
    """What Dataverse confirmed for one column: the value, and when the person had last stated it."""

    value: JsonScalar
    stated_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Everything we know of one `organization_user_id`.

    `key` is the identity by which notifications meet; `identifier` is its spelling in requests. `written` is
    the last value that Dataverse confirmed for each column, empty when the row is not known to hold anything.
    `row_id` is the GUID of the row last written to, where one had to be looked up or was created by us.
    `attempts` counts failures since the last success; waiting for a throttle is not one.
    """

    contact_id: int
    key: str = field(repr=False)
    identifier: str = field(repr=False)
    registers: Registers = field(repr=False)
    revision: int
    state: DeliveryState
    due_at: datetime | None
    written: Mapping[str, Written] = field(default_factory=dict, repr=False)
    row_id: str | None = None
    attempts: int = 0
    unmatched_since: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A contact that one worker may write until the lease ends. `lease` fences off a worker that stalled; it
    begins with the holder's name.
    """

    contact: Contact
    lease: str


class AttemptOutcome(StrEnum):
    """What a try at writing a contact came to, in the words that are stored, counted and shown."""

    NOTHING_TO_WRITE = "nothing_to_write"
    """Dataverse already has every column as it should be."""

    WRITTEN = "written"
    """Dataverse confirmed the update of a row."""

    CREATED = "created"
    """Dataverse confirmed the creation of a row."""

    UNMATCHED = "unmatched"
    """No row was found, and creating one is not allowed."""

    POSTPONED = "postponed"
    """It could not be tried now. Not counted as an attempt."""

    RETRIED = "retried"
    """It failed in a way that may pass."""

    PARKED = "parked"
    """It was set aside for a person."""

    ALERTED = "alerted"
    """It failed for a reason that stops the sender until a person acts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at writing a contact, kept as evidence: what was sent by which rule, and what Dataverse
    answered.

    `columns` holds, per column sent, the value, the rule and the notifications it came from. `status` is the
    HTTP status of the part that answered for this contact, None when no answer came. `request_id` is
    Dataverse's own id for the call. `message` is clipped and free of values.
    """

    attempted_at: datetime
    outcome: AttemptOutcome
    status: int | None = None
    code: str = ""
    message: str = ""
    request_id: str = ""
    columns: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What became of a claim: the move to make and everything that is stored with it in one transaction.

    `revision` is the one that was delivered: if the contact has moved on since, it stays due whatever `move`
    says, and only what Dataverse confirmed is kept. `written` None leaves the stored confirmation alone.
    `due_at` is needed for POSTPONED and UNMATCHED, and unused otherwise.
    """

    contact_id: int
    lease: str
    revision: int
    move: Move
    attempts: int = 0
    due_at: datetime | None = None
    reason: str | None = None
    written: Mapping[str, Written] | None = None
    row_id: str | None = None
    unmatched_since: datetime | None = None
    attempt: Attempt | None = None


class Priority(IntEnum):
    """The smaller, the sooner. A contact keeps its most urgent one until it is settled."""

    WITHDRAWAL = 0  # docs/promises.md 5
    NORMAL = 1
    REMAP = 2  # nobody chose anything: the mapping changed
