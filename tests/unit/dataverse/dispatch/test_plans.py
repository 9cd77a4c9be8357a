"""Which calls each delivery mode plans for a round, also after one that failed or might not be made."""

import json
from collections.abc import Sequence
from datetime import timedelta

import pytest

from didomi_dataverse.dataverse.bulk_body import BulkMessage
from didomi_dataverse.dataverse.calls import AvailabilityCall, BatchCall, BulkCall, Call, Exchange, SingleCall
from didomi_dataverse.dataverse.dispatch.base import NOT_ATTEMPTED, Dispatcher
from didomi_dataverse.dataverse.dispatch.batch import MAX_BATCH_PARTS, BatchDispatcher
from didomi_dataverse.dataverse.dispatch.bulk import BulkDispatcher
from didomi_dataverse.dataverse.dispatch.single import SingleDispatcher
from didomi_dataverse.dataverse.errors.classify import classify
from didomi_dataverse.dataverse.replies import Answer, Answered, Reply, Unknown, UnknownCause
from didomi_dataverse.dataverse.requests import AlternateKey, Condition, LookUp, Request, RowId, Write

DONE = Answered(status=204)
REFUSED = Answered(status=400, code="0x80044331")
THROTTLED = Answered(status=429, whole_call=True)
CUT = Unknown(UnknownCause.CUT)
LOOK_UP = LookUp("emailaddress1", "a@example.com")


def write(number: int, condition: Condition = Condition.UPDATE_ONLY) -> Write:
    return Write(RowId(f"00000000-0000-4000-8000-{number:012}"), condition, {"donotemail": True})


def create(number: int) -> Write:
    return write(number, Condition.CREATE_ONLY)


def run(
    dispatcher: Dispatcher, requests: Sequence[Request], answers: Sequence[Answer | None]
) -> tuple[list[Call], tuple[Reply, ...]]:
    """The calls, each of which gets the next answer for all its requests; None where it may not be made."""
    plan = dispatcher.plan(requests)
    calls: list[Call] = []
    left = list(answers)
    exchange: Exchange | None = None
    try:
        while True:
            call = plan.send(exchange)
            calls.append(call)
            answer = left.pop(0)
            exchange = None if answer is None else exchange_of(call, answer)
    except StopIteration as end:
        assert not left
        replies: tuple[Reply, ...] = end.value
        return calls, replies


def exchange_of(call: Call, answer: Answer) -> Exchange:
    is_available = isinstance(answer, Answered) and answer.status < 300
    return Exchange(
        call=call,
        replies=(classify(answer),) * max(1, len(call.requests)),
        duration=timedelta(seconds=1),
        is_available=is_available if isinstance(call, AvailabilityCall) else None,
    )


def bulk() -> BulkDispatcher:
    """One that knows already that the table has both messages."""
    dispatcher = BulkDispatcher()
    run(dispatcher, [LOOK_UP], [DONE] * 3)
    return dispatcher


def test_a_batch_has_a_hundred_parts_at_most() -> None:
    requests = [write(number) for number in range(MAX_BATCH_PARTS + 1)]
    calls, replies = run(BatchDispatcher(), requests, [DONE, DONE])
    assert calls == [BatchCall(requests[:MAX_BATCH_PARTS]), BatchCall(requests[MAX_BATCH_PARTS:])]
    assert [reply.answer for reply in replies] == [DONE] * len(requests)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param([DONE, DONE, DONE], [DONE, DONE, DONE], id="all well"),
        pytest.param([REFUSED, DONE, DONE], [REFUSED, DONE, DONE], id="a bad row stops nothing"),
        pytest.param([DONE, THROTTLED], [DONE, THROTTLED, None], id="the next would be throttled, too"),
        pytest.param([CUT], [CUT, None, None], id="the next would get no answer, either"),
        pytest.param([DONE, None], [DONE, None, None], id="no permit"),
    ],
)
def test_calls_end_when_the_next_would_fare_the_same(
    answers: list[Answer | None], expected: list[Answer | None]
) -> None:
    requests = [write(number) for number in range(3)]
    calls, replies = run(SingleDispatcher(), requests, answers)
    assert calls == [SingleCall(request) for request in requests[: len(answers)]]
    assert replies == tuple(NOT_ATTEMPTED if answer is None else classify(answer) for answer in expected)


