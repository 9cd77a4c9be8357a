"""How one contact is written, without I/O: requests come out, replies go in, an outcome ends it.

A write flow is a generator, so that the sender can hold many of them and send in one call what they ask at
the same time (docs/decisions/0009-delivery-as-dialogues.md). There is never an unconditional upsert. First
the row is updated if it exists. Only when it certainly does not, and creating is allowed, it is created *on
the condition that it is still missing*, with every mapped column written explicitly. So `on_create` can never
overwrite, and a new row never grants by omission (dataverse.md 6.2).
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import Final, TypeVar, assert_never
from uuid import UUID, uuid5

from didomi_dataverse.dataverse.errors.entry import Action
from didomi_dataverse.dataverse.keys import fits_filter, fits_key_url, normal_guid
from didomi_dataverse.dataverse.replies import Answered, NotAttempted, Reply, Unknown
from didomi_dataverse.dataverse.requests import (
    AlternateKey,
    Condition,
    JsonScalar,
    LookUp,
    RowId,
    RowKey,
    Write,
)
from didomi_dataverse.delivery.outcome import (
    Alerted,
    AlertReason,
    Conclusion,
    Delivered,
    NothingToWrite,
    Outcome,
    Parked,
    ParkReason,
    PostponeCause,
    Postponed,
    Retried,
    Unmatched,
)
from didomi_dataverse.ledger.delivery_state import Contact, Written
from didomi_dataverse.mapping.apply import ColumnValue, ColumnValues
from didomi_dataverse.mapping.diff import diff_columns

_T = TypeVar("_T")

_CREATED_ROWS: Final = UUID("5c0b6b0e-6a53-4c8e-9a53-0d1d0d0f7a11")
"""Namespace of the GUIDs that are chosen here, for rows that are created without a key URL."""


class MatchBy(StrEnum):
    """How a contact's row is found (config.example.yaml, `contact.match`)."""

    ALTERNATE_KEY = "alternate_key"
    """By a key of one column."""

    COLUMN = "column"
    """By any column."""

    CONTACT_ID = "contactid"
    """By its GUID."""


class OnMany(StrEnum):
    """What to do when several rows match (config.example.yaml, `contact.on_many`)."""

    PARK = "park"
    """Set the contact aside."""

    ALL = "all"
    """Write all of them."""


MAX_ROWS: Final[Mapping[OnMany, int]] = {OnMany.PARK: 1, OnMany.ALL: 50}
"""The most rows that one person may have. Too small: people with many rows are parked. Too large: a mistake
in the table is taken for one person."""

