"""One contact's talk with Dataverse, without any I/O: requests come out, replies go in, an outcome ends it.

A dialogue is a generator, so that a worker can hold many of them at once and send what they ask for in one
call. There is never an unconditional upsert: first the row is updated if it is there, and only when it is
surely not there, and creating is allowed, is it created *on the condition that it is still missing*, with
every mapped column written explicitly. So `on_create` can never overwrite, and a new row never grants by
omission (dataverse.md 6.2).
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never
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

_CREATED_ROWS = UUID("5c0b6b0e-6a53-4c8e-9a53-0d1d0d0f7a11")
"""Namespace of the GUIDs that we choose for rows that we create without a key URL."""


class MatchBy(StrEnum):
    """How a contact's row is found (config.example.yaml, `contact.match`)."""

    ALTERNATE_KEY = "alternate_key"
    COLUMN = "column"
    CONTACT_ID = "contactid"


class OnMany(StrEnum):
    """What to do when several rows match."""

    PARK = "park"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchPolicy:
    """How rows are found and whether they may be made. `column` is empty when matching by `contactid`."""

    by: MatchBy
    column: str = ""
    upsert: bool = False
    on_many: OnMany = OnMany.PARK
    on_create: Mapping[str, JsonScalar] = field(default_factory=dict)


MAX_ATTEMPTS = 5
"""Failures that may pass by themselves, where the catalogue sets no other bound (dataverse.md 5.3)."""

_MOST_ROWS: Mapping[OnMany, int] = {OnMany.PARK: 1, OnMany.ALL: 50}
"""How many rows one person may have. More than that is a mistake in the table rather than one person."""

WriteFlow = Generator[Write | LookUp, Reply, Conclusion]


