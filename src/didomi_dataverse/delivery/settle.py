"""Outcome → Settlement: what is stored about a contact once its dialogue has ended, and when it is tried
again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from didomi_dataverse.dataverse.replies import Answered, NotAttempted, Unknown, UnknownCause
from didomi_dataverse.delivery.outcome import (
    Alerted,
    AlertReason,
    Conclusion,
    Delivered,
    NothingToWrite,
    Parked,
    ParkReason,
    PostponeCause,
    Postponed,
    Retried,
    Unmatched,
)
from didomi_dataverse.ledger.delivery_state import (
    Attempt,
    AttemptOutcome,
    Claim,
    Contact,
    Move,
    Settlement,
    Written,
)
from didomi_dataverse.mapping.apply import ColumnValue
from didomi_dataverse.privacy.server_message import safe_message

FIRST_RETRY = timedelta(seconds=2)
LONGEST_RETRY = timedelta(minutes=15)

LOST_CALL_RETRY = timedelta(seconds=15)
"""After a call that failed as a whole. The sender's own pause is what spares a server in trouble."""

ALERTED_RETRY = timedelta(seconds=30)
"""After a refusal that a person must mend: as often as the sender asks whether it was."""
FIRST_LOOK_AGAIN = timedelta(minutes=1)
LONGEST_LOOK_AGAIN = timedelta(hours=6)