MAX_ATTEMPTS: Final = 5
"""Failures of one row that may pass, before it is parked; where the error table sets no other bound
(dataverse.md 5.3). Too small: rows are parked for a disturbance. Too large: a bad row is parked late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchPolicy:
    """How the row of a contact is found, and whether it may be created."""

    by: MatchBy
    """How it is found."""

    column: str = ""
    """The column to match; empty when matching by `contactid`."""

    upsert: bool = False
    """Whether a missing row is created."""

    on_many: OnMany = OnMany.PARK
    """What to do when several rows match."""

    on_create: Mapping[str, JsonScalar] = field(default_factory=dict)
    """Columns that are written only when a row is created."""


WriteFlow = Generator[Write | LookUp, Reply, Conclusion]
"""Yields requests, one at a time. Send it the reply to each. Returns the outcome with its evidence."""

_Step = Generator[Write | LookUp, Reply, _T]
"""A part of a write flow."""


def write_flow(
    contact: Contact, values: ColumnValues, creation: Mapping[str, ColumnValue], policy: MatchPolicy
) -> WriteFlow:
    """Everything that is asked about one contact until it has an outcome.

    `values` is what the mapping makes of the contact. `creation` holds every mapped column, as it must be
    written when the row is created (docs/promises.md 6); it is not read unless the policy allows creating.
    """
    if not diff_columns(values, contact.written):
        return Conclusion(outcome=NothingToWrite())
    target = locate_row(contact, policy)
    if target is None:
        return Conclusion(outcome=Parked(ParkReason.UNSENDABLE))
    written = contact.written
    for is_last_try in (False, True):
        if isinstance(target, LookUp):
            reply = yield target
            if not isinstance(reply.answer, Answered) or reply.action_alone is not Action.DONE:
                return Conclusion(outcome=_failed_outcome(reply), reply=reply)
            keys: tuple[RowKey, ...] = tuple(RowId(guid) for guid in sorted(reply.answer.row_ids))
            if len(keys) > MAX_ROWS[policy.on_many]:
                return Conclusion(outcome=Parked(ParkReason.SEVERAL_ROWS), reply=reply)
        else:
            keys, reply = (target,), None
        updated = yield from _update(contact, values, written, keys, reply)
        if isinstance(updated, Conclusion):
            return updated
        written = {}  # a row that is there next is not the one that was written
        if updated is _NoRow.VANISHED and isinstance(target, LookUp):
            if is_last_try:
                return Conclusion(outcome=Unmatched(), reply=reply)
            continue
        if not policy.upsert:
            return Conclusion(outcome=Unmatched(), reply=reply)
        created = yield from _create(contact, target, creation, policy, is_last_try=is_last_try)
        if created is not None:
            return created
    # Created by another client, then found, then gone again: it is looked for again later.
    return Conclusion(outcome=Unmatched(), reply=reply)


class _NoRow(Enum):
    """Why there was no row to update."""

    MISSING = auto()
    """There is none."""

    VANISHED = auto()
    """It was found by a look-up, and has been deleted or merged since."""


def _update(
    contact: Contact,
    values: ColumnValues,
    written: Mapping[str, Written],
    keys: tuple[RowKey, ...],
    found: Reply | None,
) -> _Step[Conclusion | _NoRow]:
    """Writes what differs to the rows that exist. `found` is the reply that named them, None without one."""
    row_id = _join_row_ids(keys)
    # Another row than last time holds nothing of what was confirmed for that one.
    is_other_row = row_id != contact.row_id or written is not contact.written
    columns = diff_columns(values, {} if is_other_row else written)
    reply = found
    for key in keys:
        reply = yield _build_update(key, columns)
        match reply.action_alone:
            case Action.DONE:
                continue
            case Action.SKIP:
                return _NoRow.MISSING
            case Action.RE_RESOLVE:
                return _NoRow.VANISHED
            case _:
                failure = _failed_outcome(reply)
                if failure == Parked(ParkReason.REJECTED):
                    return (yield from _write_refusals(keys, columns, reply))
                return Conclusion(outcome=failure, sent=columns, reply=reply)
    if not keys:
        return _NoRow.MISSING
    outcome = Delivered(columns=columns, created=False, row_id=row_id, is_other_row=is_other_row)
    return Conclusion(outcome=outcome, sent=columns, reply=reply)


def _build_update(key: RowKey, columns: Mapping[str, ColumnValue]) -> Write:
    return Write(key, Condition.UPDATE_ONLY, {name: value.value for name, value in columns.items()})


def _write_refusals(
    keys: tuple[RowKey, ...], columns: Mapping[str, ColumnValue], rejection: Reply
) -> _Step[Conclusion]:
    """Dataverse refused a row as it is, perhaps for a remark that is too long. Its refusals are written by
    themselves, to every row of the person, before the contact is parked: a refusal of consent must not wait
    until a person looks at the rest.
    """
    refusals = {name: value for name, value in columns.items() if value.withdrawal}
    accepted = 0
    if len(refusals) < len(columns):
        for key in keys if refusals else ():
            reply = yield _build_update(key, refusals)
            if reply.action_alone is Action.DONE:
                accepted += 1
            elif not isinstance(_failed_outcome(reply), Parked):
                # It could not be tried now. Parking would lose it.
                return Conclusion(outcome=_failed_outcome(reply), sent=refusals, reply=reply)
    confirmed = refusals if accepted == len(keys) else {}
    return Conclusion(outcome=Parked(ParkReason.REJECTED, confirmed), sent=columns, reply=rejection)


def _create(
    contact: Contact,
    target: RowKey | LookUp,
    creation: Mapping[str, ColumnValue],
    policy: MatchPolicy,
    *,
    is_last_try: bool,
) -> _Step[Conclusion | None]:
    """Creates the row if it is still missing. None: another client created it first, so start over."""
    constants = dict(policy.on_create)
    if isinstance(target, LookUp):
        # A GUID chosen here makes the creation repeatable: after a cut connection the second try finds the
        # row or is told that it exists. So there are never two rows for one person.
        key: RowKey = RowId(str(uuid5(_CREATED_ROWS, contact.key)))
        constants[target.column] = contact.identifier
    else:
        # dataverse.md 2.2: the server copies the key columns itself, so they stay out of the body.
        key = target
    columns = {**constants, **{name: value.value for name, value in creation.items()}}
    reply = yield Write(key, Condition.CREATE_ONLY, columns)
    match reply.action_alone:
        case Action.DONE:
            outcome = Delivered(
                columns=creation,
                created=True,
                row_id=key.guid if isinstance(key, RowId) else None,
                is_other_row=True,
            )
            return Conclusion(outcome=outcome, sent=creation, constants=constants, reply=reply)
        case Action.REUPSERT if not is_last_try:
            return None
        case Action.REUPSERT:
            hidden = Parked(ParkReason.HIDDEN_ROW)
            return Conclusion(outcome=hidden, sent=creation, constants=constants, reply=reply)
        case _:
            return Conclusion(outcome=_failed_outcome(reply), sent=creation, constants=constants, reply=reply)


def locate_row(contact: Contact, policy: MatchPolicy) -> RowKey | LookUp | None:
    """Where the row is, if a URL can name it, else how to look for it; None when no request can carry the
    identifier (dataverse.md 1.4).
    """
    identifier = contact.identifier
    match policy.by:
        case MatchBy.CONTACT_ID:
            guid = normal_guid(identifier)
            return None if guid is None else RowId(guid)
        case MatchBy.ALTERNATE_KEY if fits_key_url(identifier):
            return AlternateKey(policy.column, identifier)
        case MatchBy.ALTERNATE_KEY | MatchBy.COLUMN:
            if not fits_filter(identifier):
                return None
            # One more than may be written, so that too many can be noticed.
            return LookUp(policy.column, identifier, at_most=MAX_ROWS[policy.on_many] + 1)
        case _:
            assert_never(policy.by)


def _join_row_ids(keys: tuple[RowKey, ...]) -> str | None:
    """The GUIDs of the rows, sorted and comma-separated; None where the row is known by its key only."""
    guids = [key.guid for key in keys if isinstance(key, RowId)]
    return ",".join(guids) if guids else None


def _failed_outcome(reply: Reply) -> Outcome:
    """What a reply that is not a success means for the contact it was given for."""
    answer = reply.answer
    match answer:
        case NotAttempted():
            return Postponed(PostponeCause.NOT_REACHED)
        case Unknown():
            # A row that breaks every connection ends up alone in its call, because the rate limiter halves
            # the rows of failing calls. It is then tried ever more rarely, but never parked: the network may
            # be the cause after all.
            return Retried(max_attempts=None) if answer.sent else Postponed(PostponeCause.UNREACHABLE)
        case Answered():
            pass
        case _:
            assert_never(answer)
    match reply.action_alone:
        case Action.WAIT:
            return Postponed(PostponeCause.THROTTLED, answer.retry_after)
        case Action.ALERT | Action.TOKEN:
            return Alerted(AlertReason.REFUSED, reply.entry.advice)
        case Action.DEAD | Action.SPLIT:
            return Parked(ParkReason.REJECTED)
        case _ if answer.whole_call:
            return Retried(max_attempts=None)
        case _:
            return Retried(max_attempts=reply.entry.max_attempts or MAX_ATTEMPTS)
