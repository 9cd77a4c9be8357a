"""A request as HTTP, and a row answer as GUIDs: the same alone and as a part of a `$batch`."""

import json
from dataclasses import dataclass, replace
from typing import Final, assert_never

from didomi_dataverse.dataverse.keys import ID_COLUMN, look_up_query, normal_guid, row_path
from didomi_dataverse.dataverse.replies import Answered, Reply, Unknown
from didomi_dataverse.dataverse.requests import Condition, LookUp, Request, Resolve, Write

_CONDITION: Final = {
    Condition.UPDATE_ONLY: ("If-Match", "*"),
    Condition.CREATE_ONLY: ("If-None-Match", "*"),
}
# dataverse.md 5.1: the annotations of an error hold its symbolic name, the best classifier there is.
ASK_FOR_NAMES: Final = ("Prefer", 'odata.include-annotations="*"')


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedRequest:
    """`path` is relative to the API path and encoded. `content` is empty for reads."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    content: bytes = b""


def encode_request(request: Request) -> EncodedRequest:
    """ValueError when a key or value does not fit (`key.fits_key_url`, `key.fits_filter`), or when a number
    is not finite.
    """
    match request:
        case Write(key, condition, columns):
            return EncodedRequest(
                method="PATCH",
                path=row_path(key),
                headers=(
                    ("Content-Type", "application/json; type=entry"),
                    _CONDITION[condition],
                    ASK_FOR_NAMES,
                ),
                content=encode_json(columns),
            )
        case LookUp():
            path = look_up_query(request)
        case Resolve(key):
            path = f"{row_path(key)}?$select={ID_COLUMN}"
        case _:
            assert_never(request)
    return EncodedRequest(method="GET", path=path, headers=(("Accept", "application/json"), ASK_FOR_NAMES))


def encode_json(document: object) -> bytes:
    """Compact JSON in UTF-8. ValueError for NaN and infinity."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        # Half of a surrogate pair. As an escape it can be sent, so that the server refuses this row, not we
        # the call.
        return json.dumps(document, allow_nan=False, separators=(",", ":")).encode("ascii")


def with_rows(answered: Answered, request: Request, body: bytes) -> Reply:
    """A read's answer with its rows; unknown when unreadable, because "no row" would be a finding."""
    if isinstance(request, Write) or not 200 <= answered.status < 300:
        return answered
    try:
        document = json.loads(body)
        rows = [document] if isinstance(request, Resolve) else document["value"]
        texts = [row[ID_COLUMN] for row in rows]
    except (ValueError, RecursionError, LookupError, TypeError):
        return Unknown("malformed")
    guids = [normal_guid(text) if isinstance(text, str) else None for text in texts]
    row_ids = tuple(guid for guid in guids if guid is not None)
    if len(row_ids) != len(guids):
        return Unknown("malformed")
    # A row is one row however often it is named.
    return replace(answered, row_ids=tuple(dict.fromkeys(row_ids)))
