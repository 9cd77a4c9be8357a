"""An HTTP answer's status, headers and body, read into `Answered`; and what of its message may be kept.

An error body is whatever stood in the way: Dataverse's own, a gateway's `{"Message": …}`, a page, or nothing
(dataverse.md 5.1). Nothing here raises for a strange body: its status still says enough to decide.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any, Final

from didomi_dataverse.dataverse.reply import Answered

_NAME_ANNOTATION: Final = "@Microsoft.PowerApps.CDS.ErrorDetails.ApiExceptionMessageName"
# What is read of a message. More than is kept, so that masking happens before clipping.
_MAX_READ: Final = 2000
_MAX_KEPT: Final = 500
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

_MASKED: Final = "***"
# Names that every environment has: hiding them hides what the message is about, and protects nobody.
_PLAIN_WORDS: Final = frozenset(
    {"contact", "contacts", "contactid", "systemuser", "microsoft.dynamics.crm.contact"}
)
_GUID_PATTERN: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_TELLING: Final = re.compile(
    rf"""
    (?P<kept>\b(?:{_GUID_PATTERN}|0x[0-9a-fA-F]+)\b)
    # An opening quote follows no letter ("doesn't" opens nothing) and the closing one precedes none
    # ("O'Brien" closes nothing). A quote that is never closed hides everything after it: it may have been
    # clipped.
    | (?P<quoted>
          (?<!\w)'.*?(?:'(?!\w)|$) | "[^"]*(?:"|$) | `[^`]*(?:`|$)
        | “[^”]*(?:”|$) | „[^“”]*(?:[“”]|$) | «[^»]*(?:»|$) | (?<!\w)\u2018.*?(?:\u2019(?!\w)|$)
      )
    | (?P<email>[^\s@"'<>()\[\],;:]+@[^\s@"'<>()\[\],;:]+)
    | (?P<digits>\+?\d(?:[\s().\-/]?\d){{4,}})
    """,
    re.VERBOSE,
)


def safe_message(answered: Answered, values: Iterable[str] = (), known_names: Iterable[str] = ()) -> str:
    """The message as it may be stored and logged, at most 500 characters.

    Messages are in the language of the user and can quote what was sent (dataverse.md 5.1), so they are
    masked by shape: everything in quotation marks, whatever looks like an e-mail address, and runs of five or
    more digits however grouped (phone numbers, card numbers). Besides, every one of `values` wherever it
    stands: the identifier and the texts that were written, for those the message repeats without marks.

    Three kinds of quoted things stay, because without them nobody could act: `known_names` (the columns of
    the write, the key column), the names of the tables, and GUIDs. A GUID names a row, which only people with
    access to the environment can resolve; error codes stay as well. `values` win over all of these.
    """
    text = answered.message
    if not text:
        # What went well says nothing, and that is nearly every answer.
        return ""
    for value in sorted({value for value in values if len(value.strip()) > 2}, key=len, reverse=True):
        text = re.sub(re.escape(value), _MASKED, text, flags=re.IGNORECASE)
    plain = _PLAIN_WORDS | {name.lower() for name in known_names}
    text = _TELLING.sub(lambda found: _masked(found, plain), text)
    return text if len(text) <= _MAX_KEPT else text[: _MAX_KEPT - 2].rstrip() + " …"


def _masked(found: re.Match[str], plain: frozenset[str]) -> str:
    whole = found[0]
    if found["kept"] is not None:
        return whole
    if found["quoted"] is not None and len(whole) > 2:
        inner = whole[1:-1]
        if inner.lower() in plain or re.fullmatch(_GUID_PATTERN, inner):
            return whole
        return whole[0] + _MASKED + (whole[-1] if not whole[-1].isalnum() else "")
    return _MASKED
