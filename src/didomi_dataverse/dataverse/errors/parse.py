"""Parses the status, headers and body of an HTTP answer into `Answered`.

An error body can be Dataverse's own, a gateway's `{"Message": …}`, a page, or nothing (dataverse.md 5.1).
Nothing here raises for a strange body: its status still says enough to decide.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any, Final

from didomi_dataverse.dataverse.replies import Answered

_NAME_ANNOTATION: Final = "@Microsoft.PowerApps.CDS.ErrorDetails.ApiExceptionMessageName"
# Characters read of a message. More than is kept, so that masking happens before clipping.
_MAX_READ: Final = 2000
# A longer pause is a mistake or an attack. After this one the sender asks again.
_MAX_RETRY_AFTER: Final = timedelta(days=1)

_NUMBER: Final = re.compile(r"0x[0-9a-f]{1,8}|-?[0-9]{1,10}", re.IGNORECASE | re.ASCII)
_SYMBOL: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{2,99}", re.ASCII)
_HTML_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)


def read_answer(
    status: int, headers: Mapping[str, str], body: bytes, *, now: datetime, whole_call: bool = False
) -> Answered:
    """The answer, without the rows of a read (`encode.add_rows`).

    `headers` have lower-case names; `now` serves a `Retry-After` with a date; `whole_call` as in `Answered`.
    """
    code, name, message = _parse_error(body) if whole_call or status >= 300 else ("", "", "")
    return Answered(
        status=status,
        code=code,
        name=name,
        message=message,
        retry_after=parse_retry_after(headers.get("retry-after", ""), now),
        request_id=headers.get("x-ms-service-request-id") or headers.get("req_id", ""),
        whole_call=whole_call,
    )


def parse_retry_after(value: str, now: datetime) -> timedelta | None:
    """The pause that a `Retry-After` asks for, between zero and a day; None when it cannot be understood.

    Dataverse sends whole seconds (dataverse.md 4.1); a gateway in front of it may send a date.

    >>> parse_retry_after("9", datetime.now(UTC))
    datetime.timedelta(seconds=9)
    """
    text = value.strip()
    if not text:
        return None
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", text, re.ASCII):
        return min(timedelta(seconds=min(float(text), _MAX_RETRY_AFTER.total_seconds())), _MAX_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(text)
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return max(timedelta(0), min(at - now, _MAX_RETRY_AFTER))
    except (ValueError, OverflowError, TypeError):
        return None


def normal_code(code: object) -> str:
    """An error code as lower-case hex of eight digits, `0x0` for zero, empty for anything that is not a
    number.

    Some layers give the signed 32-bit decimal, as text or number, in place of the hex (dataverse.md 5.1).

    >>> normal_code("-2147015902"), normal_code("0x80060891"), normal_code("BadRequest")
    ('0x80072322', '0x80060891', '')
    """
    text = str(code).strip() if isinstance(code, str | int) and not isinstance(code, bool) else ""
    if _NUMBER.fullmatch(text) is None:
        return ""
    number = int(text, 16 if text[:2].lower() == "0x" else 10) & 0xFFFFFFFF
    return f"0x{number:08x}" if number else "0x0"


def is_web_api_error(body: bytes) -> bool:
    """Whether it is the error document of the Web API (dataverse.md 5.1), and not a gateway's or a router's.

    >>> is_web_api_error(b'{"error": {"code": "0x0"}}'), is_web_api_error(b'{"Message": "No."}')
    (True, False)
    """
    try:
        document = json.loads(body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and isinstance(document.get("error"), dict)


def _parse_error(body: bytes) -> tuple[str, str, str]:
    """Code, name and message of an error body of any kind."""
    text = body.decode("utf-8-sig", "replace")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return "", "", _one_line(_without_markup(text))
    if not isinstance(document, dict):
        return "", "", _one_line(text)
    error = document.get("error")
    if isinstance(error, dict):
        return _parse_web_api_error(error)
    # A gateway's or a router's `{"Message": …}`; OAuth's `{"error": "…", "error_description": "…"}`.
    text = _text(document, "Message") or _text(document, "message") or _text(document, "error_description")
    return "", _symbol(error), _one_line(text or _symbol(error))


def _parse_web_api_error(error: dict[str, Any]) -> tuple[str, str, str]:
    code = normal_code(error.get("code"))
    # The symbolic name is the best classifier there is; a code that is a word serves as one.
    name = _symbol(error.get(_NAME_ANNOTATION)) or ("" if code else _symbol(error.get("code")))
    message = _text(error, "message")
    inner = error.get("innererror")
    # dataverse.md 5.1: the exact column or type may be named only here.
    detail = _text(inner, "message") if isinstance(inner, dict) else ""
    if detail and detail not in message:
        message = f"{message} ({detail})" if message else detail
    return code, name, _one_line(message)


def _text(mapping: dict[str, Any], name: str) -> str:
    value = mapping.get(name)
    return value if isinstance(value, str) else ""


def _symbol(value: object) -> str:
    return value if isinstance(value, str) and _SYMBOL.fullmatch(value) else ""


def _without_markup(text: str) -> str:
    """The title of a page, if it has one; other text unchanged."""
    if "<html" not in text[:_MAX_READ].lower() and not text.lstrip().startswith("<"):
        return text
    title = _HTML_TITLE.search(text)
    return "a page instead of an answer" + (f": {unescape(title[1])}" if title else "")


def _one_line(text: str) -> str:
    """The text on one line, without control characters, clipped between words: half a value would escape the
    masking.
    """
    text = text[: 4 * _MAX_READ]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    line = " ".join(text.split())
    return line if len(line) <= _MAX_READ else (line[: _MAX_READ - 2].rpartition(" ")[0] + " …").lstrip()
