"""What an exchange teaches about the limits."""

from datetime import timedelta

import pytest

from didomi_dataverse.dataverse.bulk_body import BulkMessage
from didomi_dataverse.dataverse.calls import AvailabilityCall, BatchCall, BulkCall, Call, Exchange, SingleCall
from didomi_dataverse.dataverse.errors.classify import classify
from didomi_dataverse.dataverse.errors.throttle import AdvertisedLimit, LimitKind
from didomi_dataverse.dataverse.replies import Answer, Answered, NotAttempted, Unknown, UnknownCause
from didomi_dataverse.dataverse.requests import Condition, RowId, Write
from didomi_dataverse.delivery.rate_limit.feedback import (
    CallCost,
    Failure,
    Feedback,
    NoFeedback,
    Success,
    Throttle,
    TooLarge,
    call_cost,
    read_feedback,
)

WRITE = Write(RowId("00000000-0000-4000-8000-00000000000a"), Condition.UPDATE_ONLY, {"donotemail": True})
SECONDS = timedelta(seconds=1)

DONE = Answered(status=204)
TOO_LONG = Answered(status=400, code="0x80044331")
DEADLOCK = Answered(status=500, code="0x80044150")
GATEWAY = Answered(status=502, whole_call=True)
UNAVAILABLE = Answered(status=503, whole_call=True, retry_after=9 * SECONDS)
THROTTLED = Answered(status=429, code="0x80072322", whole_call=True, retry_after=7 * SECONDS)
THROTTLED_PART = Answered(status=429, code="0x80072326", retry_after=3 * SECONDS)
TOO_LARGE = Answered(status=413, whole_call=True)
SQL_TIMEOUT = Answered(status=500, code="0x80044151", whole_call=True)
BAD_ROW = Answered(status=400, code="0x80044331", whole_call=True)
ROW_DEADLOCK = Answered(status=500, code="0x80044150", whole_call=True)
CUT = Unknown(UnknownCause.CUT)
READ_TIMEOUT = Unknown(UnknownCause.READ_TIMEOUT)
DEADLINE = Unknown(UnknownCause.DEADLINE)

BATCH = "batch"
BULK = "bulk"
QUESTION = "question"


def exchange(kind: str, *answers: Answer) -> Exchange:
    writes = [WRITE] * len(answers)
    calls: dict[str, Call] = {
        BATCH: BatchCall(writes),
        BULK: BulkCall(BulkMessage.UPDATE, writes, b""),
        QUESTION: AvailabilityCall(BulkMessage.UPDATE),
    }
    return Exchange(call=calls[kind], replies=tuple(map(classify, answers)), duration=SECONDS)


def throttle(code: str, limit: LimitKind, seconds: int | None) -> Throttle:
    retry_after = None if seconds is None else seconds * SECONDS
    return Throttle(code=code, limit=limit, advertised=None, retry_after=retry_after)


def failure(cause: str, *, seconds: int | None = None, is_timeout: bool = False) -> Failure:
    retry_after = None if seconds is None else seconds * SECONDS
    return Failure(cause=cause, retry_after=retry_after, is_timeout=is_timeout)


