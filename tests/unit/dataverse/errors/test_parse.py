import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from didomi_dataverse.dataverse.errors.parse import normal_code, parse_retry_after, read_answer
from didomi_dataverse.dataverse.replies import Answered

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
NAME = "@Microsoft.PowerApps.CDS.ErrorDetails.ApiExceptionMessageName"


def read(body: object, status: int = 400) -> Answered:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_answer(status, {}, raw, now=NOW)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param("0x80060891", "0x80060891", id="hex"),
        pytest.param("0X8006089A", "0x8006089a", id="capitals"),
        pytest.param("-2147088239", "0x80060891", id="signed decimal, as text"),
        pytest.param(-2147088239, "0x80060891", id="signed decimal, as number"),
        pytest.param("2147879057", "0x80060891", id="unsigned decimal"),
        pytest.param(" 0x80060891 ", "0x80060891", id="blanks around"),
        pytest.param("0x0", "0x0", id="zero"),
        pytest.param("0", "0x0", id="zero in decimal"),
        pytest.param("", "", id="empty"),
        pytest.param(None, "", id="null"),
        pytest.param(True, "", id="boolean"),
        pytest.param("Unauthorized", "", id="word"),
        pytest.param("0x", "", id="no digits"),
        pytest.param("0x800608911", "", id="too many digits"),
        pytest.param("٣", "", id="digit of another script"),
        pytest.param({}, "", id="object"),
    ],
)
def test_a_code_has_one_spelling(code: object, expected: str) -> None:
    assert normal_code(code) == expected


def test_every_number_the_catalogue_lists_is_the_same_signed_and_in_hex() -> None:
    """dataverse.md 4.1 gives the three throttles in both spellings."""
    pairs = {"-2147015902": "0x80072322", "-2147015903": "0x80072321", "-2147015898": "0x80072326"}

    assert {normal_code(signed) for signed in pairs} == set(pairs.values())


@pytest.mark.parametrize(
    ("body", "code", "name", "message"),
    [
        pytest.param(
            {"error": {"code": "0x80060891", "message": "A record … does not exist"}},
            "0x80060891",
            "",
            "A record … does not exist",
            id="code and message",
        ),
        pytest.param(
            {"error": {"code": "0x80040237", "message": "m", NAME: "DuplicateRecord"}},
            "0x80040237",
            "DuplicateRecord",
            "m",
            id="name from the annotation",
        ),
        pytest.param({"error": {"code": "", "message": "m"}}, "", "", "m", id="empty code"),
        pytest.param(
            {
                "error": {
                    "code": "0x0",
                    "message": "m",
                    "innererror": {"message": "column new_x", "type": "t"},
                }
            },
            "0x0",
            "",
            "m (column new_x)",
            id="inner error",
        ),
        pytest.param(
            {"error": {"code": "0x0", "message": "all of m", "innererror": {"message": "of m"}}},
            "0x0",
            "",
            "all of m",
            id="inner error that says the same",
        ),
        pytest.param(
            {"error": {"innererror": {"message": "only inside"}}}, "", "", "only inside", id="inner only"
        ),
        pytest.param(
            {"error": {"code": "UserNotMemberOfOrg", "message": "m"}},
            "",
            "UserNotMemberOfOrg",
            "m",
            id="word as code",
        ),
        pytest.param(
            {"Message": "No HTTP resource was found"}, "", "", "No HTTP resource was found", id="router"
        ),
        pytest.param({"message": "Too busy"}, "", "", "Too busy", id="gateway"),
        pytest.param(
            {"error": "invalid_token", "error_description": "expired"},
            "",
            "invalid_token",
            "expired",
            id="OAuth",
        ),
        pytest.param({"error": None}, "", "", "", id="null error"),
        pytest.param({"error": {"code": [], "message": {}}}, "", "", "", id="fields of wrong types"),
        pytest.param([1, 2], "", "", "[1, 2]", id="a list"),
        pytest.param(b"", "", "", "", id="empty"),
        pytest.param(b"upstream connect error", "", "", "upstream connect error", id="text"),
        pytest.param(
            b"<!DOCTYPE html><html><head><title>502\r\nBad &amp; Gateway</title></head><body>x</body></html>",
            "",
            "",
            "a page instead of an answer: 502 Bad & Gateway",
            id="page",
        ),
        pytest.param(
            b"<html><body>x</body></html>", "", "", "a page instead of an answer", id="untitled page"
        ),
        pytest.param(b'\xef\xbb\xbf{"Message":"m"}', "", "", "m", id="byte order mark"),
        pytest.param(b"\xff\xfe\x00", "", "", "\ufffd\ufffd", id="no UTF-8"),
        pytest.param(b"[" * 100_000, "", "", "…", id="nested without end, in one word"),
        pytest.param({"Message": "a\r\nforged line\x1b[31m"}, "", "", "a forged line [31m", id="line ends"),
    ],
)
def test_an_error_body_of_any_kind_is_read(body: object, code: str, name: str, message: str) -> None:
    answered = read(body)

    assert (answered.code, answered.name, answered.message) == (code, name, message)


@given(st.binary(max_size=200))
def test_no_body_is_too_strange(body: bytes) -> None:
    assert read(body, status=500).status == 500


def test_a_success_has_no_message() -> None:
    """Its body is the row, and must not be taken for something to keep."""
    body = {"error": {"code": "0x1", "message": "no"}, "message": "neither"}

    assert read(body, status=200) == Answered(status=200)


def test_a_page_with_status_200_is_read_when_it_answers_the_whole_call() -> None:
    answered = read_answer(200, {}, b"<html><title>Sign in</title></html>", now=NOW, whole_call=True)

    assert answered.message == "a page instead of an answer: Sign in"


def test_a_long_message_ends_between_words() -> None:
    message = read({"Message": "word " * 1000}).message

    assert len(message) <= 2000
    assert message.endswith("word …")


@pytest.mark.parametrize("header", ["x-ms-service-request-id", "req_id"])
def test_the_server_s_own_id_is_kept(header: str) -> None:
    assert read_answer(500, {header: "5c0e"}, b"", now=NOW).request_id == "5c0e"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param("7", 7, id="seconds"),
        pytest.param(" 30 ", 30, id="blanks around"),
        pytest.param("1.5", 1.5, id="fraction"),
        pytest.param("0", 0, id="now"),
        pytest.param("Wed, 04 Mar 2026 05:07:07 GMT", 60, id="date"),
        pytest.param("Wed, 04 Mar 2026 05:07:07 -0000", 60, id="date of no zone"),
        pytest.param("Wed, 04 Mar 2026 05:00:00 GMT", 0, id="date in the past"),
        pytest.param("9" * 400, 86_400, id="beyond all measure"),
        pytest.param("Fri, 31 Dec 9999 23:59:59 GMT", 86_400, id="date beyond all measure"),
        pytest.param("Mon, 01 Jan 2026 00:00:00 +9999999999999999", None, id="no such zone"),
        pytest.param("Mon, 01 Jan 2026 99999999999999999999:00:00 GMT", None, id="no such hour"),
        pytest.param("", None, id="absent"),
        pytest.param("soon", None, id="word"),
        pytest.param("-5", None, id="negative"),
        pytest.param("Wed, 99 Mar 2026 05:07:07 GMT", None, id="no such day"),
    ],
)
def test_retry_after_is_understood_in_both_forms(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == (None if seconds is None else timedelta(seconds=seconds))
