"""What an exchange teaches about the limits: a throttle, a failure, a call that was too large, or a
success.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from didomi_dataverse.dataverse.bulk_body import is_row_refusal
from didomi_dataverse.dataverse.calls import CallKind, Exchange
from didomi_dataverse.dataverse.errors.classify import is_too_large
from didomi_dataverse.dataverse.errors.entry import Action
from didomi_dataverse.dataverse.errors.throttle import (
    AdvertisedLimit,
    LimitKind,
    find_limit,
    parse_advertised,
)
from didomi_dataverse.dataverse.replies import Answered, NotAttempted, Reply, Unknown, UnknownCause


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """Dataverse asked to wait."""

    code: str
    """The error code; empty without one."""

    limit: LimitKind
    """Which limit was met."""

    advertised: AdvertisedLimit | None
    """What the answer says of it; None when it says nothing."""

    retry_after: timedelta | None
    """The pause that was asked for; None without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The call failed as a whole, for a reason that is not one of its rows."""

    cause: str
    """In a word: the cause of an unknown outcome, or the HTTP status."""

    retry_after: timedelta | None
    """The pause that was asked for; None without one."""

    is_timeout: bool
    """Whether several rows ran out of time: the call may have been too large."""


@dataclass(frozen=True, slots=True)
class TooLarge:
    """Dataverse took too long for so many rows, or refused them for their size."""


@dataclass(frozen=True, slots=True)
class Success:
    """The call was carried out, whatever became of single rows."""


@dataclass(frozen=True, slots=True)
class NoFeedback:
    """A question about the table was answered: that shows nothing of writes."""


Feedback = Throttle | Failure | TooLarge | Success | NoFeedback


class CallCost(StrEnum):
    """How much of the limits a call used."""

    NOTHING = "nothing"
    """It was not admitted."""

    USUAL = "usual"
    """It was never answered, so how long it kept the server busy is not known."""

    MEASURED = "measured"
    """As long as it took."""


def read_feedback(exchange: Exchange) -> Feedback:
    """What the call teaches."""
    throttle = _find_throttle(exchange)
    rows = len(exchange.call.requests)
    if throttle is not None:
        return Throttle(
            code=throttle.code,
            limit=find_limit(throttle.code, throttle.status),
            advertised=parse_advertised(throttle.message),
            retry_after=_longest_retry_after(exchange),
        )
    if any(_is_lost(reply, exchange.call.kind) for reply in exchange.replies):
        return Failure(
            cause=_name_cause(exchange.replies[0]),
            retry_after=_longest_retry_after(exchange),
            is_timeout=rows > 1 and any(map(_is_timeout, exchange.replies)),
        )
    if rows > 1 and any(map(is_too_large, exchange.replies)):
        return TooLarge()
    return NoFeedback() if exchange.call.kind is CallKind.METADATA else Success()


def call_cost(exchange: Exchange) -> CallCost:
    """What to charge for the call."""
    throttle = _find_throttle(exchange)
    if throttle is not None and throttle.whole_call:
        return CallCost.NOTHING
    is_answered = any(not isinstance(reply.answer, Unknown) for reply in exchange.replies)
    return CallCost.MEASURED if is_answered else CallCost.USUAL


def _find_throttle(exchange: Exchange) -> Answered | None:
    for reply in exchange.replies:
        if isinstance(reply.answer, Answered) and reply.entry.action is Action.WAIT:
            return reply.answer
    return None


def _longest_retry_after(exchange: Exchange) -> timedelta | None:
    answers = [reply.answer for reply in exchange.replies if isinstance(reply.answer, Answered)]
    waits = [answer.retry_after for answer in answers if answer.retry_after is not None]
    return max(waits, default=None)


def _is_lost(reply: Reply, kind: CallKind) -> bool:
    """Whether the call failed as a whole, for a reason that is not one of its rows."""
    match reply.answer:
        case Unknown():
            return True
        case NotAttempted():
            return False
        case Answered():
            is_bulk = kind in {CallKind.CREATE_MULTIPLE, CallKind.UPDATE_MULTIPLE}
            if not reply.is_whole_call or (is_bulk and is_row_refusal(reply)):
                return False
            return reply.action_alone is Action.RETRY and not is_too_large(reply)


def _is_timeout(reply: Reply) -> bool:
    answer = reply.answer
    return isinstance(answer, Unknown) and answer.cause in {UnknownCause.READ_TIMEOUT, UnknownCause.DEADLINE}


def _name_cause(reply: Reply) -> str:
    match reply.answer:
        case Unknown(cause):
            return cause.value
        case Answered(status=status):
            return str(status)
        case NotAttempted():
            return "none"
