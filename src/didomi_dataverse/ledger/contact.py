"""Our state for one person: what they chose, what Dataverse was told, and what is to be done next.

The fold is a join (design.md 5): it is commutative, associative and idempotent, so that duplicates,
reordering and replays cannot change what a contact ends up with.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from didomi_dataverse.didomi.item import Choice, Kind, Subject, Value, restrictiveness

JsonScalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Register:
    """The newest that one Didomi user said of one subject, in each of the two ways it can be said."""

    statement: Choice | None = None
    assertion: Choice | None = None


RegisterKey = tuple[Subject, str]
"""The subject, and the Didomi user who spoke of it."""

Registers = Mapping[RegisterKey, Register]

EMPTY_REGISTER = Register()

_FAR_FUTURE = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a subject's value is now, and when a person last decided it.

    `stated_at` is the time of the newest statement, None when the value is only known from snapshots.
    """

    choice: Choice
    stated_at: datetime | None


def fold(registers: Registers, choices: Iterable[Choice]) -> Registers:
    """Registers joined with choices. Returns the same object when nothing changed."""
    joined: dict[RegisterKey, Register] | None = None
    for choice in choices:
        key = (choice.subject, choice.didomi_user)
        before = (registers if joined is None else joined).get(key, EMPTY_REGISTER)
        after = _joined_with(before, choice)
        if after is not before:
            joined = dict(registers) if joined is None else joined
            joined[key] = after
    return registers if joined is None else joined


def resolve(registers: Registers) -> dict[Subject, Resolved]:
    """Every subject's value, read from its registers alone (design.md 5, "What a contact holds").

    The newest statement of all Didomi users decides. If that same user's snapshot asserted something later,
    the assertion holds: it heals a notification we missed. A subject nobody stated takes the newest
    assertion. Another device's snapshot therefore never overrules a statement, however late it comes.
    """
    by_subject: dict[Subject, list[Register]] = {}
    for (subject, _), register in registers.items():
        by_subject.setdefault(subject, []).append(register)
    return {subject: _resolved(found) for subject, found in by_subject.items()}


def _resolved(registers: list[Register]) -> Resolved:
    stated = [(register.statement, register) for register in registers if register.statement is not None]
    if not stated:
        assertions = (register.assertion for register in registers)
        return Resolved(min((a for a in assertions if a is not None), key=precedence), None)
    statement, register = min(stated, key=lambda pair: precedence(pair[0]))
    assertion = register.assertion
    # One that only repeats the statement adds nothing, and would move the time at which the person chose.
    if (
        assertion is not None
        and assertion.made_at > statement.made_at
        and not _is_same(assertion.value, statement.value)
    ):
        return Resolved(assertion, statement.made_at)
    return Resolved(statement, statement.made_at)


def _is_same(one: Value, other: Value) -> bool:
    # For Python `True == 1`; for a person a yes is no number.
    return type(one) is type(other) and one == other


def precedence(choice: Choice) -> tuple[timedelta, tuple[int, int, tuple[str, ...], str], str, str, str]:
    """Sort key whose *smallest* choice wins: the newest, then the most restrictive (didomi.md 1.6).

    What follows only makes the order total, so that the winner does not depend on the order of arrival.
    """
    age = _FAR_FUTURE - choice.made_at
    return (age, restrictiveness(choice.value), choice.didomi_user, choice.source_id, choice.notification)


def _joined_with(register: Register, choice: Choice) -> Register:
    if choice.kind is Kind.STATEMENT:
        if register.statement is None or precedence(choice) < precedence(register.statement):
            return replace(register, statement=choice)
    elif register.assertion is None or precedence(choice) < precedence(register.assertion):
        return replace(register, assertion=choice)
    return register


def is_withdrawal(before: Registers, after: Registers) -> bool:
    """Did some item become more restrictive? Such contacts are written first (design.md 1, promise 5)."""
    if after is before:
        return False
    was = resolve(before)
    for subject, now in resolve(after).items():
        earlier = was.get(subject)
        if earlier is None:
            if now.choice.value is False:
                return True
        elif restrictiveness(now.choice.value) < restrictiveness(earlier.choice.value):
            return True
    return False


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
    """A contact that one worker may write until the lease ends. `lease` fences off a worker that stalled."""

    contact: Contact
    lease: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at writing a contact, kept as evidence: what was sent by which rule, and what Dataverse
    answered.

    `columns` holds, per column sent, the value, the rule and the notifications it came from. `status` is the
    HTTP status of the part that answered for this contact, None when no answer came. `request_id` is
    Dataverse's own id for the call. `message` is clipped and free of values.
    """

    attempted_at: datetime
    outcome: str
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
