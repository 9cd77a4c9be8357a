"""One HTTP request and its answer as plain values: a call and a part of a `$batch` are the same."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from dataverse_sandbox.errors import NAMES, Refusal
from dataverse_sandbox.options import Switches
from dataverse_sandbox.users import User

JSON_TYPE = "application/json; odata.metadata=minimal"
ODATA_VERSION = ("OData-Version", "4.0")


NOBODY = User(user_id="")


@dataclass(frozen=True, slots=True)
class Request:
    """`path` and `query` as they came over the wire (percent-encoded); header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    caller: User = NOBODY

    @property
    def prefer(self) -> "Prefer":
        """What the caller would like (dataverse.md 1.3)."""
        text = self.headers.get("prefer")
        return NO_PREFERENCE if text is None else parse_prefer(text)


@dataclass(frozen=True, slots=True)
class Response:
    """`headers` in the order sent; a name may repeat. `rows` is how many rows the request worked on."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    rows: int = 0

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        wanted = name.lower()
        return next((value for known, value in self.headers if known.lower() == wanted), None)


@dataclass(frozen=True, slots=True)
class Prefer:
    """The `Prefer` header, read."""

    representation: bool = False
    continue_on_error: bool = False
    annotations: str | None = None
    max_page_size: int | None = None
    track_changes: bool = False

    @property
    def all_annotations(self) -> bool:
        """True when errors are to carry their details too."""
        return self.annotations is not None and "*" in self.annotations.split(",")

    def applied(
        self, *, annotations: bool = False, pages: bool = False, changes: bool = False
    ) -> tuple[tuple[str, str], ...]:
        """`Preference-Applied`: what was honoured.

        `annotations`: of a read; `pages`: of many rows; `changes`: of rows that are tracked.
        """
        honoured = []
        if self.representation and not annotations:
            honoured.append("return=representation")
        if self.annotations is not None and (annotations or self.representation):
            honoured.append(f'odata.include-annotations="{self.annotations}"')
        if self.max_page_size is not None and pages:
            honoured.append(f"odata.maxpagesize={self.max_page_size}")
        if self.track_changes and changes:
            honoured.append("odata.track-changes")
        return (("Preference-Applied", ",".join(honoured)),) if honoured else ()


NO_PREFERENCE = Prefer()


def _split_outside_quotes(text: str) -> list[str]:
    pieces, start, quoted = [], 0, False
    for position, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            pieces.append(text[start:position])
            start = position + 1
    pieces.append(text[start:])
    return pieces


@lru_cache(maxsize=256)
def parse_prefer(text: str) -> Prefer:
    """Read a `Prefer` header; what is not known is ignored, as the real service does."""
    representation = continue_on_error = track_changes = False
    annotations: str | None = None
    max_page_size: int | None = None
    for piece in _split_outside_quotes(text):
        name, _, value = piece.strip().partition("=")
        value = value.strip().strip('"')
        match name.strip().lower():
            case "return":
                representation = value == "representation"
            case "odata.continue-on-error":
                continue_on_error = value != "false"
            case "odata.track-changes":
                track_changes = True
            case "odata.include-annotations":
                annotations = value
            case "odata.maxpagesize" if value.isdecimal() and int(value) > 0:
                max_page_size = int(value)
            case _:
                pass
    return Prefer(representation, continue_on_error, annotations, max_page_size, track_changes)


def has_lone_surrogate(body: bytes, document: object) -> bool:
    r"""True when a text or a name is half of a pair, such as `"\ud800"`, which no UTF-8 can write.

    No source says what the service does with one; that it is refused as malformed is our reading.
    """
    if b"\\u" not in body:
        return False
    try:
        json_bytes(document)
    except UnicodeEncodeError:
        return True
    return False


def json_bytes(document: object) -> bytes:
    """Compact UTF-8 JSON."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def json_response(
    document: object, *, status: int = 200, headers: tuple[tuple[str, str], ...] = (), rows: int = 0
) -> Response:
    """An OData answer with a body."""
    return Response(
        status, (("Content-Type", JSON_TYPE), ODATA_VERSION, *headers), json_bytes(document), rows
    )


def error_response(refusal: Refusal, switches: Switches, *, details: bool = False) -> Response:
    """The error shape of dataverse.md 5.1; `details` adds what `odata.include-annotations="*"` asks for."""
    code = refusal.documented_code if switches.documented_codes else refusal.code
    error: dict[str, object] = {"code": code, "message": refusal.message}
    if switches.inner_error:
        error["innererror"] = {
            "message": refusal.message,
            "type": "Microsoft.Crm.CrmHttpException",
            "stacktrace": "",
        }
    if details:
        prefix = "@Microsoft.PowerApps.CDS.ErrorDetails."
        client_fault = refusal.status < 500
        error |= {
            f"{prefix}OperationStatus": "0",
            f"{prefix}SubErrorCode": "0",
            f"{prefix}ApiExceptionCategory": "ClientError" if client_fault else "SystemFailure",
            f"{prefix}ApiExceptionMessageName": NAMES.get(refusal.code, "UnExpected"),
            f"{prefix}ApiExceptionHttpStatusCode": str(refusal.status),
            "@Microsoft.PowerApps.CDS.TraceText": "",
            "@Microsoft.PowerApps.CDS.HelpLink": "http://go.microsoft.com/fwlink/?LinkID=398563",
            "@Microsoft.PowerApps.CDS.InnerError.Message": refusal.message,
        }
    return json_response({"error": error}, status=refusal.status, headers=refusal.headers)
