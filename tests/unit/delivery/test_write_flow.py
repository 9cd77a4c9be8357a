"""Each way a contact's write flow can go: what is asked, in which order, and what it comes to."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from didomi_dataverse.dataverse.errors.classify import classify
from didomi_dataverse.dataverse.replies import Answer, Answered, NotAttempted, Unknown, UnknownCause
from didomi_dataverse.dataverse.requests import (
    AlternateKey,
    Condition,
    JsonScalar,
    LookUp,
    RowId,
    Write,
    condition_of,
)
from didomi_dataverse.delivery.outcome import (
    Alerted,
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
from didomi_dataverse.delivery.write_flow import MatchBy, MatchPolicy, OnMany, WriteFlow, write_flow
from didomi_dataverse.ledger.delivery_state import Contact, DeliveryState, Written
from didomi_dataverse.mapping.apply import ColumnValue, ColumnValues

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROW = "11111111-1111-1111-1111-111111111111"
OTHER_ROW = "22222222-2222-2222-2222-222222222222"

DONE = Answered(status=204)
NO_SUCH_KEY = Answered(status=404, code="0x80060891")
NO_SUCH_ROW = Answered(status=404, code="0x80040217")
EXISTS = Answered(status=412, code="0x80040237")
RACE_LOST = Answered(status=412, code="0x80060892")
TOO_LONG = Answered(status=400, code="0x80044331")
FORBIDDEN = Answered(status=403, code="0x80040220")
THROTTLED = Answered(status=429, retry_after=timedelta(seconds=7), whole_call=True)
GATEWAY = Answered(status=502, whole_call=True)
DEADLOCK = Answered(status=500, code="0x80044150")
CUT = Unknown(UnknownCause.CUT)
UNREACHABLE = Unknown(UnknownCause.CONNECT_FAILED, sent=False)

BY_KEY = MatchPolicy(by=MatchBy.ALTERNATE_KEY, column="new_didomikey")
BY_COLUMN = MatchPolicy(by=MatchBy.COLUMN, column="emailaddress1")
BY_ID = MatchPolicy(by=MatchBy.CONTACT_ID)
MAY_CREATE: Mapping[str, JsonScalar] = {"lastname": "Unknown"}


def value(column: str, setting: JsonScalar, *, stated_at: datetime | None = NOON) -> ColumnValue:
    return ColumnValue(
        column=column,
        value=setting,
        stated_at=stated_at,
        rule=f"mapping.gdpr.purposes.{column}",
        sources=("E1",),
        notifications=("n1",),
        withdrawal=setting is False,
    )


NEWSLETTER = value("new_newsletter", False)
VALUES = ColumnValues({"new_newsletter": NEWSLETTER})
CREATION = {"new_newsletter": NEWSLETTER, "new_language": value("new_language", None, stated_at=None)}


def contact(
    identifier: str = "u-42", *, written: Mapping[str, Written] | None = None, row_id: str | None = None
) -> Contact:
    return Contact(
        contact_id=1,
        key=identifier,
        identifier=identifier,
        registers={},
        revision=3,
        state=DeliveryState.DELIVERING,
        due_at=NOON,
        written=written or {},
        row_id=row_id,
    )


def found(*row_ids: str) -> Answered:
    return Answered(status=200, row_ids=row_ids)


class Asked:
    """A flow, and everything that it asked."""

    def __init__(self, flow: WriteFlow) -> None:
        self._flow = flow
        self.requests = [next(flow)]

    def answer(self, answer: Answer) -> Write | LookUp:
        """The next request, after this answer to the last one. StopIteration when the flow ended."""
        reply = classify(answer, condition_of(self.requests[-1]))
        self.requests.append(self._flow.send(reply))
        return self.requests[-1]

    def finish(self, *answers: Answer) -> Conclusion:
        """How it ended. Fails when it asks more or less than there are answers."""
        before = len(self.requests)
        try:
            for answer in answers:
                self.answer(answer)
        except StopIteration as end:
            assert len(self.requests) - before == len(answers) - 1
            conclusion: Conclusion = end.value
            return conclusion
        raise AssertionError(f"still asks {self.requests[-1]}")


def finish(
    whose: Contact, policy: MatchPolicy, *answers: Answer, values: ColumnValues = VALUES
) -> tuple[list[Write | LookUp], Conclusion]:
    """Everything asked for a contact, and how it ended."""
    asked = Asked(write_flow(whose, values, CREATION, policy))
    conclusion = asked.finish(*answers)
    return asked.requests, conclusion


def with_upsert(policy: MatchPolicy) -> MatchPolicy:
    return MatchPolicy(
        by=policy.by, column=policy.column, upsert=True, on_many=policy.on_many, on_create=MAY_CREATE
    )


UPDATE = Write(AlternateKey("new_didomikey", "u-42"), Condition.UPDATE_ONLY, {"new_newsletter": False})


def test_a_safe_identifier_is_written_by_its_key_in_one_request() -> None:
    asked, conclusion = finish(contact(), BY_KEY, DONE)
    assert asked == [UPDATE]
    assert conclusion.outcome == Delivered(columns={"new_newsletter": NEWSLETTER}, created=False, row_id=None)


def test_an_identifier_that_no_url_can_carry_is_looked_up_and_written_by_guid() -> None:
    asked, conclusion = finish(contact("a+b@example.com"), BY_KEY, found(ROW), DONE)
    assert asked == [
        LookUp("new_didomikey", "a+b@example.com", at_most=2),
        Write(RowId(ROW), Condition.UPDATE_ONLY, {"new_newsletter": False}),
    ]
    assert isinstance(conclusion.outcome, Delivered)
    assert conclusion.outcome.row_id == ROW


def test_matching_by_contactid_writes_by_guid() -> None:
    asked, _ = finish(contact(ROW), BY_ID, DONE)
    assert asked == [Write(RowId(ROW), Condition.UPDATE_ONLY, {"new_newsletter": False})]


def test_what_dataverse_already_holds_is_not_asked_about() -> None:
    known = contact(written={"new_newsletter": Written(False, NOON)})
    flow = write_flow(known, VALUES, CREATION, BY_KEY)
    with pytest.raises(StopIteration) as end:
        next(flow)
    assert end.value.value.outcome == NothingToWrite()


def test_another_row_than_last_time_gets_everything_again() -> None:
    """What was confirmed for a row that is gone says nothing about the one that took its place."""
    language = value("new_language", "fr")
    flow = write_flow(
        contact("a@b", written={"new_language": Written("fr", NOON)}, row_id=ROW),
        ColumnValues({"new_newsletter": NEWSLETTER, "new_language": language}),
        CREATION,
        BY_COLUMN,
    )
    asked = Asked(flow)
    assert asked.answer(found(OTHER_ROW)) == Write(
        RowId(OTHER_ROW), Condition.UPDATE_ONLY, {"new_newsletter": False, "new_language": "fr"}
    )
    outcome = asked.finish(DONE).outcome
    assert isinstance(outcome, Delivered)
    assert outcome.is_other_row


@pytest.mark.parametrize(
    ("policy", "answers"),
    [
        pytest.param(BY_KEY, [NO_SUCH_KEY], id="no row with this key"),
        pytest.param(BY_COLUMN, [found()], id="no row with this value"),
        pytest.param(BY_ID, [NO_SUCH_ROW], id="no row with this id"),
        pytest.param(
            BY_COLUMN, [found(ROW), NO_SUCH_ROW, found(ROW), NO_SUCH_ROW], id="the row vanishes each time"
        ),
    ],
)
def test_a_missing_row_is_unmatched_and_never_created(policy: MatchPolicy, answers: list[Answer]) -> None:
    asked, conclusion = finish(contact(ROW), policy, *answers)
    assert conclusion.outcome == Unmatched()
    assert not any(isinstance(one, Write) and one.condition is Condition.CREATE_ONLY for one in asked)


def test_a_row_that_was_merged_is_looked_up_again_and_never_doubled() -> None:
    """With creating allowed, a stale GUID must not look like a missing person."""
    policy = with_upsert(BY_COLUMN)
    asked, conclusion = finish(contact("a@b"), policy, found(ROW), NO_SUCH_ROW, found(OTHER_ROW), DONE)
    assert [type(one) for one in asked] == [LookUp, Write, LookUp, Write]
    assert isinstance(conclusion.outcome, Delivered)
    assert conclusion.outcome.row_id == OTHER_ROW


@pytest.mark.parametrize(
    ("identifier", "policy"),
    [
        pytest.param("no-guid", BY_ID, id="no GUID"),
        pytest.param("a\x00b", BY_COLUMN, id="a character that no URL can hold"),
    ],
)
def test_an_identifier_that_no_request_can_carry_is_parked(identifier: str, policy: MatchPolicy) -> None:
    flow = write_flow(contact(identifier), VALUES, CREATION, policy)
    with pytest.raises(StopIteration) as end:
        next(flow)
    assert end.value.value.outcome == Parked(ParkReason.UNSENDABLE)


def test_creating_writes_every_mapped_column_and_the_constants() -> None:
    """A new row's defaults allow everything, so nothing may be left to them (dataverse.md 6.2)."""
    asked, conclusion = finish(contact(), with_upsert(BY_KEY), NO_SUCH_KEY, DONE)
    assert asked == [
        UPDATE,
        Write(
            AlternateKey("new_didomikey", "u-42"),
            Condition.CREATE_ONLY,
            {"lastname": "Unknown", "new_newsletter": False, "new_language": None},
        ),
    ]
    assert isinstance(conclusion.outcome, Delivered)
    assert conclusion.outcome.created
    assert conclusion.outcome.columns == CREATION


