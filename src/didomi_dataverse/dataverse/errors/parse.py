"""An HTTP answer's status, headers and body, read into `Answered`; and what of its message may be kept.

An error body is whatever stood in the way: Dataverse's own, a gateway's `{"Message": …}`, a page, or nothing
(dataverse.md 5.1). Nothing here raises for a strange body: its status still says enough to decide.
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
# What is read of a message. More than is kept, so that masking happens before clipping.
_MAX_READ: Final = 2000
# A longer wish is a mistake or an attack; whoever pauses asks again after this.
_MAX_RETRY_AFTER: Final = timedelta(days=1)

_NUMBER: Final = re.compile(r"0x[0-9a-f]{1,8}|-?[0-9]{1,10}", re.IGNORECASE | re.ASCII)
_SYMBOL: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{2,99}", re.ASCII)
_HTML_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)


def read_answer(
    status: int, headers: Mapping[str, str], body: bytes, *, now: datetime, whole_call: bool = False
) -> Answered:
    """An answer, without rows. `headers` have lower-case names; `now` serves a `Retry-After` with a date."""
    code, name, message = _error(body) if whole_call or status >= 300 else ("", "", "")
    return Answered(
        status=status,
        code=code,
        name=name,
        message=message,
        retry_after=retry_after(headers.get("retry-after", ""), now),
        request_id=headers.get("x-ms-service-request-id") or headers.get("req_id", ""),
        whole_call=whole_call,
    )


def retry_after(value: str, now: datetime) -> timedelta | None:
    """The pause a `Retry-After` asks for, between nothing and a day; None when it cannot be understood.

    Dataverse sends whole seconds (dataverse.md 4.1); a gateway in front of it may send a date.
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
    """An error code as lower-case hex of eight digits, `0x0` for zero, empty for anything that is no number.

    Some layers give the signed 32-bit decimal, as text or number, in place of the hex (dataverse.md 5.1).
    """
    text = str(code).strip() if isinstance(code, str | int) and not isinstance(code, bool) else ""
    if _NUMBER.fullmatch(text) is None:
        return ""
    number = int(text, 16 if text[:2].lower() == "0x" else 10) & 0xFFFFFFFF
    return f"0x{number:08x}" if number else "0x0"


def is_web_api_error(body: bytes) -> bool:
    """Is it the error document of the Web API (dataverse.md 5.1), and not a gateway's or a router's?"""
    try:
        document = json.loads(body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and isinstance(document.get("error"), dict)


def _error(body: bytes) -> tuple[str, str, str]:
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
        return _web_api_error(error)
    # A gateway's or a router's `{"Message": …}`; OAuth's `{"error": "…", "error_description": "…"}`.
    spoken = _text(document, "Message") or _text(document, "message") or _text(document, "error_description")
    return "", _symbol(error), _one_line(spoken or _symbol(error))


def _web_api_error(error: dict[str, Any]) -> tuple[str, str, str]:
    code = normal_code(error.get("code"))
    # The symbolic name is the best classifier there is; a code that is a word serves as one.
    name = _symbol(error.get(_NAME_ANNOTATION)) or ("" if code else _symbol(error.get("code")))
    message = _text(error, "message")
    inner = error.get("innererror")
    # dataverse.md 5.1: the exact column or type may stand only here.
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
    """A page's title, as far as it has one; other text unchanged."""
    if "<html" not in text[:_MAX_READ].lower() and not text.lstrip().startswith("<"):
        return text
    title = _HTML_TITLE.search(text)
    return "a page instead of an answer" + (f": {unescape(title[1])}" if title else "")


def _one_line(text: str) -> str:
    """On one line, without control characters, clipped between words: half a value escapes the masking."""
    text = text[: 4 * _MAX_READ]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    line = " ".join(text.split())
    return line if len(line) <= _MAX_READ else (line[: _MAX_READ - 2].rpartition(" ")[0] + " …").lstrip()


# --- What may be kept ---
