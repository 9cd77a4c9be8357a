"""One HTTP request and its response as plain values. A call and a part of a `$batch` have the same form."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from dataverse_sandbox import errors
from dataverse_sandbox.errors import ODataError
from dataverse_sandbox.options import SandboxOptions
from dataverse_sandbox.users import User

JSON_TYPE = "application/json; odata.metadata=minimal"
ODATA_VERSION = ("OData-Version", "4.0")
Headers = tuple[tuple[str, str], ...]

ANONYMOUS = User(user_id="")
"""The caller of a request that is not authenticated."""


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request, or one request of a `$batch`."""

    method: str
    """HTTP method, in upper case."""

    path: str
    """Path as it came over the wire, percent-encoded."""

    query: str
    """Query string without `?`, percent-encoded; empty when there is none."""

    headers: Mapping[str, str]
    """Values by header name in lower case."""

    body: bytes
    """Raw body; empty when there is none."""

    caller: User = ANONYMOUS
    """The user that the request runs as."""

    @property
    def prefer(self) -> "Prefer":
        """The preferences of the caller (dataverse.md 1.3)."""
        text = self.headers.get("prefer")
        return NO_PREFERENCE if text is None else parse_prefer(text)

    def require_method(self, method: str) -> None:
        """Raises 405 for another HTTP method."""
        if self.method != method:
            raise errors.method_not_allowed(self.method)


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a `Request`."""

    status: int
    """HTTP status."""

    headers: Headers = ()
    """Headers in the order sent; a name may repeat."""

    body: bytes = b""
    """Raw body; empty when there is none."""

    rows: int = 0
    """Number of rows that the request worked on; the simulated duration depends on it."""

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        wanted = name.lower()
        return next((value for known, value in self.headers if known.lower() == wanted), None)


@dataclass(frozen=True, slots=True)
class Prefer:
    """A parsed `Prefer` header."""

    representation: bool = False
    """`return=representation`: a write answers with the row."""

    continue_on_error: bool = False
    """`odata.continue-on-error`: a batch goes on after a failed request."""

    annotations: str | None = None
    """Value of `odata.include-annotations`; None when absent."""

    max_page_size: int | None = None
    """Value of `odata.maxpagesize`, in rows; None when absent."""

    track_changes: bool = False
    """`odata.track-changes`: a read of the table begins change tracking."""

    @property
    def all_annotations(self) -> bool:
        """True when error responses carry their details too."""
        return self.annotations is not None and "*" in self.annotations.split(",")

    def preference_applied(
        self, *, annotations: bool = False, pages: bool = False, changes: bool = False
    ) -> Headers:
        """The `Preference-Applied` header: which preferences were honoured; empty when none was.

        `annotations`: the response reads rows. `pages`: it is a list. `changes`: the list is tracked.
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


@lru_cache(maxsize=256)
def parse_prefer(text: str) -> Prefer:
    """Parse a `Prefer` header. Unknown preferences are ignored, as the real service does.

    >>> prefer = parse_prefer('return=representation, odata.include-annotations="*"')
    >>> prefer.representation, prefer.annotations, prefer.max_page_size
    (True, '*', None)
    """
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


def _split_outside_quotes(text: str) -> list[str]:
    """The pieces between commas; a comma in double quotes does not separate.

    >>> _split_outside_quotes('a="1,2",b')
    ['a="1,2"', 'b']
    """
    pieces, start, quoted = [], 0, False
    for position, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            pieces.append(text[start:position])
            start = position + 1
    pieces.append(text[start:])
    return pieces


def has_lone_surrogate(body: bytes, document: object) -> bool:
    r"""True when a text or a name holds half of a surrogate pair, such as `"\ud800"`. UTF-8 cannot encode it.

    No source says what the service does with one. That it is refused as malformed is our reading.
    """
    if b"\\u" not in body:
        return False
    try:
        encode_json(document)
    except UnicodeEncodeError:
        return True
    return False


def encode_json(document: object) -> bytes:
    """Compact UTF-8 JSON.

    >>> encode_json({"a": [1, None]})
    b'{"a":[1,null]}'
    """
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def json_response(document: object, *, status: int = 200, headers: Headers = (), rows: int = 0) -> Response:
    """An OData response with a body."""
    return Response(
        status, (("Content-Type", JSON_TYPE), ODATA_VERSION, *headers), encode_json(document), rows
    )


def error_response(error: ODataError, options: SandboxOptions, *, details: bool = False) -> Response:
    """The error body of dataverse.md 5.1; `details` adds what `odata.include-annotations="*"` asks for."""
    code = error.documented_code if options.documented_codes else error.code
    members: dict[str, object] = {"code": code, "message": error.message}
    if options.inner_error:
        members["innererror"] = {
            "message": error.message,
            "type": "Microsoft.Crm.CrmHttpException",
            "stacktrace": "",
        }
    if details:
        prefix = "@Microsoft.PowerApps.CDS.ErrorDetails."
        is_client_error = error.status < 500
        members |= {
            f"{prefix}OperationStatus": "0",
            f"{prefix}SubErrorCode": "0",
            f"{prefix}ApiExceptionCategory": "ClientError" if is_client_error else "SystemFailure",
            f"{prefix}ApiExceptionMessageName": errors.ERROR_NAMES.get(error.code, "UnExpected"),
            f"{prefix}ApiExceptionHttpStatusCode": str(error.status),
            "@Microsoft.PowerApps.CDS.TraceText": "",
            "@Microsoft.PowerApps.CDS.HelpLink": "http://go.microsoft.com/fwlink/?LinkID=398563",
            "@Microsoft.PowerApps.CDS.InnerError.Message": error.message,
        }
    return json_response({"error": members}, status=error.status, headers=error.headers)