_UNKNOWN_TEXTS: Mapping[UnknownCause, str] = {
    UnknownCause.CONNECT_TIMEOUT: "Dataverse could not be reached in time.",
    UnknownCause.CONNECT_FAILED: "Dataverse could not be reached.",
    UnknownCause.TLS_FAILED: "Dataverse's certificate is not trusted: check `dataverse.url` and "
    "`dataverse.ca_bundle`.",
    UnknownCause.PROXY_FAILED: "The proxy could not reach Dataverse: check HTTPS_PROXY and NO_PROXY.",
    UnknownCause.POOL_TIMEOUT: "No connection to Dataverse was free in time; nothing was sent.",
    UnknownCause.WRITE_FAILED: "The connection broke while the request was sent; whether Dataverse wrote the "
    "row is not known.",
    UnknownCause.READ_TIMEOUT: "Dataverse did not answer in time; whether it wrote the row is not known.",
    UnknownCause.CUT: "The connection broke before the answer; whether Dataverse wrote the row is not known.",
    UnknownCause.GARBLED: "The answer cannot be decoded; whether the row was written is not known.",
    UnknownCause.MALFORMED: "The answer cannot be read; whether the row was written is not known.",
    UnknownCause.DEADLINE: "The call took too long and was given up; whether the row was written is not "
    "known.",
    UnknownCause.LEASE_ENDED: "The store could not be reached, so the call was given up before others take "
    "over.",
}
_POSTPONED_TEXTS: Mapping[PostponeCause, str] = {
    PostponeCause.THROTTLED: "Dataverse limits how much may be sent; it goes on after the pause.",
    PostponeCause.NOT_REACHED: "Dataverse stopped before it came to this row.",
    PostponeCause.UNREACHABLE: "Dataverse could not be reached.",
    PostponeCause.NO_TOKEN: "Microsoft Entra gave no token; nothing was sent.",
    PostponeCause.OUT_OF_TIME: "The lease would have ended during another call; nothing more was sent.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryLimits:
    """How long to go on. `unmatched_for` is `contact.unmatched.retry_for`."""

    unmatched_for: timedelta


def apply_retry_limits(
    conclusion: Conclusion, contact: Contact, *, limits: RetryLimits, now: datetime
) -> Conclusion:
    """The same conclusion, or a parked one where patience is at its end."""
    match conclusion.outcome:
        case Unmatched() if now - (contact.unmatched_since or now) >= limits.unmatched_for:
            return replace(conclusion, outcome=Parked(ParkReason.UNMATCHED))
        case Retried(max_attempts) if max_attempts is not None and contact.attempts >= max_attempts:
            return replace(conclusion, outcome=Parked(ParkReason.REJECTED))
        case _:
            return conclusion


def settle(claim: Claim, conclusion: Conclusion, *, now: datetime, jitter: float) -> Settlement:
    """What to store. `jitter` in [0, 1) spreads retries, so that they do not come in step."""
    contact = claim.contact
    written: Mapping[str, Written] | None = None
    row_id = contact.row_id
    due_at: datetime | None = None
    reason: str | None = None
    attempts = contact.attempts
    unmatched_since = contact.unmatched_since
    outcome = conclusion.outcome
    match outcome:
        case NothingToWrite():
            move, attempts, unmatched_since = Move.SETTLED, 0, None
        case Delivered():
            move, attempts, unmatched_since = Move.SETTLED, 0, None
            written = confirmed(contact, outcome)
            row_id = outcome.row_id
        case Unmatched():
            # The row that once took our columns is gone: a later one must get all of them.
            written, row_id, attempts = {}, None, 0
            unmatched_since = unmatched_since or now
            move, reason = Move.UNMATCHED, ParkReason.UNMATCHED.value
            due_at = now + _look_again_after(now - unmatched_since, jitter)
        case Postponed():
            move, due_at = Move.POSTPONED, now + (outcome.delay or timedelta(0))
        case Retried():
            # An outage of the server uses up no patience with the row.
            attempts += 0 if outcome.max_attempts is None else 1
            lost = outcome.max_attempts is None
            delay = LOST_CALL_RETRY * (1 - jitter / 2) if lost else retry_after(attempts, jitter)
            move, due_at = Move.POSTPONED, now + delay
            if conclusion.reply is not None and isinstance(conclusion.reply.answer, Unknown):
                # Whether the row holds what was sent, or still what it held before, is not known.
                written = {
                    name: last for name, last in contact.written.items() if name not in conclusion.sent
                }
        case Parked():
            move, reason = Move.PARKED, outcome.reason.value
            written = {**contact.written, **written_of(outcome.confirmed)} if outcome.confirmed else None
            # Whoever looks again, after a retry by hand or a new choice, has the full patience again.
            attempts, unmatched_since = 0, None
        case Alerted():
            # A refused credential says nothing of the row: another application user may write it at once.
            delay = timedelta(0) if outcome.reason is AlertReason.CREDENTIAL else ALERTED_RETRY
            move, reason, due_at = Move.POSTPONED, outcome.reason.value, now + delay
        case _:
            assert_never(outcome)
    return Settlement(
        contact_id=contact.contact_id,
        lease=claim.lease,
        revision=contact.revision,
        move=move,
        attempts=attempts,
        due_at=due_at,
        reason=reason,
        written=written,
        row_id=row_id,
        unmatched_since=unmatched_since,
        attempt=attempt_of(conclusion, contact, now),
    )


def confirmed(contact: Contact, delivered: Delivered) -> dict[str, Written]:
    """What Dataverse is now known to hold: the earlier confirmations, unless they were another row's, and
    these.
    """
    kept = {} if delivered.forgotten else contact.written
    return {**kept, **written_of(delivered.columns)}


def written_of(columns: Mapping[str, ColumnValue]) -> dict[str, Written]:
    """Columns that Dataverse confirmed, as they are remembered."""
    return {name: Written(value.value, value.stated_at) for name, value in columns.items()}


def retry_after(attempts: int, jitter: float) -> timedelta:
    """2 s, 4 s, 8 s ... up to 15 min, each shortened by up to a half."""
    doublings = min(attempts - 1, 20)
    return min(FIRST_RETRY * (1 << doublings), LONGEST_RETRY) * (1 - jitter / 2)


def _look_again_after(waited: timedelta, jitter: float) -> timedelta:
    """As long again as it has been missing, between 1 min and 6 h, shortened by up to a tenth."""
    return min(max(waited, FIRST_LOOK_AGAIN), LONGEST_LOOK_AGAIN) * (1 - jitter / 10)


def attempt_of(conclusion: Conclusion, contact: Contact, now: datetime) -> Attempt | None:
    """The evidence to keep; None where nothing was asked of Dataverse and nothing went wrong."""
    outcome = conclusion.outcome
    if isinstance(outcome, NothingToWrite):
        return None
    columns: dict[str, Mapping[str, object]] = {
        name: {"value": constant, "rule": "contact.on_create"}
        for name, constant in conclusion.constants.items()
    }
    for name, value in conclusion.sent.items():
        columns[name] = {
            "value": value.value,
            "rule": value.rule,
            "sources": list(value.sources),
            "notifications": list(value.notifications),
        }
    # Of a rejected row some columns may have been written all the same: they need their evidence, too.
    for name in outcome.confirmed if isinstance(outcome, Parked) else ():
        columns[name] = {**columns[name], "confirmed": True}
    status, code, request_id = None, "", ""
    message = _POSTPONED_TEXTS[outcome.cause] if isinstance(outcome, Postponed) else ""
    answer = None if conclusion.reply is None else conclusion.reply.answer
    match answer:
        case Answered():
            status, code, request_id = answer.status, answer.code, answer.request_id
            message = safe_message(answer.message, _values(conclusion, contact), columns) or message
        case Unknown(cause):
            code = cause.value
            message = _UNKNOWN_TEXTS[cause]
        case NotAttempted() | None:
            pass
        case _:
            assert_never(answer)
    advice = outcome.advice if isinstance(outcome, Alerted) else _advice(conclusion)
    message = f"{advice} {message}".strip()
    return Attempt(
        attempted_at=now,
        outcome=outcome_word(conclusion),
        status=status,
        code=code,
        message=message,
        request_id=request_id,
        columns=columns,
    )


def _advice(conclusion: Conclusion) -> str:
    """What a person can do about a refused row; nothing where nothing went wrong."""
    reply = conclusion.reply
    if reply is None or not isinstance(conclusion.outcome, Retried | Parked):
        return ""
    # What counts is whether something was refused: several rows may have been found by an answered look-up.
    return reply.entry.advice if isinstance(reply.answer, Answered) and reply.answer.status >= 300 else ""


def _values(conclusion: Conclusion, contact: Contact) -> list[str]:
    """What must not stand in a stored message: the identifier, and every text that was sent."""
    sent = (value.value for value in conclusion.sent.values())
    return [contact.identifier, *(value for value in sent if isinstance(value, str))]


def outcome_word(conclusion: Conclusion) -> AttemptOutcome:
    """The glossary's word for an outcome, as stored, counted and shown."""
    match conclusion.outcome:
        case NothingToWrite():
            return AttemptOutcome.NOTHING_TO_WRITE
        case Delivered(created=True):
            return AttemptOutcome.CREATED
        case Delivered():
            return AttemptOutcome.WRITTEN
        case Unmatched():
            return AttemptOutcome.UNMATCHED
        case Postponed():
            return AttemptOutcome.POSTPONED
        case Retried():
            return AttemptOutcome.RETRIED
        case Parked():
            return AttemptOutcome.PARKED
        case Alerted():
            return AttemptOutcome.ALERTED
        case _:
            assert_never(conclusion.outcome)