def test_a_looked_up_row_is_created_under_a_guid_that_is_always_the_same() -> None:
    """So that repeating a creation whose answer was lost cannot make a second row."""
    first, _ = finish(contact("a@b"), with_upsert(BY_COLUMN), found(), DONE)
    again, _ = finish(contact("a@b"), with_upsert(BY_COLUMN), found(), DONE)
    assert first == again
    created = first[1]
    assert isinstance(created, Write)
    assert isinstance(created.key, RowId)
    assert created.columns["emailaddress1"] == "a@b"


@pytest.mark.parametrize("lost", [EXISTS, RACE_LOST], ids=["same row", "same key"])
def test_a_lost_race_to_create_becomes_an_update(lost: Answer) -> None:
    asked, conclusion = finish(contact(), with_upsert(BY_KEY), NO_SUCH_KEY, lost, DONE)
    assert asked[2] == UPDATE
    assert isinstance(conclusion.outcome, Delivered)
    assert not conclusion.outcome.created


def test_a_row_that_exists_but_cannot_be_found_is_parked() -> None:
    _, conclusion = finish(contact(), with_upsert(BY_KEY), NO_SUCH_KEY, EXISTS, NO_SUCH_KEY, EXISTS)
    assert conclusion.outcome == Parked(ParkReason.HIDDEN_ROW)


