"""Calls are counted as the limits count them, rows as the entitlement does (dataverse.md 4.1, 4.2)."""

from datetime import timedelta

import pytest

from didomi_dataverse.dataverse.bulk_body import BulkMessage
from didomi_dataverse.dataverse.calls import AvailabilityCall, BatchCall, BulkCall, Call, Exchange, SingleCall
from didomi_dataverse.dataverse.errors.classify import classify
from didomi_dataverse.dataverse.replies import Answer, Answered, NotAttempted, Unknown, UnknownCause
from didomi_dataverse.dataverse.requests import AlternateKey, Condition, LookUp, Resolve, Write
from didomi_dataverse.observability.metrics import Metrics

KEY = AlternateKey("new_didomikey", "u-1")
UPDATE = Write(KEY, Condition.UPDATE_ONLY, {"donotemail": True})
CREATE = Write(KEY, Condition.CREATE_ONLY, {"donotemail": True})
LOOK_UP = LookUp("emailaddress1", "a@example.com")
RESOLVE = Resolve(KEY)
DONE = Answered(status=204)
CUT = Unknown(UnknownCause.CUT)
REFUSED = Answered(status=400, code="0x80044331")
THROTTLED = Answered(status=429, whole_call=True)


def counted(call: Call, answers: list[Answer]) -> dict[str, float]:
    """Every sample of the two counters, by its labels."""
    metrics = Metrics()
    replies = tuple(map(classify, answers))
    metrics.on_call(Exchange(call=call, replies=replies, duration=timedelta(seconds=1)))
    return {
        " ".join(sample.labels.values()): sample.value
        for family in metrics.registry.collect()
        if family.name in {"dataverse_calls", "dataverse_operations"}
        for sample in family.samples
        if sample.name.endswith("_total")
    }


@pytest.mark.parametrize(
    ("call", "answers", "expected"),
    [
        pytest.param(
            BatchCall([UPDATE, UPDATE, CREATE, LOOK_UP, RESOLVE]),
            [DONE, REFUSED, DONE, DONE, DONE],
            {"batch 200": 1, "update": 2, "create": 1, "read": 2},
            id="one call, and every part for itself",
        ),
        pytest.param(
            BulkCall(BulkMessage.UPDATE, [UPDATE] * 3, b""),
            [DONE] * 3,
            {"UpdateMultiple 200": 1, "update": 3},
            id="every row of a bulk message",
        ),
        pytest.param(
            BulkCall(BulkMessage.CREATE, [CREATE] * 3, b""),
            [Answered(status=412, code="0x80060892", whole_call=True)] * 3,
            {"CreateMultiple 412": 1},
            id="nothing was done by a refused one",
        ),
        pytest.param(SingleCall(UPDATE), [DONE], {"single 200": 1, "update": 1}, id="one by one"),
        pytest.param(BatchCall([UPDATE] * 2), [THROTTLED] * 2, {"batch 429": 1}, id="throttled"),
        pytest.param(BatchCall([UPDATE]), [CUT], {"batch none": 1}, id="no answer"),
        pytest.param(
            BatchCall([UPDATE, UPDATE]),
            [DONE, NotAttempted()],
            {"batch 200": 1, "update": 1},
            id="the server stopped",
        ),
        pytest.param(
            AvailabilityCall(BulkMessage.UPDATE), [DONE], {"metadata 200": 1}, id="a question about the table"
        ),
    ],
)
def test_calls_and_rows(call: Call, answers: list[Answer], expected: dict[str, float]) -> None:
    assert counted(call, answers) == expected
