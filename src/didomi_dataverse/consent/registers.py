"""Registers: what is kept of a person's choices, how a choice joins them, and what they resolve to.

The fold is a join (docs/how-choices-are-decided.md, "Registers"): it is commutative, associative and
idempotent, so that duplicates, reordering and replays cannot change what a contact ends up with. Deletions
keep that property: they take nothing out of the registers, they only mark it
(docs/decisions/0012-deletes.md).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from didomi_dataverse.consent.model import (
    UNSET,
    Choice,
    ChoiceKind,
    Fact,
    Subject,
    is_same_value,
    restrictiveness,
)
from didomi_dataverse.consent.tombstones import NO_TOMBSTONES, Tombstones


@dataclass(frozen=True, slots=True)
class Register:
    """The newest statement and the newest assertion of one Didomi user on one subject."""

    statement: Choice | None = None
    """The newest statement whose event is not deleted; None when there is none."""
    assertion: Choice | None = None
    """The newest assertion; None when there is none."""
    retracted: tuple[Choice, ...] = ()
    """Statements of deleted events that are newer than `statement`, in the order of `precedence`."""
    deleted_until: datetime | None = None
    """The time until which the choices of this Didomi user no longer count; None when it is not deleted."""

    def is_deleted(self, choice: Choice) -> bool:
        """Whether the choice was deleted together with its Didomi user."""
        return self.deleted_until is not None and choice.made_at <= self.deleted_until


RegisterKey = tuple[Subject, str]
"""The subject, and the Didomi user who spoke of it."""

Registers = Mapping[RegisterKey, Register]
"""All registers of one contact. Never changed in place."""

EMPTY_REGISTER = Register()

_FAR_FUTURE = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a subject's value is now, and when a person last decided it."""

    choice: Choice
    """The choice that counts. Its value is UNSET when everything said of the subject is deleted."""
    stated_at: datetime | None
    """The time of the newest statement, deleted or not; None when the value is only known from snapshots."""
    withheld: bool = False
    """Whether `choice` is a deleted refusal that stays in force: what deletions left would grant more."""


def fold(
    registers: Registers, choices: Iterable[Choice], tombstones: Tombstones = NO_TOMBSTONES
) -> Registers:
    """Join choices to the registers. Returns the same object when nothing changed.

    `tombstones` must hold every deletion that concerns the choices; it may hold more.
    """
    joined: dict[RegisterKey, Register] | None = None
    for choice in choices:
        key = (choice.subject, choice.didomi_user)
        before = (registers if joined is None else joined).get(key, EMPTY_REGISTER)
        after = _join(before, choice, tombstones)
        if after is not before:
            joined = dict(registers) if joined is None else joined
            joined[key] = after
    return registers if joined is None else joined


def retract(registers: Registers, tombstones: Tombstones) -> tuple[Registers, bool]:
    """Mark in the registers what is deleted. Returns the same registers when nothing changed.

    The second result says whether older choices must be folded again: a register only remembers the newest
    statement, so when that one is retracted, the ones before it must be read from the logged notifications.
    """
    joined: dict[RegisterKey, Register] | None = None
    is_history_needed = False
    for key, before in registers.items():
        after = _mark_deleted(before, tombstones.users.get(key[1]))
        if before.statement is not None and tombstones.is_retracted(before.statement):
            after = replace(
                after, statement=None, retracted=_sort_by_precedence((*after.retracted, before.statement))
            )
            is_history_needed = True
        if after is not before:
            joined = dict(registers) if joined is None else joined
            joined[key] = after
    return (registers if joined is None else joined), is_history_needed


def resolve(registers: Registers) -> dict[Subject, Resolved]:
    """Every subject's value, read from its registers alone (docs/how-choices-are-decided.md, "Which choice
    counts").

    The newest statement of all Didomi users decides. If a snapshot of that same user asserted something else
    later, the assertion holds: it heals a notification that we missed. A subject without statements takes the
    newest assertion. Another device's snapshot therefore never overrules a statement, however late it comes.

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
        return _resolve_after_deletions(subject, registers)
    return _resolve_statements([(register.statement, register) for register in registers])


_Stated = tuple[Choice | None, Register]
"""A register's statement, and the register, whose assertion may correct it."""


def _resolve_statements(statements: Sequence[_Stated]) -> Resolved:
    stated = [(statement, register) for statement, register in statements if statement is not None]
    if not stated:
        assertions = (register.assertion for _, register in statements)
        return Resolved(min((a for a in assertions if a is not None), key=precedence), None)
    # Most people have one device, and then there is nothing to compare.
    statement, register = stated[0] if len(stated) == 1 else min(stated, key=lambda pair: precedence(pair[0]))
    return Resolved(_correct(statement, register), statement.made_at)


