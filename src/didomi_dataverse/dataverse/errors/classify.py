"""Classifies an answer: the rule of precedence below the table of dataverse.md 5.3.

A throttle first, then a refused token, then the symbolic name, then the code, then the status. Messages are
not read, because they are localised. The one exception comes from a router, not from Dataverse.
"""

from collections.abc import Iterator
from typing import Final, assert_never

from didomi_dataverse.dataverse.errors import table
from didomi_dataverse.dataverse.errors.entry import Action, Entry
from didomi_dataverse.dataverse.replies import Answer, Answered, NotAttempted, Reply, Unknown
from didomi_dataverse.dataverse.requests import Condition


def classify(answer: Answer, condition: Condition | None = None) -> Reply:
    """The reply to a request: its answer with what the answer calls for.

    `condition` is the write's; None for a read, or when it is not known. It matters for a 412 without a code,
    which means "the row exists" only where that was the condition.

    >>> classify(Answered(status=404, code="0x80060891")).action
    <Action.SKIP: 'skip'>
    """
    match answer:
        case Answered():
            entry = _find_entry(answer, condition)
            alone = entry.alone if entry.action is Action.SPLIT else entry.action
            # One row may have made the server refuse the call, and the answer does not say which
            # (dataverse.md 5.3, "in all bulk calls split first").
            shared = Action.SPLIT if answer.whole_call and entry.action in _ROW_ACTIONS else entry.action
            return Reply(answer, entry, shared, alone)
        case NotAttempted() | Unknown():
            return Reply(answer, table.NO_ANSWER, Action.RETRY, Action.RETRY)
        case _:
            assert_never(answer)


def is_too_large(reply: Reply) -> bool:
    """Whether fewer rows per call are the remedy: 413, or a time-out of the database or a plug-in
    (dataverse.md 5.3).
    """
    if not isinstance(reply.answer, Answered):
        return False
    return reply.answer.status == 413 or (
        reply.entry.action is Action.SPLIT and reply.entry.alone is Action.RETRY
    )


def _find_entry(answered: Answered, condition: Condition | None) -> Entry:
    status = answered.status
    if status == 429:
        return table.THROTTLED
    if status == 401:
        return table.UNAUTHORISED
    known = _find_known(answered) or _find_by_status(answered, condition)
    if status == 503 and answered.retry_after is not None and known.action is Action.RETRY:
        return table.THROTTLED
    return known


def _find_known(answered: Answered) -> Entry | None:
    for sign in (answered.name.lower(), answered.code):
        if sign:
            entry = _INDEX.get((sign, answered.status)) or _INDEX.get((sign, None))
            if entry is not None:
                return entry
    return None


def _find_by_status(answered: Answered, condition: Condition | None) -> Entry:
    status = answered.status
    if 200 <= status < 300:
        # A success that is not a multipart answer to a $batch did not come from the Web API.
        return table.NO_WEB_API if answered.whole_call else table.DONE
    if 300 <= status < 400:
        return table.NO_WEB_API
    if status == 404 and (answered.whole_call or answered.message.startswith(_NO_ROUTE)):
        return table.WRONG_PATH
    if status == 412 and condition is not Condition.UPDATE_ONLY:
        return table.EXISTS
    if status == 500 and answered.whole_call:
        return table.FAILING_CALL
    if entry := table.BY_STATUS.get(status):
        return entry
    return table.FAILING if status >= 500 else table.REFUSED


_ROW_ACTIONS: Final = frozenset({Action.DEAD, Action.SKIP, Action.REUPSERT, Action.RE_RESOLVE})
"""What can be true of a row only, and so of a whole call only through one of its rows."""

_NO_ROUTE: Final = "No HTTP resource was found"
"""The one message that is read: 404 without a code is a missing row or a missing route (dataverse.md 5.3)."""


def _list_signs(entry: Entry) -> Iterator[tuple[str, int | None]]:
    for sign in (*entry.names, *entry.codes):
        yield sign.lower(), entry.status


_INDEX: Final = {sign: entry for entry in table.TABLE for sign in _list_signs(entry)}