@pytest.mark.parametrize(
    ("call", "feedback"),
    [
        pytest.param(exchange(BATCH, DONE, DONE), Success(), id="all written"),
        pytest.param(exchange(BATCH, TOO_LONG, DONE), Success(), id="one row is bad"),
        pytest.param(exchange(BATCH, TOO_LONG, TOO_LONG), Success(), id="all rows are bad"),
        pytest.param(exchange(BATCH, DEADLOCK, DONE), Success(), id="one row failed"),
        pytest.param(exchange(BATCH, DONE, NotAttempted()), Success(), id="the server stopped"),
        pytest.param(
            exchange(BATCH, THROTTLED, THROTTLED),
            throttle("0x80072322", LimitKind.REQUESTS, 7),
            id="throttled",
        ),
        pytest.param(
            exchange(BATCH, DONE, THROTTLED_PART),
            throttle("0x80072326", LimitKind.CONCURRENCY, 3),
            id="a part was throttled",
        ),
        pytest.param(
            exchange(BATCH, THROTTLED_PART, THROTTLED),
            throttle("0x80072326", LimitKind.CONCURRENCY, 7),
            id="the longest pause counts",
        ),
        pytest.param(
            exchange(BATCH, UNAVAILABLE),
            throttle("", LimitKind.NONE, 9),
            id="unavailable, and says for how long",
        ),
        pytest.param(exchange(BATCH, GATEWAY, GATEWAY), failure("502"), id="a gateway's page"),
        pytest.param(exchange(BATCH, CUT, CUT), failure("cut"), id="cut"),
        pytest.param(exchange(BATCH, DONE, CUT), failure("204"), id="cut in the middle of the answer"),
        pytest.param(
            exchange(BATCH, READ_TIMEOUT, READ_TIMEOUT),
            failure("read_timeout", is_timeout=True),
            id="no answer in time",
        ),
        pytest.param(exchange(BATCH, DEADLINE), failure("deadline"), id="one row is not too many"),
        pytest.param(exchange(BATCH, TOO_LARGE, TOO_LARGE), TooLarge(), id="too large"),
        pytest.param(exchange(BATCH, SQL_TIMEOUT, SQL_TIMEOUT), TooLarge(), id="the database took too long"),
        pytest.param(exchange(BATCH, TOO_LARGE), Success(), id="one row cannot be halved"),
        pytest.param(exchange(BULK, BAD_ROW, BAD_ROW), Success(), id="a bulk message with a bad row"),
        pytest.param(
            exchange(BULK, ROW_DEADLOCK, ROW_DEADLOCK), Success(), id="a bulk message that a row made fail"
        ),
        pytest.param(exchange(BATCH, ROW_DEADLOCK, ROW_DEADLOCK), failure("500"), id="a batch that failed"),
        pytest.param(exchange(BULK, GATEWAY, GATEWAY), failure("502"), id="a bulk message that got a page"),
        pytest.param(exchange(QUESTION, Answered(status=200)), NoFeedback(), id="a question was answered"),
        pytest.param(
            exchange(QUESTION, Answered(status=403, whole_call=True)),
            NoFeedback(),
            id="a question was refused",
        ),
        pytest.param(exchange(QUESTION, GATEWAY), failure("502"), id="a question got a page"),
        pytest.param(
            exchange(QUESTION, THROTTLED),
            throttle("0x80072322", LimitKind.REQUESTS, 7),
            id="a question, throttled",
        ),
    ],
)
def test_what_a_call_teaches(call: Exchange, feedback: Feedback) -> None:
    assert read_feedback(call) == feedback


def test_the_text_of_a_throttle_states_the_limit() -> None:
    text = "exceeded the limit of 6000 over time window of 300 seconds"
    found = read_feedback(exchange(BATCH, Answered(status=429, message=text, whole_call=True)))
    assert isinstance(found, Throttle)
    assert found.advertised == AdvertisedLimit(6_000, timedelta(seconds=300))


@pytest.mark.parametrize(
    ("answers", "cost"),
    [
        pytest.param([DONE, DONE], CallCost.MEASURED, id="carried out"),
        pytest.param([GATEWAY] * 2, CallCost.MEASURED, id="a gateway's page"),
        pytest.param([DONE, CUT], CallCost.MEASURED, id="answered in part"),
        pytest.param([DONE, THROTTLED_PART], CallCost.MEASURED, id="admitted, and throttled in a part"),
        pytest.param([THROTTLED] * 2, CallCost.NOTHING, id="throttled"),
        pytest.param([CUT] * 2, CallCost.USUAL, id="never answered"),
    ],
)
def test_what_a_call_costs(answers: list[Answer], cost: CallCost) -> None:
    assert call_cost(exchange(BATCH, *answers)) is cost


def test_a_single_call_teaches_as_a_batch_of_one() -> None:
    single = Exchange(call=SingleCall(WRITE), replies=(classify(GATEWAY),), duration=SECONDS)
    assert read_feedback(single) == read_feedback(exchange(BATCH, GATEWAY))
