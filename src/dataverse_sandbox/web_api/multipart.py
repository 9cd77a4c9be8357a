"""The bytes of a `$batch`, strictly (dataverse.md 3.1): CRLF everywhere, every part complete."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from types import MappingProxyType

from dataverse_sandbox import errors
from dataverse_sandbox.messages import Request, Response
from dataverse_sandbox.users import User

_BOUNDARY = re.compile(
    r"multipart/mixed\s*;(?:.*;)?\s*boundary=(?:\"([^\"]{1,70})\"|([^\s;\"]{1,70}))", re.IGNORECASE
)
# The URL stands between the first blank and the last. The OData library of the service's platform reads it
# so, because the URL may hold blanks; the official client sends filters with raw blanks.
_REQUEST_LINE = re.compile(rb"([A-Z]+) (\S(?:[^\r\n]*\S)?) HTTP/1\.1")
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_PART_HEAD = b"\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"


@dataclass(frozen=True, slots=True)
class Part:
    """One request of a batch."""

    request: Request

    content_id: str | None = None
    """Its `Content-ID`; None when it has none."""


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """Requests that are committed or rolled back together."""

    parts: tuple[Part, ...]


def parse_batch(
    batch: Request, max_requests: int, inherited: Mapping[str, str] = NO_HEADERS
) -> list[Part | ChangeSet]:
    """The requests of a batch in order. Raises 400 for anything that is not well formed.

    `inherited` holds headers that each request has, unless it states them itself.
    """
    defaults = {**inherited, "host": batch.headers.get("host", "")}
    items: list[Part | ChangeSet] = []
    requests = 0
    for piece in _split_parts(batch.body, _parse_boundary(batch.headers.get("content-type", ""))):
        headers, content = _split_head(piece)
        content_type = headers.get("content-type", "")
        if content_type.lower().startswith("multipart/mixed"):
            changes = tuple(
                _parse_part(*_split_head(change), defaults, batch.caller)
                for change in _split_parts(content, _parse_boundary(content_type))
            )
            if any(part.content_id is None for part in changes):
                raise errors.malformed_body("Each request of a change set needs a Content-ID.")
            if len({part.content_id for part in changes}) < len(changes):
                raise errors.malformed_body("Content-IDs of a change set must be unique.")
            items.append(ChangeSet(changes))
            requests += len(changes)
        else:
            items.append(_parse_part(headers, content, defaults, batch.caller))
            requests += 1
        if requests > max_requests:
            raise errors.malformed_body(f"A batch takes at most {max_requests} requests.")
    return items


def _parse_boundary(content_type: str) -> bytes:
    """The boundary of a multipart body. Raises 400.

    >>> _parse_boundary('multipart/mixed; boundary="batch_1"')
    b'batch_1'
    """
    found = _BOUNDARY.match(content_type)
    if found is None:
        raise errors.malformed_body("The Content-Type of a batch is multipart/mixed with a boundary.")
    return (found[1] or found[2]).encode()


def _split_parts(body: bytes, boundary: bytes) -> list[bytes]:
    r"""The bytes between the delimiters, without the line ends that belong to the delimiters. Raises 400.

    >>> _split_parts(b"--b\r\nfirst\r\n--b\r\nsecond\r\n--b--\r\n", b"b")
    [b'first', b'second']
    """
    preamble, *rest = (b"\r\n" + body).split(b"\r\n--" + boundary)
    # RFC 2046, 5.1.1: a line end may come before the first delimiter. `dynamics-web-api` sends one.
    if (
        not rest
        or preamble not in {b"", b"\r\n"}
        or not rest[-1].startswith(b"--")
        or rest[-1][2:].strip(b"\r\n")
    ):
        raise errors.unreadable_stream()
    pieces = rest[:-1]
    if not pieces or any(not piece.startswith(b"\r\n") for piece in pieces):
        raise errors.unreadable_stream()
    return [piece[2:] for piece in pieces]


def _split_head(piece: bytes) -> tuple[Mapping[str, str], bytes]:
    """(headers, content) of a part. Raises 400."""
    head, found, rest = piece.partition(b"\r\n\r\n")
    if not found:
        raise errors.unreadable_stream()
    return _parse_headers(head), rest


@lru_cache(maxsize=4096)
def _parse_headers(block: bytes) -> Mapping[str, str]:
    """Values by lower-case name. Blocks repeat from part to part, so the results are cached. Raises 400."""
    headers: dict[str, str] = {}
    for line in block.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not colon or not name or b"\n" in line or b"\r" in line or name != name.strip():
            raise errors.unreadable_stream()
        try:
            headers[name.decode("ascii").lower()] = value.strip().decode("latin-1")
        except UnicodeDecodeError:
            raise errors.unreadable_stream() from None
    return MappingProxyType(headers)


def _parse_part(
    headers: Mapping[str, str], content: bytes, defaults: Mapping[str, str], caller: User
) -> Part:
    if not headers.get("content-type", "").lower().startswith("application/http"):
        raise errors.malformed_body("The Content-Type of a request in a batch is application/http.")
    if headers.get("content-transfer-encoding", "").lower() != "binary":
        raise errors.malformed_body("The Content-Transfer-Encoding of a request in a batch is binary.")
    head, found, body = content.partition(b"\r\n\r\n")
    if not found:
        # A part without a body still ends its head with an empty line; the delimiter took its line end.
        if not content.endswith(b"\r\n"):
            raise errors.unreadable_stream()
        head, body = content[:-2], b""
    line, _, block = head.partition(b"\r\n")
    request_line = _REQUEST_LINE.fullmatch(line)
    if request_line is None:
        raise errors.unreadable_stream()
    host = defaults["host"]
    own = {**defaults, **(_parse_headers(block) if block else NO_HEADERS), "host": host}
    path, query = _split_url(request_line[2].decode("latin-1"), host)
    request = Request(request_line[1].decode(), path, query, own, body, caller)
    return Part(request, headers.get("content-id"))


def _split_url(url: str, host: str) -> tuple[str, str]:
    """(path, query) of a request in a batch. Raises 400.

    dataverse.md 3.1: a path that starts at `/api/…`, or an absolute URL of this service.

    >>> _split_url("https://localhost:1/api/data/v9.2/contacts?$top=1", "localhost:1")
    ('/api/data/v9.2/contacts', '$top=1')
    """
    if not url.startswith(("/", "$")):
        scheme, _, rest = url.partition("://")
        authority, slash, rest = rest.partition("/")
        if scheme != "https" or not slash or authority.lower() != host.lower():
            raise errors.malformed_body(
                "The URL of a request in a batch is neither a path from /api/ nor of this service."
            )
        url = "/" + rest
    path, _, query = url.partition("?")
    return path, query


def encode_parts(boundary: str, parts: list[bytes]) -> bytes:
    """One multipart body from what `encode_part` and `encode_change_set` return (dataverse.md 3.2)."""
    delimiter = f"--{boundary}".encode()
    return b"".join([delimiter + part for part in parts]) + delimiter + b"--\r\n"


def encode_part(response: Response, content_id: str | None = None) -> bytes:
    """One response: the bytes between its delimiter and the next."""
    lines = [f"HTTP/1.1 {response.status} {reason_phrase(response.status)}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in response.headers]
    head = _PART_HEAD if content_id is None else _PART_HEAD + f"Content-ID: {content_id}\r\n".encode()
    return b"".join([head, b"\r\n", "".join(lines).encode(), b"\r\n", response.body, b"\r\n"])


def encode_change_set(boundary: str, parts: list[bytes]) -> bytes:
    """The responses of a committed change set, nested in one part."""
    head = f"\r\nContent-Type: multipart/mixed; boundary={boundary}\r\n\r\n".encode()
    return head + encode_parts(boundary, parts) + b"\r\n"


@lru_cache(maxsize=64)
def reason_phrase(status: int) -> str:
    """The reason phrase of a status; empty when it has none.

    >>> reason_phrase(412)
    'Precondition Failed'
    """
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
