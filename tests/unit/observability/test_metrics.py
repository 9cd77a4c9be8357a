"""Calls are counted as the limits count them, rows as the entitlement does (dataverse.md 4.1, 4.2)."""

from datetime import timedelta

import pytest

from didomi_dataverse.dataverse.replies import (
    Answered,
    CallKind,
    Exchange,
    NotAttempted,
    Reply,
    Unknown,
    UnknownCause,
)
from didomi_dataverse.dataverse.requests import AlternateKey, Condition, LookUp, Request, Resolve, Write
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


def counted(kind: CallKind, requests: list[Request], replies: list[Reply]) -> dict[str, float]:
    """Every sample of the two counters, by its labels."""
    metrics = Metrics()
    exchange = Exchange(replies=tuple(replies), duration=timedelta(seconds=1), kind=kind)
    metrics.exchanged(requests, exchange)
    return {
        " ".join(sample.labels.values()): sample.value
        for family in metrics.registry.collect()
        if family.name in {"dataverse_calls", "dataverse_operations"}
        for sample in family.samples
        if sample.name.endswith("_total")
    }


@pytest.mark.parametrize(
    ("kind", "requests", "replies", "expected"),
    [
        pytest.param(
            CallKind.BATCH,
            [UPDATE, UPDATE, CREATE, LOOK_UP, RESOLVE],
            [DONE, REFUSED, DONE, DONE, DONE],
            {"batch 200": 1, "update": 2, "create": 1, "read": 2},
            id="one call, and every part for itself",
        ),
        pytest.param(
            CallKind.UPDATE_MULTIPLE,
            [UPDATE] * 3,
            [DONE] * 3,
            {"UpdateMultiple 200": 1, "update": 3},
            id="every row of a bulk message",
        ),
        pytest.param(
            CallKind.CREATE_MULTIPLE,
            [CREATE] * 3,
            [Answered(status=412, code="0x80060892", whole_call=True)] * 3,
            {"CreateMultiple 412": 1},
            id="nothing was done by a refused one",
        ),
        pytest.param(CallKind.SINGLE, [UPDATE], [DONE], {"single 200": 1, "update": 1}, id="one by one"),
        pytest.param(CallKind.BATCH, [UPDATE] * 2, [THROTTLED] * 2, {"batch 429": 1}, id="throttled"),
        pytest.param(CallKind.BATCH, [UPDATE], [CUT], {"batch none": 1}, id="no answer"),
        pytest.param(
            CallKind.BATCH,
            [UPDATE, UPDATE],
            [DONE, NotAttempted()],
            {"batch 200": 1, "update": 1},
            id="the server stopped",
        ),
        pytest.param(CallKind.METADATA, [], [DONE], {"metadata 200": 1}, id="a question about the table"),
    ],
)
def test_calls_and_rows(
    kind: CallKind, requests: list[Request], replies: list[Reply], expected: dict[str, float]
) -> None:
    assert counted(kind, requests, replies) == expected
