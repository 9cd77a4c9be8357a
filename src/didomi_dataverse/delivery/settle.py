"""From an outcome to its settlement: what is stored about a contact, and when it is tried again."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, assert_never

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
from didomi_dataverse.delivery.retry import ALERTED_RETRY, LOST_CALL_RETRY, recheck_delay, retry_delay
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

_UNKNOWN_TEXTS: Final[Mapping[UnknownCause, str]] = {
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
_POSTPONED_TEXTS: Final[Mapping[PostponeCause, str]] = {
    PostponeCause.THROTTLED: "Dataverse limits how much may be sent; it goes on after the pause.",
    PostponeCause.NOT_REACHED: "Dataverse stopped before it came to this row.",
    PostponeCause.UNREACHABLE: "Dataverse could not be reached.",
    PostponeCause.NO_TOKEN: "Microsoft Entra gave no token; nothing was sent.",
    PostponeCause.OUT_OF_TIME: "The lease would have ended during another call; nothing more was sent.",
}


def settle(claim: Claim, conclusion: Conclusion, *, now: datetime, jitter: float) -> Settlement:
    """What to store. `jitter` in [0, 1) spreads retries over time."""
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
            written = _merge_confirmed(contact, outcome)
            row_id = outcome.row_id
        case Unmatched():
            # The row that once took our columns is gone: a later one must get all of them.
            written, row_id, attempts = {}, None, 0
            unmatched_since = unmatched_since or now
            move, reason = Move.UNMATCHED, ParkReason.UNMATCHED.value
            due_at = now + recheck_delay(now - unmatched_since, jitter)
        case Postponed():
            move, due_at = Move.POSTPONED, now + (outcome.delay or timedelta(0))
        case Retried():
            # An outage of the server is not an attempt of the row.
            attempts += 0 if outcome.max_attempts is None else 1
            is_lost = outcome.max_attempts is None
            delay = LOST_CALL_RETRY * (1 - jitter / 2) if is_lost else retry_delay(attempts, jitter)
            move, due_at = Move.POSTPONED, now + delay
            if conclusion.reply is not None and isinstance(conclusion.reply.answer, Unknown):
                # Whether the row holds what was sent, or still what it held before, is not known.
                written = {
                    name: last for name, last in contact.written.items() if name not in conclusion.sent
                }
        case Parked():
            move, reason = Move.PARKED, outcome.reason.value
            written = {**contact.written, **_remember(outcome.confirmed)} if outcome.confirmed else None
            # A retry by hand, or a new choice, starts with the full limits again.
            attempts, unmatched_since = 0, None
        case Alerted():
            # A refused credential says nothing about the row: another application user may write it at once.
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
        attempt=build_attempt(conclusion, contact, now),
    )


def _merge_confirmed(contact: Contact, delivered: Delivered) -> dict[str, Written]:
    """What Dataverse is now known to hold: these columns, and the earlier ones unless they were another
    row's.
    """
    kept = {} if delivered.is_other_row else contact.written
    return {**kept, **_remember(delivered.columns)}


def _remember(columns: Mapping[str, ColumnValue]) -> dict[str, Written]:
    """Columns that Dataverse confirmed, as they are stored."""
    return {name: Written(value.value, value.stated_at) for name, value in columns.items()}


def build_attempt(conclusion: Conclusion, contact: Contact, now: datetime) -> Attempt | None:
    """The evidence to keep; None where nothing was asked of Dataverse and nothing failed."""
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
    # Some columns of a rejected row may have been written: they need their evidence, too.
    for name in outcome.confirmed if isinstance(outcome, Parked) else ():
        columns[name] = {**columns[name], "confirmed": True}
    status, code, request_id = None, "", ""
    message = _POSTPONED_TEXTS[outcome.cause] if isinstance(outcome, Postponed) else ""
    answer = None if conclusion.reply is None else conclusion.reply.answer
    match answer:
        case Answered():
            status, code, request_id = answer.status, answer.code, answer.request_id
            message = safe_message(answer.message, _list_texts(conclusion, contact), columns) or message
        case Unknown(cause):
            code = cause.value
            message = _UNKNOWN_TEXTS[cause]
        case NotAttempted() | None:
            pass
        case _:
            assert_never(answer)
    advice = outcome.advice if isinstance(outcome, Alerted) else _find_advice(conclusion)
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


def _find_advice(conclusion: Conclusion) -> str:
    """What a person can do about a refused row; empty where nothing was refused."""
    reply = conclusion.reply
    if reply is None or not isinstance(conclusion.outcome, Retried | Parked):
        return ""
    # A look-up that was answered may end in parking, too: it found several rows.
    return reply.entry.advice if isinstance(reply.answer, Answered) and reply.answer.status >= 300 else ""


def _list_texts(conclusion: Conclusion, contact: Contact) -> list[str]:
    """What must not be in a stored message: the identifier, and every text that was sent."""
    sent = (value.value for value in conclusion.sent.values())
    return [contact.identifier, *(value for value in sent if isinstance(value, str))]


def outcome_word(conclusion: Conclusion) -> AttemptOutcome:
    """The word for an outcome, as it is stored, counted and shown."""
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
