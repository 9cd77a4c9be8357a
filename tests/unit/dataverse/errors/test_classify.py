from collections import Counter
from datetime import timedelta

import pytest

from didomi_dataverse.dataverse.errors.classify import classify
from didomi_dataverse.dataverse.errors.entry import Action
from didomi_dataverse.dataverse.errors.table import BY_STATUS, TABLE
from didomi_dataverse.dataverse.replies import Answered
from didomi_dataverse.dataverse.requests import Condition

# dataverse.md 5.3, row by row: status, code, action. A status in brackets there is inferred; it must not
# matter.
ROWS = [
    pytest.param(400, "0x0", Action.DEAD, id="property not found"),
    pytest.param(400, "0x80048d19", Action.DEAD, id="error parsing the payload"),
    pytest.param(400, "0x8006088a", Action.DEAD, id="error in query syntax"),
    pytest.param(404, "0x8006088a", Action.ALERT, id="resource not found for the segment"),
    pytest.param(400, "0x80060888", Action.ALERT, id="key not valid for resource"),
    pytest.param(400, "0x80060890", Action.ALERT, id="EntityKeyNotDefined"),
    pytest.param(400, "0x8006088f", Action.DEAD, id="InvalidEntityKeyOperation"),
    pytest.param(400, "0x8006089d", Action.ALERT, id="MultipleRecordsFoundByEntityKey"),
    pytest.param(404, "0x80060891", Action.SKIP, id="RecordNotFoundByEntityKey"),
    pytest.param(404, "0x80040217", Action.RE_RESOLVE, id="ObjectDoesNotExist"),
    pytest.param(404, "", Action.RE_RESOLVE, id="does not exist, without a code"),
    pytest.param(412, "0x80060892", Action.REUPSERT, id="DuplicateRecordEntityKey"),
    pytest.param(412, "0x80040237", Action.REUPSERT, id="DuplicateRecord"),
    pytest.param(412, "0x80060882", Action.RETRY, id="ConcurrencyVersionMismatch"),
    pytest.param(400, "0x8006088d", Action.ALERT, id="OptimisticConcurrencyNotEnabled"),
    pytest.param(412, "0x80040333", Action.DEAD, id="DuplicateRecordsFound, 412"),
    pytest.param(500, "0x80040333", Action.DEAD, id="DuplicateRecordsFound, 500"),
    pytest.param(400, "0x80044331", Action.DEAD, id="StringLengthTooLong"),
    pytest.param(400, "0x8004432f", Action.DEAD, id="IntegerValueOutOfRange"),
    pytest.param(400, "0x80044330", Action.DEAD, id="DecimalValueOutOfRange"),
    pytest.param(400, "0x8004431a", Action.DEAD, id="PicklistValueOutOfRange"),
    pytest.param(400, "0x8004431c", Action.DEAD, id="BooleanOptionOutOfRange"),
    pytest.param(400, "0x80040239", Action.DEAD, id="InvalidDateTime"),
    pytest.param(400, "0x80040203", Action.DEAD, id="InvalidArgument"),
    pytest.param(400, "0x80040200", Action.DEAD, id="RequiredFieldMissing"),
    pytest.param(400, "0x8005e009", Action.ALERT, id="InvalidAttribute"),
    pytest.param(400, "0x80040265", Action.DEAD, id="IsvAborted"),
    pytest.param(400, "0x80040224", Action.RETRY, id="IsvUnExpected"),
    pytest.param(400, "0x80040216", Action.SPLIT, id="UnExpected"),
    pytest.param(500, "0x80044171", Action.SPLIT, id="plug-in time-out 1"),
    pytest.param(400, "0x80044172", Action.SPLIT, id="plug-in time-out 2"),
    pytest.param(500, "0x80044173", Action.SPLIT, id="plug-in time-out 3"),
    pytest.param(500, "0x80081111", Action.SPLIT, id="plug-in time-out 4"),
    pytest.param(400, "0x80081116", Action.RETRY, id="sandbox process throttle"),
    pytest.param(500, "0x80044150", Action.RETRY, id="generic SQL error"),
    pytest.param(500, "0x80044151", Action.SPLIT, id="SQL time-out"),
    pytest.param(500, "0x80040255", Action.RETRY, id="transaction aborted"),
    pytest.param(500, "0x80040251", Action.RETRY, id="no active transaction"),
    pytest.param(500, "0x80073000", Action.RETRY, id="SQL networking"),
    pytest.param(400, "0x80073001", Action.DEAD, id="text too long for SQL"),
    pytest.param(400, "0x80073002", Action.REUPSERT, id="unique index"),
    pytest.param(400, "0x80071154", Action.RETRY, id="ConcurrentOperationFailure"),
    pytest.param(503, "0x8004a001", Action.RETRY, id="server busy"),
    pytest.param(503, "0x80072323", Action.RETRY, id="Azure SQL resource limit"),
    pytest.param(503, "0x80072324", Action.RETRY, id="Azure SQL worker limit"),
    pytest.param(400, "0x80072325", Action.ALERT, id="storage quota, 400"),
    pytest.param(503, "0x80072325", Action.ALERT, id="storage quota, 503"),
    pytest.param(500, "0x80048543", Action.RETRY, id="solution import"),
    pytest.param(400, "0x8004022e", Action.DEAD, id="read-only record"),
    pytest.param(401, "0x8004a101", Action.TOKEN, id="token expired"),
    pytest.param(401, "0x8004a102", Action.TOKEN, id="token bad"),
    pytest.param(401, "0x8004a100", Action.TOKEN, id="token invalid"),
    pytest.param(401, "0x8004a105", Action.TOKEN, id="token tampered"),
    pytest.param(401, "0x8004a103", Action.TOKEN, id="token insufficient"),
    pytest.param(401, "0x80040204", Action.TOKEN, id="InvalidUserAuth"),
    pytest.param(401, "0x80044300", Action.TOKEN, id="no token 1"),
    pytest.param(401, "0x80044302", Action.TOKEN, id="no token 2"),
    pytest.param(401, "0x80040277", Action.TOKEN, id="unauthorised"),
    pytest.param(401, "", Action.TOKEN, id="unauthorised, without a code"),
    pytest.param(403, "0x80040220", Action.ALERT, id="PrivilegeDenied"),
    pytest.param(403, "0x80048306", Action.ALERT, id="no CreateAccess right"),
    pytest.param(403, "0x80040256", Action.ALERT, id="security refusal 1"),
    pytest.param(403, "0x8004020d", Action.ALERT, id="security refusal 2"),
    pytest.param(403, "0x80040231", Action.ALERT, id="security refusal 3"),
    pytest.param(403, "0x80048405", Action.ALERT, id="security refusal 4"),
    pytest.param(403, "0x80040276", Action.ALERT, id="security refusal 5"),
    pytest.param(403, "0x8004049e", Action.ALERT, id="security refusal 6"),
    pytest.param(403, "0x8004f502", Action.ALERT, id="secured column, create"),
    pytest.param(403, "0x8004f504", Action.ALERT, id="secured column, read"),
    pytest.param(403, "0x8004f507", Action.ALERT, id="secured column, update"),
    pytest.param(403, "0x8004a110", Action.ALERT, id="acting for another user"),
    pytest.param(403, "0x80072560", Action.ALERT, id="UserNotMemberOfOrg"),
    pytest.param(403, "0x80095ffc", Action.ALERT, id="application blocked"),
    pytest.param(403, "0x80040225", Action.ALERT, id="user disabled"),
    pytest.param(403, "0x8004d24b", Action.ALERT, id="no licence"),
    pytest.param(403, "0x80042f09", Action.ALERT, id="no roles"),
    pytest.param(403, "0x80040299", Action.ALERT, id="CrmCheckPrivilege"),
    pytest.param(403, "", Action.ALERT, id="forbidden, without a code"),
    pytest.param(503, "0x8004a104", Action.ALERT, id="OrganizationDisabled"),
    pytest.param(405, "0x8004023b", Action.ALERT, id="InvalidOperation"),
    pytest.param(405, "0x80040315", Action.ALERT, id="NotSupported"),
    pytest.param(413, "0x8004418a", Action.SPLIT, id="request too large"),
    pytest.param(413, "", Action.SPLIT, id="request too large, without a code"),
    pytest.param(429, "0x80072322", Action.WAIT, id="throttled by requests"),
    pytest.param(429, "0x80072321", Action.WAIT, id="throttled by run time"),
    pytest.param(429, "0x80072326", Action.WAIT, id="throttled by concurrency"),
    pytest.param(429, "0x8005f103", Action.WAIT, id="too many requests"),
    pytest.param(429, "", Action.WAIT, id="throttled, without a code"),
    pytest.param(500, "", Action.RETRY, id="500 without a code"),
    pytest.param(500, "0x8badf00d", Action.RETRY, id="500 with an unknown code"),
    pytest.param(501, "", Action.ALERT, id="not implemented"),
    pytest.param(502, "", Action.RETRY, id="bad gateway"),
    pytest.param(504, "", Action.RETRY, id="gateway time-out"),
    pytest.param(503, "", Action.RETRY, id="unavailable"),
]


