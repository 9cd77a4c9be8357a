import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from didomi_dataverse.dataverse.batch_body import decode_batch, encode_batch, is_multipart
from didomi_dataverse.dataverse.keys import fits_filter, fits_key_url, look_up_query, row_path
from didomi_dataverse.dataverse.replies import Answer, Answered, NotAttempted, Unknown, UnknownCause
from didomi_dataverse.dataverse.requests import AlternateKey, Condition, JsonScalar, LookUp, RowId, Write
from didomi_dataverse.errors import ReplyMalformedError

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
API = "/api/data/v9.2"
GUID = "6f1c2d3e-0000-4000-8000-00000000abcd"
OTHER_GUID = "6f1c2d3e-0000-4000-8000-00000000abce"


def a_write(number: int = 42) -> Write:
    return Write(AlternateKey("new_didomikey", f"u-{number}"), Condition.UPDATE_ONLY, {"donotemail": True})


# --- Requests ---


def test_a_batch_is_sent_byte_for_byte() -> None:
    """dataverse.md 3.1, with the headers that this package adds on purpose."""
    requests: list[Write | LookUp] = [
        Write(AlternateKey("new_didomikey", "u-42"), Condition.UPDATE_ONLY, {"donotemail": False}),
        Write(RowId(GUID), Condition.CREATE_ONLY, {"lastname": "Noël", "new_no": 3, "new_x": None}),
        LookUp("emailaddress1", "a+b@acme.example"),
    ]

    body = encode_batch(requests, boundary="batch_6f1c", api_path=API)

    assert body == (
        b"--batch_6f1c\r\n"
        b"Content-Type: application/http\r\n"
        b"Content-Transfer-Encoding: binary\r\n"
        b"Content-ID: 1\r\n"
        b"\r\n"
        b"PATCH /api/data/v9.2/contacts(new_didomikey='u-42') HTTP/1.1\r\n"
        b"Content-Type: application/json; type=entry\r\n"
        b"If-Match: *\r\n"
        b'Prefer: odata.include-annotations="*"\r\n'
        b"\r\n"
        b'{"donotemail":false}\r\n'
        b"--batch_6f1c\r\n"
        b"Content-Type: application/http\r\n"
        b"Content-Transfer-Encoding: binary\r\n"
        b"Content-ID: 2\r\n"
        b"\r\n"
        b"PATCH /api/data/v9.2/contacts(6f1c2d3e-0000-4000-8000-00000000abcd) HTTP/1.1\r\n"
        b"Content-Type: application/json; type=entry\r\n"
        b"If-None-Match: *\r\n"
        b'Prefer: odata.include-annotations="*"\r\n'
        b"\r\n"
        b'{"lastname":"No\xc3\xabl","new_no":3,"new_x":null}\r\n'
        b"--batch_6f1c\r\n"
        b"Content-Type: application/http\r\n"
        b"Content-Transfer-Encoding: binary\r\n"
        b"Content-ID: 3\r\n"
        b"\r\n"
        b"GET /api/data/v9.2/contacts?$select=contactid"
        b"&$filter=emailaddress1%20eq%20'a%2Bb%40acme.example'&$top=2 HTTP/1.1\r\n"
        b"Accept: application/json\r\n"
        b'Prefer: odata.include-annotations="*"\r\n'
        b"\r\n"
        b"\r\n"
        b"--batch_6f1c--\r\n"
    )


@dataclass(frozen=True)
class Part:
    content_id: str
    request_line: str
    headers: dict[str, str]
    body: bytes


def read_request(body: bytes, boundary: str) -> list[Part]:
    """An independent reader of what is sent: strict where the server is (dataverse.md 3.1)."""
    delimiter = b"\r\n--" + boundary.encode()
    first, *pieces = (b"\r\n" + body).split(delimiter)
    assert first == b""
    assert pieces.pop() == b"--\r\n"
    parts = []
    for piece in pieces:
        assert piece.startswith(b"\r\n")
        outer, inner, content = piece[2:].split(b"\r\n\r\n", maxsplit=2)
        outer_headers = dict(line.split(": ", 1) for line in outer.decode("ascii").split("\r\n"))
        assert outer_headers["Content-Type"] == "application/http"
        assert outer_headers["Content-Transfer-Encoding"] == "binary"
        request_line, *lines = inner.decode("ascii").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        parts.append(Part(outer_headers["Content-ID"], request_line, headers, content))
    return parts


