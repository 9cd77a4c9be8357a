"""The delivery modes (docs/decisions/0020-delivery-modes-behind-one-seam.md): three ways to carry the same
requests, with the same replies.

A carrier is asked for a round: what many dialogues want to know or write now. It makes of it as many HTTP
calls as its way needs, and asks for its turn before each.
"""

from collections.abc import Sequence
from typing import Protocol

from didomi_dataverse.dataverse.client import DataverseClient
from didomi_dataverse.dataverse.replies import Answered, Exchange, NotAttempted, Reply, Unknown
from didomi_dataverse.dataverse.requests import Request

# dataverse.md 3.1: up to 1,000 are taken, fewer are wise.
MAX_BATCH_PARTS = 100


class Turns(Protocol):
    """Who says when a call may be made, and hears what came of it."""

    async def begin(self) -> bool:
        """Waits for the turn of one call. False: no more calls now; what is left was not attempted."""

    def end(self, requests: Sequence[Request], exchange: Exchange) -> None:
        """One call ended, with a reply for each of these requests."""


class Dispatcher(Protocol):
    """One way to carry requests."""

    async def send(self, requests: Sequence[Request], turns: Turns) -> tuple[Reply, ...]:
        """A reply for each request, in their order; `NotAttempted` where there was no turn for it.

        Raises TokenRefusedError, TokenUnavailableError and ValueError as `DataverseClient.send`; then some
        requests may have been carried out already, which does no harm: all are conditional or repeatable.
        """


class BatchDispatcher:
    """`$batch` with continue-on-error: a reply of its own for every request, in one call."""

    def __init__(self, client: DataverseClient) -> None:
        self._client = client

    async def send(self, requests: Sequence[Request], turns: Turns) -> tuple[Reply, ...]:
        """As `Dispatcher.send`."""
        replies: list[Reply] = []
        for start in range(0, len(requests), MAX_BATCH_PARTS):
            part = requests[start : start + MAX_BATCH_PARTS]
            if not await turns.begin():
                break
            exchange = await self._client.send(part)
            turns.end(part, exchange)
            replies += exchange.replies
            if stops(exchange):
                break
        return padded(replies, len(requests))


class SingleDispatcher:
    """One call for each request, for servers that know neither `$batch` nor bulk messages."""

    def __init__(self, client: DataverseClient) -> None:
        self._client = client

    async def send(self, requests: Sequence[Request], turns: Turns) -> tuple[Reply, ...]:
        """As `Dispatcher.send`. A call that fails for everybody's reason is the last one."""
        replies: list[Reply] = []
        for request in requests:
            if not await turns.begin():
                break
            exchange = await self._client.send_one(request)
            turns.end((request,), exchange)
            replies += exchange.replies
            if stops(exchange):
                break
        return padded(replies, len(requests))


def stops(exchange: Exchange) -> bool:
    """Would the next call fare the same: is nobody there, or was the call refused as a whole?"""
    first = exchange.replies[0]
    return isinstance(first, Unknown) or (isinstance(first, Answered) and first.whole_call)


def padded(replies: Sequence[Reply], length: int) -> tuple[Reply, ...]:
    """The replies, and "not attempted" for the requests that they do not reach to."""
    return (*replies, *(NotAttempted() for _ in range(length - len(replies))))