@pytest.mark.parametrize(("status", "code", "action"), ROWS)
def test_every_row_of_the_catalogue_calls_for_its_action(status: int, code: str, action: Action) -> None:
    answered = Answered(status=status, code=code)

    assert classify(answered).action is action
    assert classify(answered).entry.advice


@pytest.mark.parametrize(
    ("status", "action"),
    [
        pytest.param(200, Action.DONE, id="200"),
        pytest.param(201, Action.DONE, id="201"),
        pytest.param(204, Action.DONE, id="204"),
        pytest.param(302, Action.ALERT, id="redirect"),
        pytest.param(400, Action.DEAD, id="400"),
        pytest.param(408, Action.RETRY, id="408"),
        pytest.param(409, Action.DEAD, id="409"),
        pytest.param(422, Action.DEAD, id="422"),
        pytest.param(507, Action.RETRY, id="507"),
    ],
)
def test_an_unknown_answer_is_classified_by_its_status(status: int, action: Action) -> None:
    """dataverse.md 5.3, rule of precedence: 5xx retry, 4xx dead."""
    assert classify(Answered(status=status)).action is action


@pytest.mark.parametrize(
    ("answered", "action"),
    [
        pytest.param(
            Answered(status=429, code="0x80060891", name="RecordNotFoundByEntityKey"),
            Action.WAIT,
            id="throttle before name",
        ),
        pytest.param(Answered(status=401, name="PrivilegeDenied"), Action.TOKEN, id="token before name"),
        pytest.param(
            Answered(status=412, code="0x80040265", name="DuplicateRecord"),
            Action.REUPSERT,
            id="name before code",
        ),
        pytest.param(
            Answered(status=400, code="0x80060891", name="NeverHeardOf"), Action.SKIP, id="code when unnamed"
        ),
        pytest.param(Answered(status=500, name="duplicaterecord"), Action.REUPSERT, id="name in any case"),
        pytest.param(Answered(status=500, code="0x80060891"), Action.SKIP, id="code before status"),
        pytest.param(
            Answered(status=503, code="0x80072322"), Action.WAIT, id="throttle's code with another status"
        ),
    ],
)
def test_precedence(answered: Answered, action: Action) -> None:
    assert classify(answered).action is action


