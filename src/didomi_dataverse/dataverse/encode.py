"""A request as HTTP, and the rows of a read's answer as GUIDs: the same alone and as a part of a `$batch`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, assert_never

from didomi_dataverse.dataverse.keys import look_up_query, normal_guid, row_path
from didomi_dataverse.dataverse.replies import Answered, Unknown, UnknownCause
from didomi_dataverse.dataverse.requests import Condition, LookUp, Request, Resolve, Write
from didomi_dataverse.dataverse.tables import CONTACT

_CONDITION_HEADERS: Final[Mapping[Condition, tuple[str, str]]] = {
    Condition.UPDATE_ONLY: ("If-Match", "*"),
    Condition.CREATE_ONLY: ("If-None-Match", "*"),
}
ASK_FOR_NAMES: Final = ("Prefer", 'odata.include-annotations="*"')
"""The header that asks for annotations. Those of an error hold its symbolic name, the best classifier
(dataverse.md 5.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedRequest:
    """A request in the words of HTTP."""

    method: str
    """GET or PATCH."""

    path: str
    """Relative to the API path, already encoded."""

    headers: tuple[tuple[str, str], ...]
    """Those of this request, besides the ones that every call has."""

    content: bytes = b""
    """The body; empty for a read."""


def encode_request(request: Request) -> EncodedRequest:
    """The request as HTTP.

    Raises ValueError when a key or value does not fit (`keys.fits_key_url`, `keys.fits_filter`), or when a
    number is not finite.
    """
    match request:
        case Write(key, condition, columns):
            return EncodedRequest(
                method="PATCH",
                path=row_path(key),
                headers=(
                    ("Content-Type", "application/json; type=entry"),
                    _CONDITION_HEADERS[condition],
                    ASK_FOR_NAMES,
                ),
                content=encode_json(columns),
            )
        case LookUp():
            path = look_up_query(request)
        case Resolve(key):
            path = f"{row_path(key)}?$select={CONTACT.id_column}"
        case _:
            assert_never(request)
    return EncodedRequest(method="GET", path=path, headers=(("Accept", "application/json"), ASK_FOR_NAMES))


def encode_json(document: object) -> bytes:
    """Compact JSON in UTF-8. Raises ValueError for NaN and infinity.

    >>> encode_json({"new_topics": "é", "donotemail": None}).decode()
    '{"new_topics":"é","donotemail":null}'
    """
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        # Half of a surrogate pair. As an escape it can be sent: then the server refuses this row. Raising
        # here would fail the whole call.
        return json.dumps(document, allow_nan=False, separators=(",", ":")).encode("ascii")


def add_rows(answered: Answered, request: Request, body: bytes) -> Answered | Unknown:
    """The answer with the rows that a read found.

    `Unknown` when the rows cannot be read: "no row" would be a wrong result. A write's answer and an error
    are returned as they are.
    """
    if isinstance(request, Write) or not 200 <= answered.status < 300:
        return answered
    try:
        document = json.loads(body)
        rows = [document] if isinstance(request, Resolve) else document["value"]
        texts = [row[CONTACT.id_column] for row in rows]
    except (ValueError, RecursionError, LookupError, TypeError):
        return Unknown(UnknownCause.MALFORMED)
    guids = [normal_guid(text) if isinstance(text, str) else None for text in texts]
    row_ids = tuple(guid for guid in guids if guid is not None)
    if len(row_ids) != len(guids):
        return Unknown(UnknownCause.MALFORMED)
    # An answer may name a row twice.
    return replace(answered, row_ids=tuple(dict.fromkeys(row_ids)))
