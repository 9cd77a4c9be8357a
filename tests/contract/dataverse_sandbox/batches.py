"""`$batch` bodies written by hand, and a parser of the responses that shares no code with either end."""

import re
from dataclasses import dataclass

BOUNDARY = "batch_6f1c"
HEADERS = {"Content-Type": f'multipart/mixed; boundary="{BOUNDARY}"'}
GO_ON = HEADERS | {"Prefer": "odata.continue-on-error"}


def part(
    method: str, url: str, body: str | None = None, content_id: str | None = None, **headers: str
) -> str:
    """One request, from its part headers to its body; without a body it ends with an empty line."""
    lines = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    if content_id is not None:
        lines.append(f"Content-ID: {content_id}")
    lines += ["", f"{method} {url} HTTP/1.1"]
    if body is not None:
        lines.append("Content-Type: application/json; type=entry")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", body or ""])


def patch(key: str, body: str = '{"donotemail":true}', content_id: str | None = None, **headers: str) -> str:
    """An upsert by alternate key."""
    return part("PATCH", f"/api/data/v9.2/contacts(new_didomikey='{key}')", body, content_id, **headers)


def batch(*parts: str, boundary: str = BOUNDARY) -> bytes:
    """The whole body."""
    delimited = "".join(f"--{boundary}\r\n{text}\r\n" for text in parts)
    return f"{delimited}--{boundary}--\r\n".encode()


def change_set(*parts: str, name: str = "changeset_1") -> str:
    """Requests that are committed or rolled back together, as one part."""
    inner = batch(*parts, boundary=name).decode()
    return f"Content-Type: multipart/mixed; boundary={name}\r\n\r\n{inner.removesuffix(chr(13) + chr(10))}"


@dataclass(frozen=True)
class Answer:
    """One part of the answer."""

    status: int
    text: str
    body: str


def answers(content_type: str, body: bytes) -> list[Answer]:
    """The parts of an answer in order; those of a change set are listed like the others."""
    text = body.decode()
    boundary = content_type.partition("boundary=")[2]
    assert text.endswith(f"--{boundary}--\r\n")
    found = []
    for piece in re.split(r"\r\n--[A-Za-z0-9_-]+(?:--)?(?:\r\n|$)", "\r\n" + text):
        status = re.search(r"^HTTP/1\.1 (\d{3})", piece, re.MULTILINE)
        if status is not None:
            head, _, content = piece[status.start() :].partition("\r\n\r\n")
            found.append(Answer(int(status[1]), head, content))
    return found