@pytest.mark.parametrize(
    ("condition", "action"),
    [
        pytest.param(Condition.CREATE_ONLY, Action.REUPSERT, id="create only"),
        pytest.param(None, Action.REUPSERT, id="unknown"),
        pytest.param(Condition.UPDATE_ONLY, Action.DEAD, id="update only"),
    ],
)
def test_a_412_without_a_code_means_that_the_row_exists_where_that_was_the_condition(
    condition: Condition | None, action: Action
) -> None:
    assert classify(Answered(status=412), condition).action is action


def test_a_missing_route_is_not_a_missing_row() -> None:
    answered = Answered(status=404, message="No HTTP resource was found that matches the request URI")

    assert classify(answered).action is Action.ALERT


def test_a_service_that_says_when_to_come_back_is_waited_for() -> None:
    assert classify(Answered(status=503, retry_after=timedelta(seconds=9))).action is Action.WAIT


@pytest.mark.parametrize(
    ("status", "code", "together", "alone"),
    [
        pytest.param(400, "0x80048d19", Action.SPLIT, Action.DEAD, id="one row may have spoilt it"),
        pytest.param(413, "", Action.SPLIT, Action.DEAD, id="too large"),
        pytest.param(500, "0x80044151", Action.SPLIT, Action.RETRY, id="SQL time-out"),
        pytest.param(500, "0x80081111", Action.SPLIT, Action.RETRY, id="plug-in time-out"),
        pytest.param(400, "0x80040216", Action.SPLIT, Action.DEAD, id="unexpected"),
        pytest.param(404, "0x80060891", Action.SPLIT, Action.SKIP, id="one row is missing"),
        pytest.param(412, "0x80060892", Action.SPLIT, Action.REUPSERT, id="one row exists"),
        pytest.param(404, "", Action.ALERT, Action.ALERT, id="wrong path"),
        pytest.param(403, "0x80072560", Action.ALERT, Action.ALERT, id="no application user"),
        pytest.param(500, "", Action.RETRY, Action.RETRY, id="failing"),
        pytest.param(429, "", Action.WAIT, Action.WAIT, id="throttled"),
        pytest.param(401, "", Action.TOKEN, Action.TOKEN, id="unauthorised"),
        pytest.param(200, "", Action.ALERT, Action.ALERT, id="a page"),
    ],
)
def test_an_answer_to_the_whole_call_is_about_a_row_only_when_it_is_alone(
    status: int, code: str, together: Action, alone: Action
) -> None:
    answered = Answered(status=status, code=code, whole_call=True)

    assert classify(answered).action is together
    assert classify(answered).action_alone is alone


