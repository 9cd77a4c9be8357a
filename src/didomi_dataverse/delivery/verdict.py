"""What the replies of one round say together: is a refusal a row's own, or does every row share its cause?

One bad row delays only itself (docs/promises.md 4). A refusal that every row shares stops the sender instead:
otherwise every contact would be parked for one mistake in the set-up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from didomi_dataverse.dataverse.errors.entry import Action
from didomi_dataverse.dataverse.replies import Answered, Reply
from didomi_dataverse.dataverse.requests import LookUp, Write

MAX_SINGLE_ROW_FAULTS: Final = 3
"""Consecutive single-row mapping faults after which the mapping, not the row, is assumed wrong. Too small:
two bad rows in a row stop the sender. Too large: with little traffic, that many contacts are parked for a
mistake in the mapping."""


@dataclass(frozen=True, slots=True)
class RowResult:
    """What was asked for one contact in a round, and the reply."""

    request: Write | LookUp
    """The request."""

    reply: Reply
    """The reply to it."""

    is_partial: bool = False
    """Whether the contact's whole row was refused before, and this writes only the refusals in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to do after a round."""

    to_split: frozenset[int]
    """The rows, by index, whose call was refused as a whole: one of them is the cause. They are sent again in
    halves."""

    shared_refusal: Reply | None
    """A refusal that every row shares, so that only a person can end it; None without one."""

    is_healthy: bool
    """Whether the round shows that the sender may go on: a row was carried out, or refused for its own
    sake."""

    single_row_faults: int
    """Consecutive single-row mapping faults up to now. An argument of the next `judge`."""

    @property
    def stops_sender(self) -> bool:
        """Whether the shared refusal is certain. It is not while rows are still to be split."""
        return self.shared_refusal is not None and not self.to_split


def judge(results: Sequence[RowResult], *, single_row_faults: int, is_alerted: bool) -> Verdict:
    """The verdict on one round.

    `single_row_faults` is that of the round before. `is_alerted`: the sender is stopped already, and this
    round asks whether the cause is gone.
    """
    to_split = frozenset(index for index, result in enumerate(results) if _is_refused_call(result.reply))
    if len(to_split) == 1:
        # No other row of the call can be the cause, so the reply is about this one.
        to_split = frozenset()
    # A refusal that is written by itself says nothing of the column for which the whole row was refused.
    telling = [result for result in results if not (result.is_partial and _is_written(result))]
    if any(map(_is_written, telling)):
        single_row_faults = 0
    elif len(telling) == 1 and is_mapping_fault(telling[0].reply):
        single_row_faults += 1
    is_suspected = is_alerted or single_row_faults >= MAX_SINGLE_ROW_FAULTS
    shared = _find_shared_refusal(telling, is_suspected=is_suspected)
    is_stopped = shared is not None and not to_split
    return Verdict(
        to_split=to_split,
        shared_refusal=shared,
        is_healthy=not is_stopped and any(_is_healthy(result.reply) for result in results),
        single_row_faults=single_row_faults,
    )


def is_mapping_fault(reply: Reply) -> bool:
    """Whether the mapping, rather than the row, is probably wrong (dataverse.md 5.3)."""
    return reply.entry.mapping_fault


def _find_shared_refusal(results: Sequence[RowResult], *, is_suspected: bool) -> Reply | None:
    """A refusal that only a person can end; None when a row beside it was written, which makes it that row's
    own.

    A fault of the mapping fails every row of a call (dataverse.md 5.3). `is_suspected`: a single row is proof
    enough.
    """
    shared = None
    faults = 0
    for result in results:
        if _is_written(result):
            return None
        if not isinstance(result.reply.answer, Answered):
            continue
        if result.reply.action_alone in {Action.ALERT, Action.TOKEN}:
            shared = result.reply
        elif is_mapping_fault(result.reply):
            faults += 1
            if faults == len(results) and (faults > 1 or is_suspected):
                shared = result.reply
    return shared


def _is_refused_call(reply: Reply) -> bool:
    """Whether the call was refused as a whole for what is in it, rather than for who asks or how often."""
    return reply.is_whole_call and reply.action is Action.SPLIT


def _is_written(result: RowResult) -> bool:
    return isinstance(result.request, Write) and result.reply.action_alone is Action.DONE


def _is_healthy(reply: Reply) -> bool:
    """Whether the cause of a stop would be gone: the request was carried out, or refused for its own row."""
    if not isinstance(reply.answer, Answered) or reply.answer.whole_call:
        return False
    return reply.action_alone not in {Action.ALERT, Action.TOKEN, Action.WAIT, Action.RETRY}