def kinds(calls: Sequence[Call]) -> list[str]:
    return [f"{call.kind.value} {len(call.requests)}" for call in calls]


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        pytest.param([write(1), write(2)], ["UpdateMultiple 2"], id="updates"),
        pytest.param([create(1), create(2)], ["CreateMultiple 2"], id="creations"),
        pytest.param([write(1)], ["batch 1"], id="one update saves nothing as a bulk message"),
        pytest.param([LOOK_UP, write(1), create(2)], ["batch 3"], id="one of each"),
        pytest.param(
            [LOOK_UP, write(1), write(2), create(3), create(4)],
            ["batch 1", "UpdateMultiple 2", "CreateMultiple 2"],
            id="everything",
        ),
        pytest.param(
            [write(1), write(2), write(1)],
            ["UpdateMultiple 2", "batch 1"],
            id="a later write of a row goes later",
        ),
    ],
)
def test_which_requests_go_by_a_bulk_message(requests: list[Request], expected: list[str]) -> None:
    calls, replies = run(bulk(), requests, [DONE] * len(expected))
    assert kinds(calls) == expected
    assert [reply.answer for reply in replies] == [DONE] * len(requests)


@pytest.mark.parametrize(
    ("answers", "expected", "reply"),
    [
        pytest.param([THROTTLED], ["UpdateMultiple 2"], THROTTLED, id="throttled"),
        pytest.param([CUT], ["UpdateMultiple 2"], CUT, id="no answer"),
        pytest.param(
            [Answered(status=400, code="0x80044331", whole_call=True), DONE],
            ["UpdateMultiple 2", "batch 2"],
            DONE,
            id="refused for a row: the batch tells which",
        ),
        pytest.param(
            [Answered(status=501, whole_call=True), DONE],
            ["UpdateMultiple 2", "batch 2"],
            DONE,
            id="the server does not have it",
        ),
        pytest.param([None], ["UpdateMultiple 2"], NOT_ATTEMPTED.answer, id="no permit"),
    ],
)
def test_what_a_refused_bulk_message_leads_to(
    answers: list[Answer | None], expected: list[str], reply: Answer
) -> None:
    calls, replies = run(bulk(), [write(1), write(2)], answers)
    assert kinds(calls) == expected
    assert [found.answer for found in replies] == [reply] * 2


def test_a_message_that_the_table_does_not_have_is_reported_once() -> None:
    reported: list[tuple[BulkMessage, int | None]] = []
    dispatcher = BulkDispatcher(on_unavailable=lambda message, status: reported.append((message, status)))
    missing = Answered(status=404, whole_call=True)
    run(dispatcher, [LOOK_UP], [missing, DONE, DONE])
    run(dispatcher, [write(1), write(2)], [Answered(status=501, whole_call=True), DONE])
    calls, _ = run(dispatcher, [write(1), write(2)], [DONE])
    assert kinds(calls) == ["batch 2"]
    assert reported == [(BulkMessage.CREATE, None), (BulkMessage.UPDATE, 501)]


def test_bulk_calls_carry_the_writes_as_they_were_asked_for() -> None:
    calls, _ = run(bulk(), [write(1), write(2)], [DONE])
    (call,) = calls
    assert isinstance(call, BulkCall)
    assert call.writes == [write(1), write(2)]


def test_each_write_goes_to_the_row_that_its_own_key_resolved_to() -> None:
    """Rows that change places would give one person's refusal to another."""
    refusals = (True, False, True, False)
    keys = [AlternateKey("new_didomikey", f"person-{number}") for number in range(len(refusals))]
    rows = ["a" * 8 + f"-0000-4000-8000-{number:012}" for number in range(len(refusals))]
    missing = 1
    plan = bulk().plan(
        [
            Write(key, Condition.UPDATE_ONLY, {"donotbulkemail": refuses})
            for key, refuses in zip(keys, refusals, strict=True)
        ]
    )

    resolving = plan.send(None)
    found = [
        classify(Answered(status=404) if number == missing else Answered(status=200, row_ids=(row,)))
        for number, row in enumerate(rows)
    ]
    updating = plan.send(Exchange(call=resolving, replies=tuple(found), duration=timedelta(seconds=1)))

    assert isinstance(updating, BulkCall)
    assert {each["contactid"]: each["donotbulkemail"] for each in json.loads(updating.body)["Targets"]} == {
        row: refuses
        for number, (row, refuses) in enumerate(zip(rows, refusals, strict=True))
        if number != missing
    }