values: st.SearchStrategy[JsonScalar] = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**53), max_value=2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40)
    | st.sampled_from(["\r\n--batch_x--\r\n", "--batch_x", "\ud83d", "\u2028", '"\\'])
)
columns = st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True), values, max_size=5)
keys = st.builds(RowId, st.uuids().map(str)) | st.builds(
    AlternateKey, st.just("new_k"), st.text(min_size=1, max_size=30).filter(fits_key_url)
)
writes = st.builds(Write, keys, st.sampled_from(Condition), columns)
look_ups = st.builds(
    LookUp,
    st.just("emailaddress1"),
    st.text(min_size=1, max_size=30).filter(fits_filter),
    st.integers(min_value=1, max_value=99),
)


@given(st.lists(writes | look_ups, min_size=1, max_size=8))
def test_an_independent_reader_finds_what_was_written(requests: list[Write | LookUp]) -> None:
    """Whatever stands in the values: no value can end a part, a header or the batch."""
    parts = read_request(encode_batch(requests, boundary="batch_x", api_path=API), "batch_x")

    assert [part.content_id for part in parts] == [str(n) for n in range(1, len(requests) + 1)]
    for part, request in zip(parts, requests, strict=True):
        match request:
            case Write(key, condition, sent):
                assert part.request_line == f"PATCH {API}/{row_path(key)} HTTP/1.1"
                assert json.loads(part.body) == sent
                is_update = condition is Condition.UPDATE_ONLY
                assert part.headers.get("If-Match") == ("*" if is_update else None)
                assert part.headers.get("If-None-Match") == (None if is_update else "*")
            case LookUp():
                assert part.request_line == f"GET {API}/{look_up_query(request)} HTTP/1.1"
                assert part.body == b""


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_cannot_say_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode_batch([Write(RowId(GUID), Condition.UPDATE_ONLY, {"x": number})], boundary="b", api_path=API)


def test_half_of_a_surrogate_pair_is_sent_as_an_escape() -> None:
    """The server refuses that row; raising here would hold up all the others of the batch."""
    write = Write(RowId(GUID), Condition.UPDATE_ONLY, {"new_remark": "a\ud800"})

    assert b'{"new_remark":"a\\ud800"}' in encode_batch([write], boundary="b", api_path=API)


