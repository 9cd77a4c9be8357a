"""How requests become calls: what every delivery mode has in common.

A dispatcher plans a round, which is what many write flows ask at the same time. The plan is a generator
without I/O: it yields one call after another, is handed what came of each, and returns a reply for each
request (docs/decisions/0020-delivery-modes-behind-one-seam.md).
"""

from collections.abc import Generator, Iterable, Sequence
from typing import Final, Protocol

from didomi_dataverse.dataverse.calls import Call, Exchange
from didomi_dataverse.dataverse.errors.classify import classify
from didomi_dataverse.dataverse.replies import NotAttempted, Reply, Unknown
from didomi_dataverse.dataverse.requests import Request

CallPlan = Generator[Call, Exchange | None, tuple[Reply, ...]]
"""Yields calls, one at a time. Send it the exchange of each, or None when the call may not be made now: its
requests count as not attempted. Returns a reply for each request, in their order."""

NOT_ATTEMPTED: Final = classify(NotAttempted())
"""The reply to a request for which no call was made."""


class Dispatcher(Protocol):
    """A delivery mode: one way to make calls of requests."""

    def plan(self, requests: Sequence[Request]) -> CallPlan:
        """The calls for these requests.

        What fails between two calls (no token, a request that cannot be encoded) is not thrown into the plan:
        abandon it. Some requests may have been carried out then, which does no harm: all of them are
        conditional or repeatable.
        """


def plan_in_order(calls: Iterable[Call], count: int) -> CallPlan:
    """Makes the calls one after another, until one may not be made or the next would fare the same.

    `count` is the number of requests in all calls together.
    """
    replies: list[Reply] = []
    for call in calls:
        exchange = yield call
        if exchange is None:
            break
        replies += exchange.replies
        if _concerns_next(exchange):
            break
    return (*replies, *(NOT_ATTEMPTED,) * (count - len(replies)))


def _concerns_next(exchange: Exchange) -> bool:
    """Whether the next call would fare the same: no answer came, or the call was refused as a whole."""
    first = exchange.replies[0]
    return isinstance(first.answer, Unknown) or first.is_whole_call
