"""What a round's replies say together: which refusals are a row's own, and which stop the sender."""

import pytest

from didomi_dataverse.dataverse.errors.classify import classify
from didomi_dataverse.dataverse.replies import Answer, Answered, NotAttempted, Unknown, UnknownCause
from didomi_dataverse.dataverse.requests import Condition, LookUp, RowId, Write
from didomi_dataverse.delivery.verdict import MAX_SINGLE_ROW_FAULTS, RowResult, Verdict, judge

WRITE = Write(RowId("00000000-0000-4000-8000-00000000000a"), Condition.UPDATE_ONLY, {"donotemail": True})
LOOK_UP = LookUp("emailaddress1", "a@example.com")

DONE = Answered(status=204)
FOUND = Answered(status=200)
TOO_LONG = Answered(status=400, code="0x80044331")
NO_COLUMN = Answered(status=400, code="0x80048d19")
FORBIDDEN = Answered(status=403, code="0x80040220")
UNAUTHORISED = Answered(status=401, whole_call=True)
NO_SUCH_KEY = Answered(status=404, code="0x80060891")
DEADLOCK = Answered(status=500, code="0x80044150")
THROTTLED = Answered(status=429, whole_call=True)
REFUSED_CALL = Answered(status=400, code="0x80048d19", whole_call=True)
TIMED_OUT_CALL = Answered(status=500, code="0x80044151", whole_call=True)
CUT = Unknown(UnknownCause.CUT)


def written(answer: Answer, *, is_partial: bool = False) -> RowResult:
    return RowResult(WRITE, classify(answer, Condition.UPDATE_ONLY), is_partial)


def looked_up(answer: Answer) -> RowResult:
    return RowResult(LOOK_UP, classify(answer))


def verdict(*results: RowResult, faults: int = 0, is_alerted: bool = False) -> Verdict:
    return judge(results, single_row_faults=faults, is_alerted=is_alerted)


@pytest.mark.parametrize(
    ("results", "stops"),
    [
        pytest.param([written(DONE)], False, id="written"),
        pytest.param([written(TOO_LONG)], False, id="a bad row"),
        pytest.param([written(TOO_LONG)] * 2, False, id="two bad rows"),
        pytest.param([written(NO_SUCH_KEY)] * 2, False, id="missing rows"),
        pytest.param([written(DEADLOCK)] * 2, False, id="failures that pass"),
        pytest.param([written(THROTTLED)] * 2, False, id="throttled"),
        pytest.param([written(CUT)] * 2, False, id="no answer"),
        pytest.param([written(NotAttempted())] * 2, False, id="not attempted"),
        pytest.param([written(FORBIDDEN)], True, id="a right is missing"),
        pytest.param([written(UNAUTHORISED)] * 2, True, id="the token is refused"),
        pytest.param([looked_up(FORBIDDEN)], True, id="the table may not be read"),
        pytest.param([written(FORBIDDEN), written(DONE)], False, id="a right is missing for one row only"),
        pytest.param([written(FORBIDDEN), looked_up(FOUND)], True, id="a look-up shows no right to write"),
        pytest.param([written(NO_COLUMN)], False, id="a fault of the mapping, or one bad row"),
        pytest.param([written(NO_COLUMN)] * 2, True, id="a fault of the mapping in every row"),
        pytest.param([written(NO_COLUMN), written(TOO_LONG)], False, id="not in every row"),
        pytest.param([written(NO_COLUMN), written(NO_COLUMN), written(DONE)], False, id="one was written"),
    ],
)
def test_what_every_row_shares_stops_the_sender(results: list[RowResult], *, stops: bool) -> None:
    found = verdict(*results)
    assert found.stops_sender is stops
    assert (found.shared_refusal is not None) is stops


