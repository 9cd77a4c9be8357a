"""`CreateMultiple` and `UpdateMultiple` as bytes (dataverse.md 3.4).

`UpsertMultiple` is not used: it has no update-only mode, so it would create rows that nobody allowed, and its
204 does not say which (dataverse.md 3.4).
"""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

from didomi_dataverse.dataverse.encode import encode_json
from didomi_dataverse.dataverse.errors.classify import Action, entry_for
from didomi_dataverse.dataverse.replies import Answered
from didomi_dataverse.dataverse.requests import AlternateKey, RowId, Write
from didomi_dataverse.dataverse.tables import CONTACT

# dataverse.md 3.4: required on every target.
_TYPE: Final = {"@odata.type": CONTACT.odata_type}


class BulkMessage(StrEnum):
    """The messages in use."""

    CREATE = "CreateMultiple"
    UPDATE = "UpdateMultiple"


def bulk_path(message: BulkMessage) -> str:
    """Relative to the API path."""
    return f"{CONTACT.entity_set}/Microsoft.Dynamics.CRM.{message.value}"


def availability_query(message: BulkMessage) -> str:
    """Asks whether the message is registered for the Contact table (dataverse.md 3.4)."""
    condition = "sdkmessageid/name%20eq%20@m%20and%20primaryobjecttypecode%20eq%20@t"
    parameters = f"&@m=%27{message.value}%27&@t=%27{CONTACT.logical_name}%27"
    return f"sdkmessagefilters?$select=sdkmessagefilterid&$filter={condition}{parameters}"


def is_available(body: bytes) -> bool | None:
    """Does the answer to `availability_query` name a row? None when it cannot be read."""
    try:
        rows = json.loads(body)["value"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
    return bool(rows) if isinstance(rows, list) else None


def encode_updates(updates: Sequence[tuple[Write, str]]) -> bytes:
    """Each write with the GUID of its row. ValueError for a number that JSON cannot say."""
    return _encode([{CONTACT.id_column: guid, **write.columns} for write, guid in updates])


def encode_creations(writes: Sequence[Write]) -> bytes:
    """Rows that are to be new. No URL carries the key, so it stands in the body, in this message only."""
    return _encode([{**_key_columns(write), **write.columns} for write in writes])


def place_of(write: Write) -> tuple[str, str]:
    """What no two targets of a call may share: the key, without regard to case and accents (dataverse.md 1.5,
    3.4). Where the server does tell accents apart, the second goes in a call of its own for nothing.
    """
    match write.key:
        case RowId(guid):
            return CONTACT.id_column, guid.lower()
        case AlternateKey(column, value):
            letters = unicodedata.normalize("NFKD", value.strip().casefold())
            return column, "".join(letter for letter in letters if not unicodedata.combining(letter))


def is_success(message: BulkMessage, status: int, body: bytes) -> bool:
    """204 after an update, 200 with the new ids after a creation; anything else came from elsewhere."""
    if message is BulkMessage.UPDATE:
        return status == 204
    try:
        return status == 200 and isinstance(json.loads(body)["Ids"], list)
    except (ValueError, RecursionError, LookupError, TypeError):
        return False


def is_of_a_row(reply: Answered) -> bool:
    """Was the call refused for one of its rows, so that `$batch` can tell which (dataverse.md 3.4)?

    Not for its size or duration: a smaller call is the remedy there. Not for who asks or how often.
    """
    entry = entry_for(reply)
    if not reply.whole_call or entry.action is Action.WAIT or reply.status in {401, 408, 413, 429}:
        return False
    if entry.action is Action.SPLIT and entry.alone is Action.RETRY:
        return False
    return 400 <= reply.status < 500 or bool(reply.code)


def _key_columns(write: Write) -> dict[str, str]:
    match write.key:
        case RowId(guid):
            return {CONTACT.id_column: guid}
        case AlternateKey(column, value):
            return {column: value}


def _encode(rows: Sequence[Mapping[str, object]]) -> bytes:
    return encode_json({"Targets": [{**_TYPE, **row} for row in rows]})
