"""Where a contact stands on its way to Dataverse: its state, what was written, and what may happen next."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from didomi_dataverse.consent.model import JsonScalar
from didomi_dataverse.consent.registers import Registers


class DeliveryState(StrEnum):
    """Where a contact stands on its way to Dataverse."""

    SETTLED = "settled"  # Dataverse has what we know, or there is nothing to tell it
    DUE = "due"  # to be written at or after `due_at`
    DELIVERING = "delivering"  # claimed by a worker under a lease that ends at `due_at`
    UNMATCHED = "unmatched"  # no row in Dataverse yet; looked for again at `due_at`
    PARKED = "parked"  # set aside with a reason, for a person


class Move(StrEnum):
    """What can happen to a contact's delivery."""

    CHANGED = "changed"  # its registers changed, or an operator asked for it to be written again
    CLAIMED = "claimed"  # a worker took it, or took it over after the lease ended
    SETTLED = "settled"  # written, or nothing to write
    POSTPONED = "postponed"  # to be tried again; also: a worker released it
    UNMATCHED = "unmatched"  # no row matched
    PARKED = "parked"  # refused, and only a person can do something about it


_S = DeliveryState


MOVES: Mapping[tuple[DeliveryState, Move], DeliveryState] = {
    (_S.SETTLED, Move.CHANGED): _S.DUE,
    (_S.DUE, Move.CHANGED): _S.DUE,
    # The worker that holds the lease finds the revision changed when it settles, and leaves the contact due.
    (_S.DELIVERING, Move.CHANGED): _S.DELIVERING,
    # A new choice is a reason to look again at once; the time counted from `unmatched_since` goes on.
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
"""Every allowed move. What is not here cannot happen, and `next_state` says so."""


def next_state(state: DeliveryState, move: Move) -> DeliveryState:
    """The state after a move. Raises KeyError for one that the table does not hold: a bug.

    >>> next_state(DeliveryState.DELIVERING, Move.POSTPONED)
    <DeliveryState.DUE: 'due'>
    """
    return MOVES[state, move]


class Priority(IntEnum):
    """The smaller, the sooner. A contact keeps its most urgent one until it is settled."""

    WITHDRAWAL = 0  # docs/promises.md 5
    NORMAL = 1
    REMAP = 2  # no person chose anything: the mapping changed


@dataclass(frozen=True, slots=True)
class Written:
    """What Dataverse confirmed for one column: the value, and when the person had last stated it.

    `stated_at` is None for a value that no person stated, or that is only known from snapshots.
    """

    value: JsonScalar
    stated_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Everything the ledger knows of one `organization_user_id`."""

    contact_id: int
    """The contact's number in the ledger. Not Dataverse's id."""

    key: str = field(repr=False)
    """The identity under which notifications of one person meet (`Identity.key`)."""

    identifier: str = field(repr=False)
    """The spelling of the key in requests to Dataverse."""

    registers: Registers = field(repr=False)
    """What was chosen. Empty for a person without a choice."""

    revision: int
    """Counts the changes of the registers that may change a column. 0: nothing was ever to be delivered."""

    state: DeliveryState
    """Where its delivery stands."""

    due_at: datetime | None
    """When to deliver it or look for its row again; while it is being delivered, when the lease ends. None
    while settled or parked."""

    written: Mapping[str, Written] = field(default_factory=dict, repr=False)
    """What Dataverse last confirmed, by column. Empty when the row is not known to hold anything."""

    row_id: str | None = None
    """The GUID of the row last written to, where it had to be looked up or was created by us."""

    attempts: int = 0
    """Failures since the last success. Waiting for a throttle is not a failure."""

    unmatched_since: datetime | None = None
    """When no row was first found. None when a row was found since, or none was looked for."""

    reason: str | None = None
    """Why it is parked, unmatched or postponed. None when there is no reason to show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A contact that one worker may write until the lease ends."""

    contact: Contact
    """As it was when it was claimed."""

    lease: str
    """The token of this claim; it begins with the holder's name. Fences off a worker that stalled: without
    the current token nothing can be settled."""


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
    """

    attempted_at: datetime
    """When the reply was settled."""

    outcome: AttemptOutcome
    """What it came to. Never NOTHING_TO_WRITE: then there is nothing to keep."""

    status: int | None = None
    """The HTTP status of the part that answered for this contact. None when no answer came."""

    code: str = ""
    """Dataverse's error code, or our word for a call that failed. Empty when nothing failed."""

    message: str = ""
    """What went wrong and what to do, clipped and free of values. Empty when nothing failed."""

    request_id: str = ""
    """Dataverse's own id for the call, for its support. Empty when no answer came."""

    columns: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Per column sent: its value, its rule and the notifications it came from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What became of a claim: the move to make and everything that is stored with it in one transaction."""

    contact_id: int
    """The contact that was claimed."""

    lease: str
    """The token of the claim."""

    revision: int
    """The revision that was delivered. If the contact has changed since, it stays due whatever `move` says,
    and only what Dataverse confirmed is stored."""

    move: Move
    """What happened. Not CHANGED or CLAIMED: those are not ways to settle."""

    attempts: int = 0
    """Failures since the last success, this one included."""

    due_at: datetime | None = None
    """When it is due again. Needed for POSTPONED and UNMATCHED, unused otherwise."""

    reason: str | None = None
    """Why it is parked, unmatched or postponed."""

    written: Mapping[str, Written] | None = None
    """What Dataverse is known to hold now, by column. None leaves the stored confirmation alone."""

    row_id: str | None = None
    """The GUID of the row; None forgets the one that is stored."""

    unmatched_since: datetime | None = None
    """When no row was first found; None forgets the time that is stored."""

    attempt: Attempt | None = None
    """The evidence to keep. None when nothing was asked of Dataverse."""