def test_several_rows_are_parked_unless_all_are_wanted() -> None:
    _, conclusion = finish(contact("a@b"), BY_COLUMN, found(ROW, OTHER_ROW))
    assert conclusion.outcome == Parked(ParkReason.SEVERAL_ROWS)


def test_all_matching_rows_are_written_when_asked_for() -> None:
    every = MatchPolicy(by=MatchBy.COLUMN, column="emailaddress1", on_many=OnMany.ALL)
    asked, conclusion = finish(contact("a@b"), every, found(OTHER_ROW, ROW), DONE, DONE)
    assert [one.key for one in asked if isinstance(one, Write)] == [RowId(ROW), RowId(OTHER_ROW)]
    assert isinstance(conclusion.outcome, Delivered)
    assert conclusion.outcome.row_id == f"{ROW},{OTHER_ROW}"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        pytest.param(TOO_LONG, Parked(ParkReason.REJECTED), id="this row cannot be written"),
        pytest.param(
            THROTTLED, Postponed(PostponeCause.THROTTLED, timedelta(seconds=7)), id="a throttle is no attempt"
        ),
        pytest.param(NotAttempted(), Postponed(PostponeCause.NOT_REACHED), id="not reached"),
        pytest.param(
            UNREACHABLE,
            Postponed(PostponeCause.UNREACHABLE),
            id="never sent",
        ),
        pytest.param(CUT, Retried(max_attempts=None), id="outcome unknown"),
        pytest.param(GATEWAY, Retried(max_attempts=None), id="the whole call failed"),
        pytest.param(DEADLOCK, Retried(max_attempts=5), id="this row failed"),
    ],
)
@pytest.mark.parametrize("policy", [BY_KEY, BY_COLUMN], ids=["writing", "looking up"])
def test_a_reply_means_what_the_catalogue_says(answer: Answer, outcome: Outcome, policy: MatchPolicy) -> None:
    _, conclusion = finish(contact(), policy, answer)
    assert conclusion.outcome == outcome
    assert conclusion.reply is not None
    assert conclusion.reply.answer == answer


