"""A `$batch` as bytes: from requests to its body, and from its multipart body to answers (dataverse.md 3).

No change sets: one bad row would undo the others (dataverse.md 3.3). Each part stands for itself, and the
outer request asks for `odata.continue-on-error`, so that a rejected part does not stop those after it.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from didomi_dataverse.dataverse.encode import EncodedRequest, add_rows, encode_request
from didomi_dataverse.dataverse.errors.parse import read_answer
from didomi_dataverse.dataverse.replies import Answer, NotAttempted, Unknown, UnknownCause
from didomi_dataverse.dataverse.requests import Request
from didomi_dataverse.errors import ReplyMalformedError

# dataverse.md 3.1: with a bare LF the server answers 400 "Stream was not readable".
_CRLF: Final = b"\r\n"

MAX_PARTS: Final = 1000
"""The most requests that the server takes in one `$batch` (dataverse.md 3.1). The caller chooses how many it
sends; far fewer are wise."""

_BOUNDARY: Final = re.compile(r"[A-Za-z0-9_.-]{1,70}", re.ASCII)


def encode_batch(requests: Sequence[Request], *, boundary: str, api_path: str) -> bytes:
    """The body of a `$batch`, to be sent as `multipart/mixed; boundary="{boundary}"`.

    `api_path` begins with `/` and ends without one (`/api/data/v9.2`). Raises ValueError when there are no
    requests or more than the server takes, when a key or a look-up's value does not fit
    (`keys.fits_key_url`, `keys.fits_filter`), or when a number is not finite.
    """
    if not 1 <= len(requests) <= MAX_PARTS:
        raise ValueError(f"a batch carries 1 to {MAX_PARTS} requests, not {len(requests)}")
    if _BOUNDARY.fullmatch(boundary) is None:
        raise ValueError("a boundary is 1 to 70 letters, digits, '_', '.' or '-'")
    pieces: list[bytes] = []
    for number, request in enumerate(requests, start=1):
        form = encode_request(request)
        lines = [
            f"--{boundary}",
            "Content-Type: application/http",
            "Content-Transfer-Encoding: binary",
            # Unique throughout, though only change sets require it. Answers are matched by order.
            f"Content-ID: {number}",
            "",
            *_head(form, api_path),
            "",
            "",
        ]
        # A body cannot hold the boundary: JSON writes line ends as escapes. A GET has no body, so it ends in
        # two empty lines: one that ends its head, and one to be safe (dataverse.md 3.1).
        pieces += ["\r\n".join(lines).encode("ascii"), form.content, _CRLF]
    pieces.append(f"--{boundary}--\r\n".encode("ascii"))
    return b"".join(pieces)


def _head(form: EncodedRequest, api_path: str) -> tuple[str, ...]:
    return (
        f"{form.method} {api_path}/{form.path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in form.headers),
    )


# --- The answer ---


def is_multipart(content_type: str) -> bool:
    """Whether an answer has parts. Its status may be that of the first part that failed (dataverse.md 3.2).

    >>> is_multipart("multipart/mixed; boundary=x")
    True
    """
    return content_type.partition(";")[0].strip().lower() == "multipart/mixed"


def decode_batch(
    content_type: str,
    body: bytes,
    requests: Sequence[Request],
    *,
    now: datetime,
    request_id: str = "",
) -> tuple[Answer, ...]:
    """One answer for each request, in their order.

    `now` serves a `Retry-After` with a date; `request_id` is the call's, for parts without their own. Fewer
    parts than requests: the server stopped, and the rest were not attempted (dataverse.md 3.2). A body that
    breaks off: the missing parts are unknown. A part that is not an HTTP answer is unknown, too.

    Raises ReplyMalformedError when the parts cannot be separated, or are more than the requests: then it is
    not certain which part answers which request.
    """
    parts, complete = _split(body, _boundary_of(content_type))
    if complete and not parts:
        raise ReplyMalformedError(
            "The answer to a $batch has no parts: something between us and Dataverse changed it."
        )
    if len(parts) > len(requests):
        raise ReplyMalformedError(
            f"The answer to a $batch of {len(requests)} requests has {len(parts)} parts: "
            "it is not known which part answers which request."
        )
    answers: list[Answer] = [
        _read_part(part, request, now, request_id) for part, request in zip(parts, requests, strict=False)
    ]
    missing: Answer = NotAttempted() if complete else Unknown(UnknownCause.CUT)
    return (*answers, *(missing for _ in range(len(requests) - len(answers))))


_END_OF_BOUNDARY_LINE: Final = re.compile(rb"(--)?[ \t]*(?=\r?\n|\Z)")


def _boundary_of(content_type: str) -> bytes:
    # RFC 2046: the value may be quoted, and must be when it holds characters such as "=" or ":".
    found = re.search(
        r";\s*boundary\s*=\s*(?:\"([^\"]{1,200})\"|([^\s;\"]{1,200}))", content_type, re.IGNORECASE
    )
    if found is None:
        raise ReplyMalformedError("The answer to a $batch is multipart but names no boundary.")
    return (found[1] or found[2]).encode("latin-1", "replace")


def _split(body: bytes, boundary: bytes) -> tuple[list[bytes], bool]:
    """The parts that are whole, and whether the closing line was there.

    Gateways may turn CRLF into LF and pad the lines with blanks; both are accepted. A part is whole when a
    boundary line follows it.
    """
    mark = b"--" + boundary
    part_start: int | None = None
    parts: list[bytes] = []
    at = body.find(mark)
    while at >= 0:
        # Compiling a pattern with the boundary in it, for each answer, took longer than searching with it.
        ending = _END_OF_BOUNDARY_LINE.match(body, at + len(mark))
        if ending is not None and (at == 0 or body[at - 1 : at] == b"\n"):
            if part_start is not None:
                parts.append(body[part_start : at - 2 if body[at - 2 : at] == b"\r\n" else at - 1])
            if ending[1] is not None:
                return parts, True
            part_start = ending.end()
        at = body.find(mark, at + 1)
    if part_start is None:
        raise ReplyMalformedError("The answer to a $batch does not contain its own boundary.")
    return parts, False


_STATUS_LINE: Final = re.compile(rb"HTTP/\d(?:\.\d)? +(\d{3})(?: .*)?", re.ASCII)


def _read_part(part: bytes, request: Request, now: datetime, request_id: str) -> Answer:
    # Its own headers, an empty line, and then a whole HTTP answer.
    _, http = _head_and_rest(part)
    head, body = _head_and_rest(http.lstrip(b"\r\n"))
    status_line, *header_lines = re.split(rb"\r?\n", head)
    found = _STATUS_LINE.fullmatch(status_line.strip())
    if found is None:
        return Unknown(UnknownCause.MALFORMED)
    headers = _headers(header_lines)
    headers.setdefault("req_id", request_id)
    answered = read_answer(int(found[1]), headers, body, now=now)
    return add_rows(answered, request, body)


def _head_and_rest(message: bytes) -> tuple[bytes, bytes]:
    # The line end of the boundary line is still in front: a part without headers begins with an empty line.
    head, *rest = re.split(rb"\r?\n\r?\n", message, maxsplit=1)
    return head, rest[0] if rest else b""


def _headers(lines: Sequence[bytes]) -> dict[str, str]:
    headers = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return headers
