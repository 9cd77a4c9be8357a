"""`CreateMultiple` and `UpdateMultiple` as bytes (dataverse.md 3.4).

`UpsertMultiple` is not used: it has no update-only mode, so it would create rows without permission, and its
204 does not say which (dataverse.md 3.4).
"""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

from didomi_dataverse.dataverse.encode import encode_json
from didomi_dataverse.dataverse.errors.classify import is_too_large
from didomi_dataverse.dataverse.errors.entry import Action
from didomi_dataverse.dataverse.replies import Answered, Reply
from didomi_dataverse.dataverse.requests import AlternateKey, RowId, RowKey, Write
from didomi_dataverse.dataverse.tables import CONTACT

# dataverse.md 3.4: required on every target.
_TYPE: Final = {"@odata.type": CONTACT.odata_type}


class BulkMessage(StrEnum):
    """The messages in use."""

    CREATE = "CreateMultiple"
    UPDATE = "UpdateMultiple"


def bulk_path(message: BulkMessage) -> str:
    """The path of the message, relative to the API path.

    >>> bulk_path(BulkMessage.CREATE)
    'contacts/Microsoft.Dynamics.CRM.CreateMultiple'
    """
    return f"{CONTACT.entity_set}/Microsoft.Dynamics.CRM.{message.value}"


def availability_query(message: BulkMessage) -> str:
    """The path and query that ask whether the Contact table has the message (dataverse.md 3.4)."""
    condition = "sdkmessageid/name%20eq%20@m%20and%20primaryobjecttypecode%20eq%20@t"
    parameters = f"&@m=%27{message.value}%27&@t=%27{CONTACT.logical_name}%27"
    return f"sdkmessagefilters?$select=sdkmessagefilterid&$filter={condition}{parameters}"


def read_availability(body: bytes) -> bool | None:
    """Whether the answer to `availability_query` names a row; None when it cannot be read.

    >>> read_availability(b'{"value": []}')
    False
    """
    try:
        rows = json.loads(body)["value"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
    return bool(rows) if isinstance(rows, list) else None


def encode_updates(updates: Sequence[tuple[Write, str]]) -> bytes:
    """The body of `UpdateMultiple`: each write with the GUID of its row.

    Raises ValueError for a number that JSON cannot express.
    """
    return _encode([{CONTACT.id_column: guid, **write.columns} for write, guid in updates])


def encode_creations(writes: Sequence[Write]) -> bytes:
    """The body of `CreateMultiple`. This message has no URL to carry the key, so the key is a column of the
    row, here only.

    Raises ValueError for a number that JSON cannot express.
    """
    return _encode([{**_key_columns(write), **write.columns} for write in writes])


def target_key(key: RowKey) -> tuple[str, str]:
    """What no two targets of a call may share: their key, without regard to case and accents (dataverse.md
    1.5, 3.4). Where the server does distinguish accents, the second write needlessly goes in a call of its
    own.

    >>> target_key(AlternateKey("new_didomikey", " José "))
    ('new_didomikey', 'jose')
    """
    match key:
        case RowId(guid):
            return CONTACT.id_column, guid.lower()
        case AlternateKey(column, value):
            letters = unicodedata.normalize("NFKD", value.strip().casefold())
            return column, "".join(letter for letter in letters if not unicodedata.combining(letter))


def is_success(message: BulkMessage, status: int, body: bytes) -> bool:
    """Whether Dataverse carried the message out: 204 for an update, 200 with the new ids for a creation. Any
    other answer is an error, or came from elsewhere.
    """
    if message is BulkMessage.UPDATE:
        return status == 204
    try:
        return status == 200 and isinstance(json.loads(body)["Ids"], list)
    except (ValueError, RecursionError, LookupError, TypeError):
        return False


def is_row_refusal(reply: Reply) -> bool:
    """Whether a bulk message was refused for one of its rows, so that `$batch` can tell which (dataverse.md
    3.4).

    Not for its size or duration: a smaller call is the remedy there. Not for who asks or how often.
    """
    answer = reply.answer
    if not isinstance(answer, Answered) or not answer.whole_call or is_too_large(reply):
        return False
    if reply.entry.action is Action.WAIT or answer.status in {401, 408, 429}:
        return False
    return 400 <= answer.status < 500 or bool(answer.code)


def _key_columns(write: Write) -> dict[str, str]:
    match write.key:
        case RowId(guid):
            return {CONTACT.id_column: guid}
        case AlternateKey(column, value):
            return {column: value}


def _encode(rows: Sequence[Mapping[str, object]]) -> bytes:
    return encode_json({"Targets": [{**_TYPE, **row} for row in rows]})
