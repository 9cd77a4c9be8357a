"""Bytes → JSON objects, strictly: what two readers could read differently is refused or flagged here."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from didomi_dataverse.errors import NotJsonError

JsonObject = dict[str, object]

MAX_DEPTH = 100
MAX_ENVELOPES = 1_000
_MAX_INTEGER_CHARACTERS = 4_000  # Python refuses to convert longer ones
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), check_circular=False)
_BLANKS = re.compile(r"[ \t\n\r]*")  # what JSON takes for white space, and nothing else


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One JSON object of a body. `body` is its part of the bytes, untouched.

    `digest` is the SHA-256 (hex) of the canonical form: key order and white space do not make another
    notification, so a repeated delivery is recognized however it is spelt. `has_duplicate_keys` says that
    some object in it names a key twice; which one counts is anybody's guess (RFC 8259, 4).
    """

    members: JsonObject = field(repr=False)
    body: bytes = field(repr=False)
    digest: str
    has_duplicate_keys: bool


def split_envelopes(body: bytes) -> tuple[Envelope, ...]:
    """The objects of a body: itself, or the elements of a list (didomi.md 8.2, question 15).

    Raises NotJsonError unless the body is UTF-8 (a byte order mark is tolerated) and holds one JSON object
    or a list of at most `MAX_ENVELOPES` of them, nested no deeper than `MAX_DEPTH`. NaN and Infinity are no
    JSON.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NotJsonError("The body is not UTF-8.") from None
    start = _past_blanks(text, 0)
    if text.startswith("[", start):
        return tuple(_elements(text, start + 1))
    envelope, end = _envelope(text, start)
    if end != len(text):
        raise NotJsonError("The body goes on after the JSON object.")
    return (envelope,)


def _elements(text: str, position: int) -> Iterator[Envelope]:
    position = _past_blanks(text, position)
    closed = text.startswith("]", position)
    count = 0
    while not closed:
        count += 1
        if count > MAX_ENVELOPES:
            raise NotJsonError(f"The list holds more than {MAX_ENVELOPES} objects.")
        envelope, position = _envelope(text, position)
        yield envelope
        closed = text.startswith("]", position)
        if not closed:
            if not text.startswith(",", position):
                raise NotJsonError("The list is not closed, or its elements are not separated by commas.")
            position = _past_blanks(text, position + 1)
    if _past_blanks(text, position + 1) != len(text):
        raise NotJsonError("The body goes on after the list.")


def _envelope(text: str, start: int) -> tuple[Envelope, int]:
    """The object that starts here, and where the next token starts."""
    if not text.startswith("{", start):
        raise NotJsonError("The body is neither a JSON object nor a list of JSON objects.")
    duplicates: list[None] = []

    def members_of(pairs: list[tuple[str, object]]) -> JsonObject:
        members = dict(pairs)
        if len(members) != len(pairs):
            duplicates.append(None)
        return members

    decoder = json.JSONDecoder(
        object_pairs_hook=members_of, parse_constant=_refuse_constant, parse_int=_integer
    )
    try:
        found, end = decoder.raw_decode(text, start)
    except RecursionError:
        raise NotJsonError(f"The body is nested deeper than {MAX_DEPTH} levels.") from None
    except ValueError as error:
        # The decoder's message names a position and a kind of mistake, never a part of the body.
        raise NotJsonError(f"The body is not JSON: {error}") from None
    if _is_deeper_than(MAX_DEPTH, found, text.count("{", start, end) + text.count("[", start, end)):
        raise NotJsonError(f"The body is nested deeper than {MAX_DEPTH} levels.")
    canonical = _CANONICAL.encode(found)
    envelope = Envelope(
        members=found,
        body=text[start:end].encode(),
        digest=hashlib.sha256(canonical.encode()).hexdigest(),
        has_duplicate_keys=bool(duplicates),
    )
    return envelope, _past_blanks(text, end)


def _past_blanks(text: str, position: int) -> int:
    match = _BLANKS.match(text, position)
    return match.end() if match else position


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not numbers.")


def _integer(digits: str) -> int | float:
    # Valid JSON, if no number that anyone can mean: it becomes infinite, which every later check refuses.
    return int(digits) if len(digits) <= _MAX_INTEGER_CHARACTERS else float(digits)


def _is_deeper_than(limit: int, found: object, brackets: int) -> bool:
    """A fixed limit, because Python's own depends on its version and on who called."""
    if brackets <= limit:
        return False
    level = [found]
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
