"""What is stored for each outcome, and when a contact is tried again."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.delivery.claims import EARLIER, NOW, claim

from didomi_dataverse.dataverse.errors.classify import classify
from didomi_dataverse.dataverse.replies import Answered, Unknown, UnknownCause
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
from didomi_dataverse.delivery.retry import LONGEST_RECHECK
from didomi_dataverse.delivery.settle import settle
from didomi_dataverse.ledger.delivery_state import (
    Claim,
    DeliveryState,
    Move,
    Settlement,
    Written,
    next_state,
)
from didomi_dataverse.mapping.apply import ColumnValue

NEWS = ColumnValue("new_newsletter", False, NOW, "mapping.gdpr.purposes.newsletter", ("E1",), ("n1",), True)


def stored(outcome: Outcome, held: Claim | None = None, *, jitter: float = 0.0) -> Settlement:
    return settle(held or claim(), Conclusion(outcome=outcome), now=NOW, jitter=jitter)


DELIVERED = Delivered(columns={"new_newsletter": NEWS}, created=False, row_id="row")


def test_what_was_confirmed_is_added_to_what_was_known() -> None:
    kept = stored(DELIVERED)
    assert (kept.move, kept.attempts, kept.row_id) == (Move.SETTLED, 0, "row")
    assert kept.written == {"address1_country": EARLIER, "new_newsletter": Written(False, NOW)}


def test_what_another_row_confirmed_is_forgotten() -> None:
    other = Delivered(columns={"new_newsletter": NEWS}, created=True, row_id="other", is_other_row=True)
    kept = stored(other)
    assert kept.written == {"new_newsletter": Written(False, NOW)}
    assert kept.row_id == "other"


def test_a_missing_row_forgets_what_was_confirmed() -> None:
    kept = stored(Unmatched())
    assert (kept.move, kept.written, kept.row_id, kept.unmatched_since) == (Move.UNMATCHED, {}, None, NOW)
    assert kept.due_at == NOW + timedelta(minutes=1)


def test_looking_for_a_missing_row_becomes_rarer() -> None:
    waits = [
        stored(Unmatched(), claim(unmatched_since=NOW - waited)).due_at
        for waited in (timedelta(minutes=10), timedelta(hours=2), timedelta(days=3))
    ]
    assert waits == [NOW + timedelta(minutes=10), NOW + timedelta(hours=2), NOW + LONGEST_RECHECK]


@pytest.mark.parametrize(
    ("outcome", "delay"),
    [
        pytest.param(
            Postponed(PostponeCause.THROTTLED, timedelta(seconds=9)), timedelta(seconds=9), id="told how long"
        ),
        pytest.param(Postponed(PostponeCause.NOT_REACHED), timedelta(0), id="the pause is the sender's"),
    ],
)
def test_being_postponed_is_no_attempt(outcome: Outcome, delay: timedelta) -> None:
    kept = stored(outcome, claim(attempts=2))
    assert (kept.move, kept.attempts, kept.due_at) == (Move.POSTPONED, 2, NOW + delay)
    assert kept.written is None


def test_an_alert_keeps_the_contact_due_and_says_what_to_do() -> None:
    alerted = Conclusion(
        outcome=Alerted(AlertReason.REFUSED, "Give the role."),
        reply=classify(Answered(status=403, code="0x80040220")),
    )
    kept = settle(claim(), alerted, now=NOW, jitter=0.0)
    assert (kept.move, kept.reason) == (Move.POSTPONED, "refused")
    assert kept.attempt is not None
    assert kept.attempt.message.startswith("Give the role.")


def test_nothing_to_write_leaves_no_attempt() -> None:
    kept = stored(NothingToWrite())
    assert (kept.move, kept.attempt) == (Move.SETTLED, None)


def test_evidence_names_rule_and_source_of_every_column() -> None:
    conclusion = Conclusion(
        outcome=DELIVERED, sent={"new_newsletter": NEWS}, constants={"lastname": "Unknown"}
    )
    kept = settle(claim(), conclusion, now=NOW, jitter=0.0)
    assert kept.attempt is not None
    assert kept.attempt.columns == {
        "lastname": {"value": "Unknown", "rule": "contact.on_create"},
        "new_newsletter": {"value": False, "rule": NEWS.rule, "sources": ["E1"], "notifications": ["n1"]},
    }


def test_evidence_holds_no_identifier_and_no_value_that_an_error_quotes() -> None:
    remark = ColumnValue("new_remark", "call me", NOW, "rule", (), (), False)
    message = "'call me' of u-42 is too long for new_remark"
    reply = classify(Answered(status=400, code="0x80044331", message=message))
    conclusion = Conclusion(outcome=Parked(ParkReason.REJECTED), sent={"new_remark": remark}, reply=reply)
    kept = settle(claim(), conclusion, now=NOW, jitter=0.0)
    assert kept.attempt is not None
    assert "call me" not in kept.attempt.message
    assert "u-42" not in kept.attempt.message
    assert "new_remark" in kept.attempt.message


def test_an_unknown_outcome_says_so() -> None:
    conclusion = Conclusion(outcome=Retried(None), reply=classify(Unknown(UnknownCause.CUT)))
    kept = settle(claim(), conclusion, now=NOW, jitter=0.0)
    assert kept.attempt is not None
    assert (kept.attempt.status, kept.attempt.code) == (None, "cut")
    assert "not known" in kept.attempt.message


def test_what_an_unknown_outcome_sent_is_not_taken_for_known() -> None:
    """The row may hold it, or still what it held before: a choice that returns to that must be written."""
    country = ColumnValue("address1_country", "BE", NOW, "mapping.gdpr.person.country", (), (), False)
    sent = {"address1_country": country}
    unknown = Conclusion(outcome=Retried(None), sent=sent, reply=classify(Unknown(UnknownCause.CUT)))
    answered = Conclusion(outcome=Retried(3), sent=sent, reply=classify(Answered(status=500)))

    assert settle(claim(), unknown, now=NOW, jitter=0.0).written == {}
    assert settle(claim(), answered, now=NOW, jitter=0.0).written is None


@pytest.mark.parametrize("cause", list(UnknownCause), ids=lambda cause: cause.value)
def test_every_unknown_outcome_has_a_text_of_its_own(cause: UnknownCause) -> None:
    conclusion = Conclusion(outcome=Retried(None), reply=classify(Unknown(cause)))
    attempt = settle(claim(), conclusion, now=NOW, jitter=0.0).attempt
    assert attempt is not None
    assert attempt.code == cause.value
    assert attempt.message.endswith(".")


OUTCOMES = st.sampled_from(
    [
        NothingToWrite(),
        DELIVERED,
        Unmatched(),
        Postponed(PostponeCause.NO_TOKEN),
        Retried(None),
        Retried(3),
        Parked(ParkReason.REJECTED),
        Alerted(AlertReason.CREDENTIAL, "advice"),
    ]
)


@given(OUTCOMES, st.integers(0, 50), st.floats(0, 1, exclude_max=True))
def test_every_outcome_is_an_allowed_move_and_what_waits_has_a_time(
    outcome: Outcome, attempts: int, jitter: float
) -> None:
    kept = stored(outcome, claim(attempts=attempts), jitter=jitter)
    state = next_state(DeliveryState.DELIVERING, kept.move)
    assert (kept.due_at is not None) == (state in {DeliveryState.DUE, DeliveryState.UNMATCHED})


def test_an_attempt_remembers_what_a_rejected_row_took_all_the_same() -> None:
    """What is confirmed has evidence, whatever became of the rest."""
    grant = ColumnValue("new_ads", True, NOW, "mapping.gdpr.purposes.ads", ("E1",), ("n1",), False)
    sent = {"new_newsletter": NEWS, "new_ads": grant}
    rejected = Conclusion(outcome=Parked(ParkReason.REJECTED, {"new_newsletter": NEWS}), sent=sent)
    attempt = settle(claim(), rejected, now=NOW, jitter=0.0).attempt
    assert attempt is not None
    assert attempt.columns["new_newsletter"]["confirmed"] is True
    assert "confirmed" not in attempt.columns["new_ads"]
