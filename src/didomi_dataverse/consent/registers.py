"""Our state for one person: what they chose, what Dataverse was told, and what is to be done next.

The fold is a join (docs/how-choices-are-decided.md, "Registers"): it is commutative, associative and
idempotent, so that duplicates, reordering and replays cannot change what a contact ends up with. Deletions
keep it one: nothing is taken out of the registers, it is only marked as gone
(docs/decisions/0012-deletes.md).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from didomi_dataverse.consent.model import UNSET, Choice, Fact, Kind, Subject, Value, restrictiveness
from didomi_dataverse.consent.tombstones import NOTHING_DELETED, Tombstones

JsonScalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Register:
    """The newest that one Didomi user said of one subject, in each of the two ways it can be said.

    `statement` leaves out what deleted events stated; what they stated after it is in `retracted`, in the
    order of `precedence`. The user was deleted at `deleted_until`: what it said until then no longer counts.
    """

    statement: Choice | None = None
    assertion: Choice | None = None
    retracted: tuple[Choice, ...] = ()
    deleted_until: datetime | None = None

    def is_gone(self, choice: Choice) -> bool:
        """Whether the choice went with its Didomi user."""
        return self.deleted_until is not None and choice.made_at <= self.deleted_until


RegisterKey = tuple[Subject, str]
"""The subject, and the Didomi user who spoke of it."""

Registers = Mapping[RegisterKey, Register]

EMPTY_REGISTER = Register()

_FAR_FUTURE = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a subject's value is now, and when a person last decided it.

    `stated_at` is the time of the newest statement, deleted or not, None when the value is only known from
    snapshots. `withheld`: what is left after deletions says more than this; a deleted refusal stays in force.
    """

    choice: Choice
    stated_at: datetime | None
    withheld: bool = False


def fold(
    registers: Registers, choices: Iterable[Choice], tombstones: Tombstones = NOTHING_DELETED
) -> Registers:
    """Registers joined with choices. Returns the same object when nothing changed.

    `tombstones` holds at least what is deleted of the choices.
    """
    joined: dict[RegisterKey, Register] | None = None
    for choice in choices:
        key = (choice.subject, choice.didomi_user)
        before = (registers if joined is None else joined).get(key, EMPTY_REGISTER)
        after = _joined_with(before, choice, tombstones)
        if after is not before:
            joined = dict(registers) if joined is None else joined
            joined[key] = after
    return registers if joined is None else joined


def retract(registers: Registers, tombstones: Tombstones) -> tuple[Registers, bool]:
    """Registers without what is deleted, and whether older choices have to be folded again.

    A register only remembers the newest statement: when that one goes, what came before it must be read from
    the notifications. Returns the same object when nothing changed.
    """
    joined: dict[RegisterKey, Register] | None = None
    is_orphaned = False
    for key, before in registers.items():
        after = _gone(before, tombstones.users.get(key[1]))
        if before.statement is not None and tombstones.cover(before.statement):
            after = replace(after, statement=None, retracted=_in_order((*after.retracted, before.statement)))
            is_orphaned = True
        if after is not before:
            joined = dict(registers) if joined is None else joined
            joined[key] = after
    return (registers if joined is None else joined), is_orphaned


def resolve(registers: Registers) -> dict[Subject, Resolved]:
    """Every subject's value, read from its registers alone (docs/how-choices-are-decided.md, "Which choice
    counts").

    The newest statement of all Didomi users decides. If that same user's snapshot asserted something later,
    the assertion holds: it heals a notification we missed. A subject nobody stated takes the newest
    assertion. Another device's snapshot therefore never overrules a statement, however late it comes.

    A deletion takes away what was granted, never what was refused: where something deleted was newer than
    what is left, the most restrictive of all that holds. With nothing left, the value is UNSET.
    """
    by_subject: dict[Subject, list[Register]] = {}
    for (subject, _), register in registers.items():
        by_subject.setdefault(subject, []).append(register)
    return {subject: resolve_subject(subject, found) for subject, found in by_subject.items()}


def resolve_subject(subject: Subject, registers: list[Register]) -> Resolved:
    """One subject's value, from all of its registers."""
    if any(register.retracted or register.deleted_until for register in registers):
        return _resolved_after_deletions(subject, registers)
    return _resolved([(register.statement, register) for register in registers])


_Stated = tuple[Choice | None, Register]
"""A statement, and the register whose user's snapshots may correct it."""


def _resolved(spoken: Sequence[_Stated]) -> Resolved:
    stated = [(statement, register) for statement, register in spoken if statement is not None]
    if not stated:
        assertions = (register.assertion for _, register in spoken)
        return Resolved(min((a for a in assertions if a is not None), key=precedence), None)
    # Most people have one device: then there is nothing to compare.
    statement, register = stated[0] if len(stated) == 1 else min(stated, key=lambda pair: precedence(pair[0]))
    return Resolved(_corrected(statement, register), statement.made_at)


