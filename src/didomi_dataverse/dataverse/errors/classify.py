"""What an answer calls for: the rule of precedence below the table of dataverse.md 5.3.

A throttle first, then a refused token, then the symbolic name, then the code, then the status. Messages are
not read (they are localised), with one exception that comes from a router and not from Dataverse.
"""

from collections.abc import Iterator
from typing import Final

from didomi_dataverse.dataverse.errors import table as entries
from didomi_dataverse.dataverse.errors.table import CATALOGUE, Action, Entry
from didomi_dataverse.dataverse.replies import Answered
from didomi_dataverse.dataverse.requests import Condition

__all__ = ["Action", "Entry", "advice_for", "classify", "entry_for"]


def classify(answered: Answered, condition: Condition | None = None, *, alone: bool = False) -> Action:
    """The class of action for one write's or look-up's answer.

    `condition` is the write's, None for a look-up or when unknown: a 412 without a code means "it exists"
    only where that was the condition. `alone` says that the call carried nothing else, so that nothing can be
    split.
    """
    entry = entry_for(answered, condition)
    if entry.action is Action.SPLIT:
        return entry.alone if alone else Action.SPLIT
    if answered.whole_call and not alone and entry.action in _ROW_ACTIONS:
        # One row may have made the server refuse the call, and nothing says which (dataverse.md 5.3, "in all
        # bulk calls split first").
        return Action.SPLIT
    return entry.action


def advice_for(answered: Answered, condition: Condition | None = None) -> str:
    """What happened and what a person can do, without data. Empty where nothing needs doing."""
    return entry_for(answered, condition).advice


def entry_for(answered: Answered, condition: Condition | None = None) -> Entry:
    """The catalogue's row for an answer, by its status alone when the catalogue does not know it."""
    status = answered.status
    if status == 429:
        return entries.THROTTLED
    if status == 401:
        return entries.UNAUTHORISED
    known = _known(answered)
    if known is None:
        known = _by_status(answered, condition)
    if status == 503 and answered.retry_after is not None and known.action is Action.RETRY:
        return entries.THROTTLED
    return known


def _known(answered: Answered) -> Entry | None:
    for sign in (answered.name.lower(), answered.code):
        if sign:
            entry = _INDEX.get((sign, answered.status)) or _INDEX.get((sign, None))
            if entry is not None:
                return entry
    return None


def _by_status(answered: Answered, condition: Condition | None) -> Entry:
    status = answered.status
    if 200 <= status < 300:
        # A success that is no multipart answer to a $batch did not come from the Web API.
        return entries.NO_WEB_API if answered.whole_call else entries.DONE
    if 300 <= status < 400:
        return entries.NO_WEB_API
    if status == 404 and (answered.whole_call or answered.message.startswith(_NO_ROUTE)):
        return entries.WRONG_PATH
    if status == 412 and condition is not Condition.UPDATE_ONLY:
        return entries.EXISTS
    if status == 500 and answered.whole_call:
        return entries.FAILING_CALL
    if entry := entries.BY_STATUS.get(status):
        return entry
    return entries.FAILING if status >= 500 else entries.REFUSED


# What can be true of a row only, and so of a whole call only through one of its rows.
_ROW_ACTIONS: Final = frozenset({Action.DEAD, Action.SKIP, Action.REUPSERT, Action.RE_RESOLVE})
# The one message that is read: 404 without a code is a missing row or a missing route (dataverse.md 5.3).
_NO_ROUTE: Final = "No HTTP resource was found"


def _signs(entry: Entry) -> Iterator[tuple[str, int | None]]:
    for sign in (*entry.names, *entry.codes):
        yield sign.lower(), entry.status


_INDEX: Final = {sign: entry for entry in CATALOGUE for sign in _signs(entry)}