@pytest.mark.parametrize("count", [0, 1001])
def test_a_batch_is_neither_empty_nor_longer_than_the_server_takes(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        encode_batch([a_write()] * count, boundary="b", api_path=API)


@pytest.mark.parametrize("boundary", ["", 'a"b', "a\r\nb", "a b", "x" * 71])
def test_a_boundary_that_would_break_a_header_is_refused(boundary: str) -> None:
    with pytest.raises(ValueError, match="boundary"):
        encode_batch([a_write()], boundary=boundary, api_path=API)


# --- Answers ---

CUT = Unknown(UnknownCause.CUT)
MALFORMED = Unknown(UnknownCause.MALFORMED)
CONTENT_TYPE = "multipart/mixed; boundary=batchresponse_1f"
WRITTEN = (
    b"HTTP/1.1 204 No Content\r\n"
    b"OData-Version: 4.0\r\n"
    b"OData-EntityId: https://acme.crm4.dynamics.com/api/data/v9.2/contacts(new_didomikey='u-42')\r\n"
    b"\r\n\r\n"
)
MISSING = (
    b"HTTP/1.1 404 Not Found\r\n"
    b"REQ_ID: 5c0e\r\n"
    b"Content-Type: application/json; odata.metadata=minimal\r\n"
    b"OData-Version: 4.0\r\n"
    b"\r\n"
    b'{"error":{"code":"0x80060891","message":"A record with the specified key values does not exist in '
    b'contact entity"}}\r\n'
)
WRITTEN_REPLY = Answered(status=204)
MISSING_REPLY = Answered(
    status=404,
    code="0x80060891",
    message="A record with the specified key values does not exist in contact entity",
    request_id="5c0e",
)


def an_answer(*parts: bytes, boundary: str = "batchresponse_1f", closed: bool = True) -> bytes:
    head = b"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + head + part for part in parts)
    return body + (b"--" + boundary.encode() + b"--\r\n" if closed else b"")


def decoded(
    body: bytes, count: int, content_type: str = CONTENT_TYPE, request: Write | LookUp | None = None
) -> Sequence[Answer]:
    return decode_batch(content_type, body, [request or a_write()] * count, now=NOW)


def test_each_part_answers_the_request_in_its_place() -> None:
    assert decoded(an_answer(WRITTEN, MISSING, WRITTEN), 3) == (WRITTEN_REPLY, MISSING_REPLY, WRITTEN_REPLY)


def test_requests_after_the_last_part_were_not_attempted() -> None:
    """dataverse.md 3.2: a server that knows no continue-on-error stops at the first failure."""
    replies = decoded(an_answer(WRITTEN, MISSING), 4)

    assert replies == (WRITTEN_REPLY, MISSING_REPLY, NotAttempted(), NotAttempted())


def test_a_body_that_breaks_off_leaves_the_rest_unknown() -> None:
    """The last part may have lost its end, so it tells nothing either; those before it are whole."""
    replies = decoded(an_answer(WRITTEN, MISSING, closed=False), 3)

    assert replies == (WRITTEN_REPLY, CUT, CUT)


@given(st.integers(min_value=0, max_value=10_000))
def test_wherever_a_body_breaks_off_no_reply_changes(at: int) -> None:
    """Every reply is either the true one or unknown; never another, and never "not attempted"."""
    whole = an_answer(WRITTEN, MISSING, WRITTEN)
    # The last line end is not needed to know that the end was reached.
    cut = whole[: at % (len(whole) - 2)]
    try:
        replies = decoded(cut, 3)
    except ReplyMalformedError:
        assert b"--batchresponse_1f" not in cut or cut.count(b"\r\n") == 0
        return

    true = (WRITTEN_REPLY, MISSING_REPLY, WRITTEN_REPLY)
    assert all(reply in {expected, CUT} for reply, expected in zip(replies, true, strict=True))


answers = st.builds(
    Answered,
    status=st.sampled_from([400, 403, 404, 412, 429, 500, 503]),
    code=st.integers(min_value=0x80000000, max_value=0xFFFFFFFF).map(lambda code: f"0x{code:08x}"),
    name=st.sampled_from(["", "DuplicateRecord", "IsvAborted"]),
    message=st.text(max_size=80)
    .map(lambda text: " ".join("".join(c for c in text if c.isprintable()).split()))
    .filter(lambda text: len(text) < 80)
    | st.sampled_from(["--batchresponse_1f--", "\\r\\n--batchresponse_1f"]),
    retry_after=st.none() | st.integers(min_value=0, max_value=3600).map(lambda s: timedelta(seconds=s)),
    request_id=st.sampled_from(["", "5c0e"]),
)


def a_part(answered: Answered) -> bytes:
    """An independent writer of answers."""
    if answered.status == 204:
        return WRITTEN
    lines = [f"HTTP/1.1 {answered.status} Some Reason"]
    if answered.retry_after is not None:
        lines.append(f"Retry-After: {answered.retry_after.seconds}")
    if answered.request_id:
        lines.append(f"REQ_ID: {answered.request_id}")
    error = {"code": answered.code, "message": answered.message}
    if answered.name:
        error["@Microsoft.PowerApps.CDS.ErrorDetails.ApiExceptionMessageName"] = answered.name
    return "\r\n".join([*lines, "", json.dumps({"error": error}, ensure_ascii=False), ""]).encode()


@given(st.lists(answers | st.just(WRITTEN_REPLY), min_size=1, max_size=8), st.integers(0, 3))
def test_what_an_independent_writer_wrote_is_read_back(written: list[Answered], more: int) -> None:
    replies = decoded(an_answer(*map(a_part, written)), len(written) + more)

    assert replies == (*written, *[NotAttempted()] * more)


def as_bare_lf(body: bytes) -> bytes:
    return body.replace(b"\r\n", b"\n")


def with_padding(body: bytes) -> bytes:
    return body.replace(b"--batchresponse_1f\r\n", b"--batchresponse_1f \t\r\n")


def with_preamble(body: bytes) -> bytes:
    return b"This is a multipart message.\r\n" + body + b"and an epilogue --batchresponse_1f\r\n"


def without_last_line_end(body: bytes) -> bytes:
    return body.removesuffix(b"\r\n")


def without_reason(body: bytes) -> bytes:
    return body.replace(b"204 No Content", b"204").replace(b"404 Not Found", b"404 ")


def without_part_headers(body: bytes) -> bytes:
    return body.replace(b"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n", b"")


@pytest.mark.parametrize(
    "change",
    [
        as_bare_lf,
        with_padding,
        with_preamble,
        without_last_line_end,
        without_reason,
        without_part_headers,
    ],
)
def test_what_gateways_do_to_a_body_changes_no_reply(change: object) -> None:
    assert callable(change)

    assert decoded(change(an_answer(WRITTEN, MISSING)), 2) == (WRITTEN_REPLY, MISSING_REPLY)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        pytest.param('multipart/mixed; boundary="batchresponse_1f"', "batchresponse_1f", id="quoted"),
        pytest.param("Multipart/Mixed;Boundary=batchresponse_1f", "batchresponse_1f", id="case and blanks"),
        pytest.param("multipart/mixed; boundary=b1; charset=utf-8", "b1", id="another parameter"),
        pytest.param('multipart/mixed; boundary="a:b=c(d)+e"', "a:b=c(d)+e", id="characters of patterns"),
    ],
)
def test_the_boundary_is_taken_from_the_content_type(content_type: str, boundary: str) -> None:
    replies = decoded(an_answer(WRITTEN, boundary=boundary), 1, content_type)

    assert replies == (WRITTEN_REPLY,)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        pytest.param(CONTENT_TYPE, an_answer(WRITTEN, WRITTEN, WRITTEN), id="more parts than requests"),
        pytest.param(CONTENT_TYPE, an_answer(), id="no parts"),
        pytest.param(CONTENT_TYPE, b"", id="empty"),
        pytest.param(CONTENT_TYPE, b"<html>hello</html>", id="a page"),
        pytest.param("multipart/mixed", an_answer(WRITTEN), id="no boundary named"),
        pytest.param("multipart/mixed; boundary=other", an_answer(WRITTEN), id="another boundary"),
    ],
)
def test_an_answer_whose_parts_cannot_be_told_apart_is_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(ReplyMalformedError, match="batch"):
        decoded(body, 2, content_type)


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(b"\r\n", id="empty"),
        pytest.param(b"nonsense\r\n", id="no status line"),
        pytest.param(b"HTTP/1.1 abc\r\n\r\n", id="no status"),
        pytest.param(
            b"Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n--c--\r\n", id="a change set"
        ),
    ],
)
def test_a_part_that_no_server_could_mean_is_unknown_alone(part: bytes) -> None:
    assert decoded(an_answer(WRITTEN, part, MISSING), 3) == (
        WRITTEN_REPLY,
        MALFORMED,
        MISSING_REPLY,
    )