@pytest.mark.parametrize(
    ("results", "is_healthy"),
    [
        pytest.param([written(DONE)], True, id="written"),
        pytest.param([looked_up(FOUND)], True, id="found"),
        pytest.param([written(TOO_LONG)], True, id="refused for its own sake"),
        pytest.param([written(NO_SUCH_KEY)], True, id="missing"),
        pytest.param([written(FORBIDDEN), written(DONE)], True, id="one of them"),
        pytest.param([written(DEADLOCK)], False, id="it may pass"),
        pytest.param([written(THROTTLED)], False, id="throttled"),
        pytest.param([written(CUT)], False, id="no answer"),
        pytest.param([written(NotAttempted())], False, id="not attempted"),
        pytest.param([written(FORBIDDEN)], False, id="stopped"),
        pytest.param([written(REFUSED_CALL)] * 2, False, id="a whole call says nothing of a row"),
    ],
)
def test_what_shows_that_the_sender_may_go_on(results: list[RowResult], *, is_healthy: bool) -> None:
    assert verdict(*results).is_healthy is is_healthy


@pytest.mark.parametrize(
    ("results", "to_split"),
    [
        pytest.param([written(REFUSED_CALL)] * 3, {0, 1, 2}, id="one of three rows is bad"),
        pytest.param([written(REFUSED_CALL)], set(), id="it is this row"),
        pytest.param([written(TIMED_OUT_CALL)] * 2, {0, 1}, id="fewer rows may do"),
        pytest.param([written(DONE), *[written(REFUSED_CALL)] * 2], {1, 2}, id="another call went well"),
        pytest.param([written(DONE), written(REFUSED_CALL)], set(), id="alone in its call"),
        pytest.param([written(THROTTLED)] * 2, set(), id="throttled for no row's sake"),
        pytest.param([written(UNAUTHORISED)] * 2, set(), id="refused for who asks"),
        pytest.param([written(TOO_LONG)] * 2, set(), id="each row has an answer of its own"),
    ],
)
def test_a_call_that_was_refused_for_one_of_its_rows_is_split(
    results: list[RowResult], to_split: set[int]
) -> None:
    assert verdict(*results).to_split == to_split


def test_nothing_stops_the_sender_before_the_bad_row_is_found() -> None:
    found = verdict(written(REFUSED_CALL), written(REFUSED_CALL))
    assert found.shared_refusal is not None
    assert not found.stops_sender


def test_single_rows_that_fail_for_the_mapping_one_after_another_show_its_fault() -> None:
    faults = 0
    stops: list[bool] = []
    for _ in range(MAX_SINGLE_ROW_FAULTS):
        found = verdict(written(NO_COLUMN), faults=faults)
        faults, stops = found.single_row_faults, [*stops, found.stops_sender]
    assert stops == [False] * (MAX_SINGLE_ROW_FAULTS - 1) + [True]


@pytest.mark.parametrize(
    ("results", "faults"),
    [
        pytest.param([written(NO_COLUMN)], 3, id="one more"),
        pytest.param([written(DONE)], 0, id="a row was written"),
        pytest.param([written(DONE, is_partial=True)], 2, id="only the refusals of a row were written"),
        pytest.param([written(NO_COLUMN), written(DONE, is_partial=True)], 3, id="beside another's refusals"),
        pytest.param([written(NO_COLUMN)] * 2, 2, id="a call of two is its own proof"),
        pytest.param([written(TOO_LONG)], 2, id="another fault"),
        pytest.param([looked_up(FOUND)], 2, id="a look-up proves nothing"),
    ],
)
def test_what_counts_as_one_more_fault_of_the_mapping(results: list[RowResult], faults: int) -> None:
    assert verdict(*results, faults=2).single_row_faults == faults


def test_a_stopped_sender_takes_one_row_for_proof() -> None:
    """It asks with one call whether the cause is gone."""
    assert verdict(written(NO_COLUMN), is_alerted=True).stops_sender
    assert not verdict(written(DONE), is_alerted=True).stops_sender
