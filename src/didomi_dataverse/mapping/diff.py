"""Which column values differ from what Dataverse confirmed, and so have to be sent. Pure."""

import re
from collections.abc import Mapping
from datetime import datetime
from enum import Enum, auto

from didomi_dataverse.consent.model import JsonScalar, is_same_value
from didomi_dataverse.ledger.delivery_state import Written
from didomi_dataverse.mapping.apply import ColumnValue, ColumnValues

_DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def diff_columns(values: ColumnValues, written: Mapping[str, Written]) -> dict[str, ColumnValue]:
    """The columns to send, by name: the diff of docs/how-choices-are-decided.md, "What is sent".

    `written` is what Dataverse confirmed for each column; a column that is not in it was never written. A
    column is sent when it was never written, when its value differs from the confirmed one, or when a person
    stated it again since. Repeating a choice overrides an edit made in the CRM in the meantime.

    An audit column with only another value is the exception, because every snapshot that repeats old choices
    may change it. It is sent only together with a column that it describes. Three things send an audit column
    by itself: a newer statement of the person, a column that was never written, and a column that is now
    written in another format (the rule was changed).
    """
    to_send: dict[str, ColumnValue] = {}
    moved: list[ColumnValue] = []
    for column, value in values.values.items():
        last = written.get(column)
        if last is None or _is_newer(value.stated_at, last.stated_at):
            to_send[column] = value
        elif not is_same_value(value.value, last.value):
            if value.follows is not None and _audit_format(value.value) is _audit_format(last.value):
                moved.append(value)
            else:
                to_send[column] = value
    leaders = frozenset(to_send)
    to_send.update({audit.column: audit for audit in moved if leaders.intersection(audit.follows or ())})
    return to_send


def _is_newer(stated_at: datetime | None, than: datetime | None) -> bool:
    return stated_at is not None and (than is None or stated_at > than)


class _AuditFormat(Enum):
    """The formats that the value of an audit column can have."""

    EMPTY = auto()
    DATETIME = auto()
    DATE = auto()
    ID = auto()


def _audit_format(value: JsonScalar) -> _AuditFormat:
    if not isinstance(value, str):
        return _AuditFormat.EMPTY
    if _DATETIME.fullmatch(value):
        return _AuditFormat.DATETIME
    return _AuditFormat.DATE if _DATE.fullmatch(value) else _AuditFormat.ID