def test_a_throttled_part_says_how_long_to_wait() -> None:
    throttled = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n\r\n\r\n"

    assert decoded(an_answer(throttled), 1) == (Answered(status=429, retry_after=timedelta(seconds=7)),)


def rows(*ids: str) -> bytes:
    document = {"@odata.context": "…", "value": [{"@odata.etag": 'W/"1"', "contactid": id_} for id_ in ids]}
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + json.dumps(document).encode() + b"\r\n"
    )


@pytest.mark.parametrize(
    ("ids", "row_ids"),
    [
        pytest.param([], (), id="none"),
        pytest.param([GUID.upper()], (GUID,), id="one, in capitals"),
        pytest.param([OTHER_GUID, GUID], (OTHER_GUID, GUID), id="two, in the server's order"),
        pytest.param([GUID, GUID.upper()], (GUID,), id="one, named twice"),
    ],
)
def test_a_look_up_is_answered_with_its_rows(ids: list[str], row_ids: tuple[str, ...]) -> None:
    replies = decoded(an_answer(rows(*ids)), 1, request=LookUp("emailaddress1", "a"))

    assert replies == (Answered(status=200, row_ids=row_ids),)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{}", id="no rows named"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"value":null}', id="null"),
        pytest.param(b'{"value":[{}]}', id="row without id"),
        pytest.param(b'{"value":[{"contactid":"u-42"}]}', id="id that is no GUID"),
        pytest.param(b'{"value":[{"contactid":7}]}', id="id that is a number"),
        pytest.param(b'{"value":[' + b"[" * 100_000, id="nested without end"),
    ],
)
def test_a_look_up_whose_rows_cannot_be_read_is_unknown_and_not_empty(body: bytes) -> None:
    """Reading "no row" would let a contact be created a second time."""
    part = b"HTTP/1.1 200 OK\r\n\r\n" + body + b"\r\n"

    assert decoded(an_answer(part), 1, request=LookUp("emailaddress1", "a")) == (MALFORMED,)


def test_a_refused_look_up_keeps_its_refusal() -> None:
    replies = decoded(an_answer(MISSING), 1, request=LookUp("emailaddress1", "a"))

    assert replies == (MISSING_REPLY,)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        pytest.param("multipart/mixed; boundary=x", True, id="multipart"),
        pytest.param("Multipart/Mixed;boundary=x", True, id="case"),
        pytest.param("application/json; odata.metadata=minimal", False, id="JSON"),
        pytest.param("text/html", False, id="page"),
        pytest.param("", False, id="none"),
    ],
)
def test_parts_are_recognised_by_content_type(content_type: str, *, expected: bool) -> None:
    assert is_multipart(content_type) is expected
