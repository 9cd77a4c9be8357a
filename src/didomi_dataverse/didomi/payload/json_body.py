"""Bytes → JSON objects, strictly: what two parsers could take differently is refused or flagged here."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from didomi_dataverse.errors import NotJsonError

JsonObject = dict[str, object]

MAX_DEPTH = 100
"""Levels of objects and lists. Python's own limit depends on its version and on the call stack; too small
refuses bodies that Didomi may send one day, too large lets a body exhaust the stack.
"""

MAX_ENVELOPES = 1_000
"""Notifications in one body. All of them are stored in one transaction, so too many hold up the others."""

_MAX_INTEGER_CHARACTERS = 4_000  # Python refuses to convert longer ones
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), check_circular=False)
_BLANKS = re.compile(r"[ \t\n\r]*")  # JSON's white space, and nothing else


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One JSON object of a body."""

    members: JsonObject = field(repr=False)
    """The object's members. Of a key that occurs twice, the last value."""
    body: bytes = field(repr=False)
    """The object's part of the bytes, unchanged."""
    digest: str
    """SHA-256 (hex) of the canonical form: key order and white space do not make another notification, so a
    repeated delivery is recognised however it is spelt.
    """
    has_duplicate_keys: bool
    """Some object in it has a key twice. RFC 8259, 4 leaves open which of the two values counts."""


def split_envelopes(body: bytes) -> tuple[Envelope, ...]:
    """The objects of a body: itself, or the elements of a list (didomi.md 8.2, question 15).

    Raises NotJsonError unless the body is UTF-8 (a byte order mark is tolerated) and holds one JSON object
    or a list of at most `MAX_ENVELOPES` of them, nested no deeper than `MAX_DEPTH`. NaN and Infinity are not
    JSON.

    >>> [envelope.members for envelope in split_envelopes(b'[{"a": 1}, {"b": 2}]')]
    [{'a': 1}, {'b': 2}]
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NotJsonError("The body is not UTF-8.") from None
    start = _skip_blanks(text, 0)
    if text.startswith("[", start):
        return tuple(_parse_list(text, start + 1))
    envelope, end = _parse_envelope(text, start)
    if end != len(text):
        raise NotJsonError("The body goes on after the JSON object.")
    return (envelope,)


def _parse_list(text: str, position: int) -> Iterator[Envelope]:
    position = _skip_blanks(text, position)
    closed = text.startswith("]", position)
    count = 0
    while not closed:
        count += 1
        if count > MAX_ENVELOPES:
            raise NotJsonError(f"The list holds more than {MAX_ENVELOPES} objects.")
        envelope, position = _parse_envelope(text, position)
        yield envelope
        closed = text.startswith("]", position)
        if not closed:
            if not text.startswith(",", position):
                raise NotJsonError("The list is not closed, or its elements are not separated by commas.")
            position = _skip_blanks(text, position + 1)
    if _skip_blanks(text, position + 1) != len(text):
        raise NotJsonError("The body goes on after the list.")


def _parse_envelope(text: str, start: int) -> tuple[Envelope, int]:
    """The object that starts here, and where the next token starts."""
    if not text.startswith("{", start):
        raise NotJsonError("The body is neither a JSON object nor a list of JSON objects.")
    duplicates: list[None] = []

    def build_object(pairs: list[tuple[str, object]]) -> JsonObject:
        members = dict(pairs)
        if len(members) != len(pairs):
            duplicates.append(None)
        return members

    decoder = json.JSONDecoder(
        object_pairs_hook=build_object, parse_constant=_refuse_constant, parse_int=_parse_integer
    )
    try:
        members, end = decoder.raw_decode(text, start)
    except RecursionError:
        raise NotJsonError(f"The body is nested deeper than {MAX_DEPTH} levels.") from None
    except ValueError as error:
        # The decoder's message names a position and a kind of mistake, never a part of the body.
        raise NotJsonError(f"The body is not JSON: {error}") from None
    if _is_deeper_than(MAX_DEPTH, members, text.count("{", start, end) + text.count("[", start, end)):
        raise NotJsonError(f"The body is nested deeper than {MAX_DEPTH} levels.")
    canonical = _CANONICAL.encode(members)
    envelope = Envelope(
        members=members,
        body=text[start:end].encode(),
        digest=hashlib.sha256(canonical.encode()).hexdigest(),
        has_duplicate_keys=bool(duplicates),
    )
    return envelope, _skip_blanks(text, end)


def _skip_blanks(text: str, position: int) -> int:
    match = _BLANKS.match(text, position)
    return match.end() if match else position


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not numbers.")


def _parse_integer(digits: str) -> int | float:
    # A longer one is valid JSON, but Python does not convert it. It becomes infinite, which every later check
    # refuses.
    return int(digits) if len(digits) <= _MAX_INTEGER_CHARACTERS else float(digits)


def _is_deeper_than(limit: int, root: object, brackets: int) -> bool:
    """Whether `root`, whose text holds so many opening brackets, is nested deeper than `limit`."""
    if brackets <= limit:
        return False
    level = [root]
    for _ in range(limit):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True