REMARK = value("new_remark", "a very long remark")
MIXED = ColumnValues({"new_newsletter": NEWSLETTER, "new_remark": REMARK})


def finish_mixed(*answers: Answer) -> tuple[list[Write | LookUp], Conclusion]:
    """A flow that writes a refusal and a remark."""
    return finish(contact(), BY_KEY, *answers, values=MIXED)


def test_a_row_that_is_rejected_still_gets_its_refusals() -> None:
    """A remark that is too long must not keep a refusal out of the CRM until a person looks."""
    asked, conclusion = finish_mixed(TOO_LONG, DONE)
    assert asked[1] == UPDATE
    assert conclusion.outcome == Parked(ParkReason.REJECTED, {"new_newsletter": NEWSLETTER})
    assert conclusion.reply is not None
    assert conclusion.reply.answer == TOO_LONG


def test_refusals_that_are_rejected_too_are_parked_with_the_rest() -> None:
    _, conclusion = finish_mixed(TOO_LONG, TOO_LONG)
    assert conclusion.outcome == Parked(ParkReason.REJECTED)


def test_refusals_that_cannot_be_tried_now_are_not_given_up() -> None:
    _, conclusion = finish_mixed(TOO_LONG, THROTTLED)
    assert isinstance(conclusion.outcome, Postponed)


def test_a_refusal_that_a_person_must_mend_is_an_alert_with_advice() -> None:
    _, conclusion = finish(contact(), BY_KEY, FORBIDDEN)
    assert isinstance(conclusion.outcome, Alerted)
    assert "prvWriteContact" in conclusion.outcome.advice


@pytest.mark.parametrize("answer", [TOO_LONG, THROTTLED, CUT], ids=["rejected", "throttled", "cut"])
def test_a_creation_that_fails_is_never_taken_for_done(answer: Answer) -> None:
    _, conclusion = finish(contact(), with_upsert(BY_KEY), NO_SUCH_KEY, answer)
    assert not isinstance(conclusion.outcome, Delivered)
    assert conclusion.sent == CREATION


def test_a_row_that_was_created_anew_gets_every_column() -> None:
    """What was confirmed was another row's: the first refusal must be told to this one, too."""
    known = {"new_newsletter": Written(False, NOON), "new_language": Written("en", NOON)}
    french = value("new_language", "fr")
    values = ColumnValues({"new_newsletter": NEWSLETTER, "new_language": french})
    asked = Asked(write_flow(contact(written=known), values, CREATION, with_upsert(BY_KEY)))
    asked.answer(NO_SUCH_KEY)
    again = asked.answer(EXISTS)
    assert isinstance(again, Write)
    assert again.columns == {"new_newsletter": False, "new_language": "fr"}


def test_refusals_are_written_to_all_rows_of_a_person_before_they_count_as_confirmed() -> None:
    every = MatchPolicy(by=MatchBy.COLUMN, column="emailaddress1", on_many=OnMany.ALL)

    def outcome(*answers: Answer) -> Outcome:
        _, conclusion = finish(contact("a@b"), every, found(ROW, OTHER_ROW), *answers, values=MIXED)
        return conclusion.outcome

    assert outcome(TOO_LONG, DONE, DONE) == Parked(ParkReason.REJECTED, {"new_newsletter": NEWSLETTER})
    assert outcome(TOO_LONG, DONE, TOO_LONG) == Parked(ParkReason.REJECTED)