@pytest.mark.parametrize(
    ("answered", "max_attempts"),
    [
        pytest.param(Answered(status=400, code="0x80040224"), 3, id="plug-in crash"),
        pytest.param(Answered(status=500), 5, id="500 for a row"),
        pytest.param(Answered(status=500, whole_call=True), None, id="500 for the call: an outage"),
        pytest.param(Answered(status=502), None, id="gateway"),
    ],
)
def test_how_often_a_failure_is_tried_again(answered: Answered, max_attempts: int | None) -> None:
    assert classify(answered).entry.max_attempts == max_attempts


@pytest.mark.parametrize("code", ["0x0", "0x80048d19", "0x8004431a"])
def test_a_fault_of_the_mapping_is_told_from_a_fault_of_the_row(code: str) -> None:
    """dataverse.md 5.3, "dead + alert"."""
    assert classify(Answered(status=400, code=code)).entry.mapping_fault


def test_no_sign_stands_in_two_rows_for_the_same_status() -> None:
    signs = Counter((sign.lower(), entry.status) for entry in TABLE for sign in (*entry.codes, *entry.names))

    assert [sign for sign, count in signs.items() if count > 1] == []


def test_every_code_is_spelt_as_codes_are_read() -> None:
    codes = [code for entry in TABLE for code in entry.codes]

    assert [code for code in codes if code != code.lower() or len(code) not in {3, 10}] == []


def test_all_advice_is_whole_sentences() -> None:
    advice = {entry.advice for entry in (*TABLE, *BY_STATUS.values())}

    assert [text for text in advice if not (text[:1].isupper() and text.endswith("."))] == []


@pytest.mark.parametrize(
    ("name", "action"),
    [(name, entry.action) for entry in TABLE for name in entry.names],
)
def test_a_name_is_enough_to_recognise_a_row(name: str, action: Action) -> None:
    """Whatever status and code an environment gives beside it."""
    assert classify(Answered(status=418, code="0x8badf00d", name=name)).action is action


def test_a_name_that_says_nothing_does_not_hide_the_code() -> None:
    answered = Answered(status=400, code="0x80048d19", name="UnExpected")

    assert classify(answered).action is Action.DEAD