def _correct(statement: Choice, register: Register) -> Choice:
    """The statement, or what the same user's snapshot later said instead."""
    assertion = register.assertion
    # An assertion that only repeats the statement adds nothing, and would move the time at which the person
    # chose. One older than the snapshot that told of the statement is outdated, whenever the choice was made.
    told_at = statement.told_at or statement.made_at
    if (
        assertion is not None
        and assertion.made_at > max(statement.made_at, told_at)
        and not is_same_value(assertion.value, statement.value)
    ):
        return assertion
    return statement


def _resolve_after_deletions(subject: Subject, registers: list[Register]) -> Resolved:
    """The most restrictive value that any subset of the deletions would leave.

    No deletion can therefore grant, in whatever order they arrive: each only adds to what is compared.
    """
    left: list[_Stated] = []
    deleted: list[tuple[Choice, Register]] = []
    for register in registers:
        deleted += ((choice, register) for choice in register.retracted)
        if register.statement is not None and register.is_deleted(register.statement):
            deleted.append((register.statement, register))
        else:
            left.append((register.statement, register))
    newest = min((one for one, _ in left if one is not None), key=precedence, default=None)
    asserted = [(one.assertion, one) for one in registers if one.assertion is not None]
    latest = min((one for one, by in asserted if not by.is_deleted(one)), key=precedence, default=None)
    remaining = latest if newest is None else _resolve_statements(left).choice
    # What is older than a statement that counts did not count before the deletion either.
    overtaking = [pair for pair in deleted if newest is None or precedence(pair[0]) < precedence(newest)]
    rivals = [_correct(statement, register) for statement, register in overtaking]
    if newest is None:
        # Where the same user has a statement, too, `_correct` has compared the snapshot with it already.
        rivals += [
            one
            for one, by in asserted
            if by.is_deleted(one)
            and by.statement is None
            and (latest is None or precedence(one) < precedence(latest))
        ]
    stated = [statement for statement, _ in overtaking] + ([] if newest is None else [newest])
    stated_at = max((one.made_at for one in stated), default=None)
    if remaining is None:
        return Resolved(replace(min(rivals, key=precedence), value=UNSET), stated_at)
    if isinstance(subject, Fact):
        # Facts are not choices: no fact is more restrictive than another.
        return Resolved(remaining, stated_at)
    strictest = min([remaining, *rivals], key=lambda one: (restrictiveness(one.value), precedence(one)))
    if restrictiveness(strictest.value) < restrictiveness(remaining.value):
        return Resolved(strictest, stated_at, withheld=True)
    return Resolved(remaining, stated_at)


Precedence = tuple[timedelta, tuple[int, int, tuple[str, ...], str], timedelta, str, str, str]


def precedence(choice: Choice) -> Precedence:
    """Sort key whose *smallest* choice wins: the newest, then the most restrictive (didomi.md 1.6).

    Of two that tell of the same choice, the one told last says more. The remaining parts only make the order
    total, so that the winner does not depend on the order of arrival.

    >>> yes = Choice(
    ...     subject=Fact("gdpr", "country"), value=True, made_at=datetime(2026, 3, 1, tzinfo=UTC),
    ...     didomi_user="phone", kind=ChoiceKind.STATEMENT, source_id="E1", notification="n1",
    ... )
    >>> later = replace(yes, made_at=datetime(2026, 3, 2, tzinfo=UTC))
    >>> no = replace(yes, value=False)
    >>> min([yes, no], key=precedence) is no, min([no, later], key=precedence) is later
    (True, True)
    """
    return (
        _FAR_FUTURE - choice.made_at,
        restrictiveness(choice.value),
        _FAR_FUTURE - (choice.told_at or choice.made_at),
        choice.didomi_user,
        choice.source_id,
        choice.notification,
    )


def _join(register: Register, choice: Choice, tombstones: Tombstones) -> Register:
    register = _mark_deleted(register, tombstones.users.get(choice.didomi_user))
    if choice.kind is ChoiceKind.ASSERTION:
        if register.assertion is None or _precedes(choice, register.assertion):
            return Register(register.statement, choice, register.retracted, register.deleted_until)
        return register
    if register.statement is not None and not _precedes(choice, register.statement):
        return register
    if tombstones.is_retracted(choice):
        if choice in register.retracted:
            return register
        return replace(register, retracted=_sort_by_precedence((*register.retracted, choice)))
    newer = tuple(one for one in register.retracted if _precedes(one, choice))
    return Register(choice, register.assertion, newer, register.deleted_until)


def _mark_deleted(register: Register, deleted_at: datetime | None) -> Register:
    if deleted_at is None or (register.deleted_until is not None and register.deleted_until >= deleted_at):
        return register
    return replace(register, deleted_until=deleted_at)


def _sort_by_precedence(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    return tuple(sorted(set(choices), key=precedence))


def _precedes(choice: Choice, other: Choice) -> bool:
    """Compare by `precedence`, which is computed only for choices of the same time: this is the hot path."""
    if choice.made_at != other.made_at:
        return choice.made_at > other.made_at
    return precedence(choice) < precedence(other)