def _corrected(statement: Choice, register: Register) -> Choice:
    """The statement, or what the same user's snapshot later said instead."""
    assertion = register.assertion
    # One that only repeats the statement adds nothing, and would move the time at which the person chose. One
    # older than the snapshot that told of the statement was overtaken by it, whenever the choice was made.
    told_at = statement.told_at or statement.made_at
    if (
        assertion is not None
        and assertion.made_at > max(statement.made_at, told_at)
        and not is_same(assertion.value, statement.value)
    ):
        return assertion
    return statement


def _resolved_after_deletions(subject: Subject, registers: list[Register]) -> Resolved:
    """The most restrictive of what the value would be if any of the deletions had not come.

    So no deletion can grant, in whatever order they come: each only adds to what is compared.
    """
    left: list[_Stated] = []
    taken_back: list[tuple[Choice, Register]] = []
    for register in registers:
        taken_back += ((choice, register) for choice in register.retracted)
        if register.statement is not None and register.is_gone(register.statement):
            taken_back.append((register.statement, register))
        else:
            left.append((register.statement, register))
    newest = min((one for one, _ in left if one is not None), key=precedence, default=None)
    asserted = [(one.assertion, one) for one in registers if one.assertion is not None]
    latest = min((one for one, by in asserted if not by.is_gone(one)), key=precedence, default=None)
    remaining = latest if newest is None else _resolved(left).choice
    # What is older than a statement that counts had no say before the deletion either.
    last_words = [pair for pair in taken_back if newest is None or precedence(pair[0]) < precedence(newest)]
    rivals = [_corrected(statement, register) for statement, register in last_words]
    if newest is None:
        # Where the same user stated something, too, the snapshot has been compared with that already.
        rivals += [
            one
            for one, by in asserted
            if by.is_gone(one)
            and by.statement is None
            and (latest is None or precedence(one) < precedence(latest))
        ]
    stated = [statement for statement, _ in last_words] + ([] if newest is None else [newest])
    stated_at = max((one.made_at for one in stated), default=None)
    if remaining is None:
        return Resolved(replace(min(rivals, key=precedence), value=UNSET), stated_at)
    if isinstance(subject, Fact):
        # Facts are no choices: none of them is more restrictive than another.
        return Resolved(remaining, stated_at)
    strictest = min([remaining, *rivals], key=lambda one: (restrictiveness(one.value), precedence(one)))
    if restrictiveness(strictest.value) < restrictiveness(remaining.value):
        return Resolved(strictest, stated_at, withheld=True)
    return Resolved(remaining, stated_at)


def is_same(one: Value, other: Value) -> bool:
    """Whether both say the same to a person."""
    # For Python `True == 1`; for a person a yes is no number.
    return type(one) is type(other) and one == other


Precedence = tuple[timedelta, tuple[int, int, tuple[str, ...], str], timedelta, str, str, str]


def precedence(choice: Choice) -> Precedence:
    """Sort key whose *smallest* choice wins: the newest, then the most restrictive (didomi.md 1.6).

    Of two that tell of the same choice, the one told last says more. What follows only makes the order total,
    so that the winner does not depend on the order of arrival.
    """
    return (
        _FAR_FUTURE - choice.made_at,
        restrictiveness(choice.value),
        _FAR_FUTURE - (choice.told_at or choice.made_at),
        choice.didomi_user,
        choice.source_id,
        choice.notification,
    )


def _joined_with(register: Register, choice: Choice, tombstones: Tombstones) -> Register:
    register = _gone(register, tombstones.users.get(choice.didomi_user))
    if choice.kind is Kind.ASSERTION:
        if register.assertion is None or _precedes(choice, register.assertion):
            return Register(register.statement, choice, register.retracted, register.deleted_until)
        return register
    if register.statement is not None and not _precedes(choice, register.statement):
        return register
    if tombstones.cover(choice):
        is_known = choice in register.retracted
        return register if is_known else replace(register, retracted=_in_order((*register.retracted, choice)))
    newer = tuple(one for one in register.retracted if _precedes(one, choice))
    return Register(choice, register.assertion, newer, register.deleted_until)


def _gone(register: Register, deleted_at: datetime | None) -> Register:
    if deleted_at is None or (register.deleted_until is not None and register.deleted_until >= deleted_at):
        return register
    return replace(register, deleted_until=deleted_at)


def _in_order(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    return tuple(sorted(set(choices), key=precedence))


def _precedes(choice: Choice, other: Choice) -> bool:
    """By `precedence`, which is only worked out for choices of the same time."""
    if choice.made_at != other.made_at:
        return choice.made_at > other.made_at
    return precedence(choice) < precedence(other)