def write_flow(
    contact: Contact, values: ColumnValues, creation: Mapping[str, ColumnValue], policy: MatchPolicy
) -> WriteFlow:
    """Everything that is said about one contact until an outcome is reached.

    `creation` holds every mapped column, as it must be written when the row is created (docs/promises.md 6);
    it is not read unless the policy allows creating.
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
                return Conclusion(outcome=_failure(reply), reply=reply)
            keys: tuple[RowKey, ...] = tuple(RowId(guid) for guid in sorted(reply.answer.row_ids))
            if len(keys) > _MOST_ROWS[policy.on_many]:
                return Conclusion(outcome=Parked(ParkReason.SEVERAL_ROWS), reply=reply)
        else:
            keys, reply = (target,), None
        updated = yield from _update(contact, values, written, keys, reply)
        if isinstance(updated, Conclusion):
            return updated
        written = {}  # whatever row is there next, it is not the one that was written
        if updated is _Row.VANISHED and isinstance(target, LookUp):
            if is_last_try:
                return Conclusion(outcome=Unmatched(), reply=reply)
            continue
        if not policy.upsert:
            return Conclusion(outcome=Unmatched(), reply=reply)
        created = yield from _create(contact, target, creation, policy, is_last_try=is_last_try)
        if created is not None:
            return created
    # Created by somebody else, then found, then gone again: it is looked for again later.
    return Conclusion(outcome=Unmatched(), reply=reply)


class _Row(StrEnum):
    """Why a row was not updated."""

    MISSING = "missing"  # there is none
    VANISHED = "vanished"  # it was there when we looked it up: deleted or merged since


def _update(
    contact: Contact,
    values: ColumnValues,
    written: Mapping[str, Written],
    keys: tuple[RowKey, ...],
    found: Reply | None,
) -> Generator[Write | LookUp, Reply, Conclusion | _Row]:
    """Writes what differs to the rows that are there."""
    row_id = row_id_of(keys)
    # Another row than last time holds nothing of what was confirmed for the old one.
    forgotten = row_id != contact.row_id or written is not contact.written
    columns = diff_columns(values, {} if forgotten else written)
    reply = found
    for key in keys:
        write = _update_of(key, columns)
        reply = yield write
        match reply.action_alone:
            case Action.DONE:
                continue
            case Action.SKIP:
                return _Row.MISSING
            case Action.RE_RESOLVE:
                return _Row.VANISHED
            case _:
                failure = _failure(reply)
                if failure == Parked(ParkReason.REJECTED):
                    return (yield from _refusals_alone(keys, columns, reply))
                return Conclusion(outcome=failure, sent=columns, reply=reply)
    if not keys:
        return _Row.MISSING
    outcome = Delivered(columns=columns, created=False, row_id=row_id, forgotten=forgotten)
    return Conclusion(outcome=outcome, sent=columns, reply=reply)


def _update_of(key: RowKey, columns: Mapping[str, ColumnValue]) -> Write:
    return Write(key, Condition.UPDATE_ONLY, {name: value.value for name, value in columns.items()})


def _refusals_alone(
    keys: tuple[RowKey, ...], columns: Mapping[str, ColumnValue], rejection: Reply
) -> Generator[Write | LookUp, Reply, Conclusion]:
    """A row is refused as it is, perhaps for a remark that is too long. The refusals in it are tried by
    themselves, on every row of the person, before the contact is parked: a no must not wait for somebody to
    look at the rest.
    """
    refusals = {name: value for name, value in columns.items() if value.withdrawal}
    taken_by = 0
    if len(refusals) < len(columns):
        for key in keys if refusals else ():
            write = _update_of(key, refusals)
            reply = yield write
            if reply.action_alone is Action.DONE:
                taken_by += 1
            elif not isinstance(_failure(reply), Parked):
                # It could not be tried now. Parking would give up on it.
                return Conclusion(outcome=_failure(reply), sent=refusals, reply=reply)
    confirmed = refusals if taken_by == len(keys) else {}
    return Conclusion(outcome=Parked(ParkReason.REJECTED, confirmed), sent=columns, reply=rejection)


def _create(
    contact: Contact,
    target: RowKey | LookUp,
    creation: Mapping[str, ColumnValue],
    policy: MatchPolicy,
    *,
    is_last_try: bool,
) -> Generator[Write | LookUp, Reply, Conclusion | None]:
    """Creates the row if it is still missing. None: somebody else created it first, so start over."""
    constants = dict(policy.on_create)
    if isinstance(target, LookUp):
        # A GUID of our own choosing makes the creation repeatable: after a cut connection the second try
        # finds the row or is told that it exists, and two rows for one person cannot come of it.
        key: RowKey = RowId(str(uuid5(_CREATED_ROWS, contact.key)))
        constants[target.column] = contact.identifier
    else:
        key = (
            target  # dataverse.md 2.2: the server copies the key columns itself, so they stay out of the body
        )
    columns = {**constants, **{name: value.value for name, value in creation.items()}}
    write = Write(key, Condition.CREATE_ONLY, columns)
    reply = yield write
    match reply.action_alone:
        case Action.DONE:
            outcome = Delivered(
                columns=creation,
                created=True,
                row_id=key.guid if isinstance(key, RowId) else None,
                forgotten=True,
            )
            return Conclusion(outcome=outcome, sent=creation, constants=constants, reply=reply)
        case Action.REUPSERT if not is_last_try:
            return None
        case Action.REUPSERT:
            hidden = Parked(ParkReason.HIDDEN_ROW)
            return Conclusion(outcome=hidden, sent=creation, constants=constants, reply=reply)
        case _:
            return Conclusion(outcome=_failure(reply), sent=creation, constants=constants, reply=reply)


def locate_row(contact: Contact, policy: MatchPolicy) -> RowKey | LookUp | None:
    """Where the row is, if a URL can say it, else how to look for it; None when no request can carry the
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
            # One more than may be written, so that "too many" is seen and not cut off.
            return LookUp(policy.column, identifier, at_most=_MOST_ROWS[policy.on_many] + 1)
        case _:
            assert_never(policy.by)


def row_id_of(keys: tuple[RowKey, ...]) -> str | None:
    """The GUIDs of the rows, sorted and comma-separated; None where the row is known by its key only."""
    guids = [key.guid for key in keys if isinstance(key, RowId)]
    return ",".join(guids) if guids else None


def _failure(reply: Reply) -> Outcome:
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
