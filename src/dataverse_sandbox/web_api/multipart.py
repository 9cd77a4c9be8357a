"""`$batch` bytes, strictly (dataverse.md 3.1): CRLF everywhere, every part complete. Nothing runs here."""

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
# The URL is what stands between the first blank and the last. The OData library of the service's platform
# reads it so, because blanks may occur in it, and the official client sends filters with raw blanks.
_REQUEST_LINE = re.compile(rb"([A-Z]+) (\S(?:[^\r\n]*\S)?) HTTP/1\.1")
NOTHING: Mapping[str, str] = MappingProxyType({})
_PART_HEAD = b"\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"


@dataclass(frozen=True, slots=True)
class Part:
    """One request of a batch, with its `Content-ID` if it has one."""

    request: Request
    content_id: str | None = None


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """Requests that stand or fall together."""

    parts: tuple[Part, ...]


def parse_batch(
    outer: Request, most_requests: int, inherited: Mapping[str, str] = NOTHING
) -> list[Part | ChangeSet]:
    """The requests of a batch in their order. Raises Refusal for anything that is not well formed.

    `inherited`: headers that each request has unless it gives them itself.
    """
    given = {**inherited, "host": outer.headers.get("host", "")}
    items: list[Part | ChangeSet] = []
    requests = 0
    for piece in _pieces(outer.body, _boundary(outer.headers.get("content-type", ""))):
        headers, content = _head_and_rest(piece)
        content_type = headers.get("content-type", "")
        if content_type.lower().startswith("multipart/mixed"):
            changes = tuple(
                _part(*_head_and_rest(change), given, outer.caller)
                for change in _pieces(content, _boundary(content_type))
            )
            if any(part.content_id is None for part in changes):
                raise errors.unreadable("Each request of a change set needs a Content-ID.")
            if len({part.content_id for part in changes}) < len(changes):
                raise errors.unreadable("Content-IDs of a change set must be unique.")
            items.append(ChangeSet(changes))
            requests += len(changes)
        else:
            items.append(_part(headers, content, given, outer.caller))
            requests += 1
        if requests > most_requests:
            raise errors.unreadable(f"A batch takes at most {most_requests} requests.")
    return items


def _boundary(content_type: str) -> bytes:
    found = _BOUNDARY.match(content_type)
    if found is None:
        raise errors.unreadable("The Content-Type of a batch is multipart/mixed with a boundary.")
    return (found[1] or found[2]).encode()


def _pieces(body: bytes, boundary: bytes) -> list[bytes]:
    """What stands between the delimiters, without the line ends that belong to them."""
    preamble, *rest = (b"\r\n" + body).split(b"\r\n--" + boundary)
    # RFC 2046, 5.1.1: a line end may come before the first delimiter. `dynamics-web-api` sends one.
    if (
        not rest
        or preamble not in {b"", b"\r\n"}
        or not rest[-1].startswith(b"--")
        or rest[-1][2:].strip(b"\r\n")
    ):
        raise errors.stream_not_readable()
    pieces = rest[:-1]
    if not pieces or any(not piece.startswith(b"\r\n") for piece in pieces):
        raise errors.stream_not_readable()
    return [piece[2:] for piece in pieces]


def _head_and_rest(piece: bytes) -> tuple[Mapping[str, str], bytes]:
    head, found, rest = piece.partition(b"\r\n\r\n")
    if not found:
        raise errors.stream_not_readable()
    return _headers(head), rest


@lru_cache(maxsize=4096)
def _headers(block: bytes) -> Mapping[str, str]:
    """Header lines → values by lower-case name. Blocks repeat from part to part, so they are remembered."""
    headers: dict[str, str] = {}
    for line in block.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not colon or not name or b"\n" in line or b"\r" in line or name != name.strip():
            raise errors.stream_not_readable()
        try:
            headers[name.decode("ascii").lower()] = value.strip().decode("latin-1")
        except UnicodeDecodeError:
            raise errors.stream_not_readable() from None
    return MappingProxyType(headers)


def _part(headers: Mapping[str, str], content: bytes, given: Mapping[str, str], caller: User) -> Part:
    if not headers.get("content-type", "").lower().startswith("application/http"):
        raise errors.unreadable("The Content-Type of a request in a batch is application/http.")
    if headers.get("content-transfer-encoding", "").lower() != "binary":
        raise errors.unreadable("The Content-Transfer-Encoding of a request in a batch is binary.")
    head, found, body = content.partition(b"\r\n\r\n")
    if not found:
        # A part without a body still ends its head with an empty line; the delimiter took its line end.
        if not content.endswith(b"\r\n"):
            raise errors.stream_not_readable()
        head, body = content[:-2], b""
    line, _, block = head.partition(b"\r\n")
    request_line = _REQUEST_LINE.fullmatch(line)
    if request_line is None:
        raise errors.stream_not_readable()
    host = given["host"]
    inner = {**given, **(_headers(block) if block else NOTHING), "host": host}
    path, query = _target(request_line[2].decode("latin-1"), host)
    request = Request(request_line[1].decode(), path, query, inner, body, caller)
    return Part(request, headers.get("content-id"))


def _target(url: str, host: str) -> tuple[str, str]:
    """dataverse.md 3.1: a path that starts at `/api/…`, or an absolute URL of this service."""
    if not url.startswith(("/", "$")):
        scheme, _, rest = url.partition("://")
        authority, slash, rest = rest.partition("/")
        if scheme != "https" or not slash or authority.lower() != host.lower():
            raise errors.unreadable(
                "The URL of a request in a batch is neither a path from /api/ nor of this service."
            )
        url = "/" + rest
    path, _, query = url.partition("?")
    return path, query


def encode_answer(boundary: str, answers: list[bytes]) -> bytes:
    """Answers (from `encode_part` or `encode_change_set`) as one body (byte form: dataverse.md 3.2)."""
    delimiter = f"--{boundary}".encode()
    return b"".join([delimiter + answer for answer in answers]) + delimiter + b"--\r\n"


def encode_part(answer: Response, content_id: str | None = None) -> bytes:
    """One answer, from behind its delimiter up to the next."""
    lines = [f"HTTP/1.1 {answer.status} {phrase(answer.status)}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in answer.headers]
    head = _PART_HEAD if content_id is None else _PART_HEAD + f"Content-ID: {content_id}\r\n".encode()
    return b"".join([head, b"\r\n", "".join(lines).encode(), b"\r\n", answer.body, b"\r\n"])


def encode_change_set(boundary: str, answers: list[bytes]) -> bytes:
    """The answers of a change set that was committed, nested in a part of their own."""
    head = f"\r\nContent-Type: multipart/mixed; boundary={boundary}\r\n\r\n".encode()
    return head + encode_answer(boundary, answers) + b"\r\n"


@lru_cache(maxsize=64)
def phrase(status: int) -> str:
    """The reason phrase of a status, empty when it has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
