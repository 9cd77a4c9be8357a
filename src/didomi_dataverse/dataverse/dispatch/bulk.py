"""The delivery mode `multiple`: bulk messages for rows that certainly exist or certainly do not, `$batch` for
everything else.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

from didomi_dataverse.dataverse.bulk_body import (
    BulkMessage,
    encode_creations,
    encode_updates,
    is_row_refusal,
    target_key,
)
from didomi_dataverse.dataverse.calls import AvailabilityCall, BulkCall, Call, Exchange
from didomi_dataverse.dataverse.dispatch.base import NOT_ATTEMPTED, CallPlan
from didomi_dataverse.dataverse.dispatch.batch import BatchDispatcher
from didomi_dataverse.dataverse.errors.entry import Action
from didomi_dataverse.dataverse.replies import Answered, Reply
from didomi_dataverse.dataverse.requests import AlternateKey, Condition, Request, Resolve, RowId, Write

_Steps = Generator[Call, Exchange | None, None]
"""A part of a call plan, which notes what it found in the progress."""

MIN_TARGETS = 2
"""The fewest rows for which a bulk message is sent: for one row it saves nothing, and its answer says
less."""


def _ignore(_message: BulkMessage, _status: int | None) -> None:
    """Does nothing."""


class BulkDispatcher:
    """Bulk messages (dataverse.md 3.4), with the replies that `$batch` would have given.

    Updates need the GUIDs of their rows, so keys are resolved first, in one `$batch` of reads; a row that is
    missing gets the answer of that read, which is what a conditional PATCH would have got. A call that is
    refused for what is in it goes through `$batch` once more, so that only its bad row fails.
    """

    def __init__(self, *, on_unavailable: Callable[[BulkMessage, int | None], None] = _ignore) -> None:
        """`on_unavailable` is called once for each message that the table does not have, with the HTTP
        status where the message itself was refused.
        """
        self._batch = BatchDispatcher()
        self._on_unavailable = on_unavailable
        self._messages: set[BulkMessage] | None = None
        """The messages that the table has; None until that is known."""

    def plan(self, requests: Sequence[Request]) -> CallPlan:
        """As `Dispatcher.plan`."""
        messages = yield from self._find_available()
        updates = _find_writes(requests, Condition.UPDATE_ONLY) if BulkMessage.UPDATE in messages else []
        creations = _find_writes(requests, Condition.CREATE_ONLY) if BulkMessage.CREATE in messages else []
        progress = _Progress(
            list(requests), dict.fromkeys(updates, "") if len(updates) >= MIN_TARGETS else {}
        )
        if len(creations) < MIN_TARGETS:
            creations = []
        yield from self._read(progress, creations)
        yield from self._update(progress)
        yield from self._create(progress, creations)
        yield from self._finish(progress)
        return tuple(reply or NOT_ATTEMPTED for reply in progress.replies)

    def _read(self, progress: "_Progress", creations: Sequence[int]) -> _Steps:
        """Sends what does not go by a bulk message: look-ups, keys to resolve, and writes that are alone."""
        asked: dict[int, Request] = {}
        for index, request in enumerate(progress.requests):
            if index in progress.guids and isinstance(request, Write):
                if isinstance(request.key, AlternateKey):
                    asked[index] = Resolve(request.key)
                else:
                    progress.guids[index] = request.key.guid
            elif index not in creations:
                asked[index] = request
        if not asked:
            return
        replies = yield from self._batch.plan(list(asked.values()))
        for (index, request), reply in zip(asked.items(), replies, strict=True):
            answer = reply.answer
            if isinstance(request, Resolve) and isinstance(answer, Answered) and answer.row_ids:
                progress.guids[index] = answer.row_ids[0]
            else:
                progress.replies[index] = reply
                progress.guids.pop(index, None)

    def _update(self, progress: "_Progress") -> _Steps:
        updates = {index: (progress.write(index), guid) for index, guid in progress.guids.items()}
        keys = {index: target_key(RowId(guid)) for index, guid in progress.guids.items()}
        for wave in _split_into_waves(keys):
            body = encode_updates([updates[index] for index in wave])
            yield from self._send(progress, BulkMessage.UPDATE, wave, body)

    def _create(self, progress: "_Progress", creations: Sequence[int]) -> _Steps:
        keys = {index: target_key(progress.write(index).key) for index in creations}
        for wave in _split_into_waves(keys):
            body = encode_creations([progress.write(index) for index in wave])
            yield from self._send(progress, BulkMessage.CREATE, wave, body)

    def _send(self, progress: "_Progress", message: BulkMessage, wave: Sequence[int], body: bytes) -> _Steps:
        """One bulk message. Writes for which it is refused are left to `$batch`, which answers row by row."""
        if len(wave) < MIN_TARGETS:
            return
        exchange = yield BulkCall(message, [progress.write(index) for index in wave], body)
        if exchange is None:
            progress.settle(wave, (NOT_ATTEMPTED,) * len(wave))
            return
        reply = exchange.replies[0]
        if _is_unsupported(reply):
            self._drop(message, reply)
        elif not is_row_refusal(reply):
            progress.settle(wave, exchange.replies)

    def _finish(self, progress: "_Progress") -> _Steps:
        """Sends by `$batch` what has no reply yet."""
        left = [index for index, reply in enumerate(progress.replies) if reply is None]
        if left:
            replies = yield from self._batch.plan([progress.requests[index] for index in left])
            progress.settle(left, replies)

    def _find_available(self) -> Generator[Call, Exchange | None, set[BulkMessage]]:
        """The messages that the Contact table has. Asked until it is answered, and then never again."""
        if self._messages is not None:
            return self._messages
        available: set[BulkMessage] = set()
        for message in BulkMessage:
            exchange = yield AvailabilityCall(message)
            if exchange is None or (exchange.is_available is None and not _is_final(exchange)):
                return set()
            if exchange.is_available:
                available.add(message)
            else:
                self._on_unavailable(message, None)
        self._messages = available
        return available

    def _drop(self, message: BulkMessage, reply: Reply) -> None:
        """Stops using the message: the table lists it, but the server does not have it."""
        self._on_unavailable(message, reply.answer.status if isinstance(reply.answer, Answered) else None)
        if self._messages is not None:
            self._messages.discard(message)


@dataclass(slots=True)
class _Progress:
    """What is asked, and what is known so far."""

    requests: list[Request]
    """Everything that is asked."""

    guids: dict[int, str]
    """The updates that go by `UpdateMultiple`, by index: the GUID of the row, empty until it is known."""

    replies: list[Reply | None] = field(init=False)
    """The reply to each request; None until it is known."""

    def __post_init__(self) -> None:
        self.replies = [None] * len(self.requests)

    def write(self, index: int) -> Write:
        """The request at this index, which must be a write."""
        request = self.requests[index]
        if not isinstance(request, Write):
            raise TypeError("only writes go by a bulk message")
        return request

    def settle(self, indexes: Sequence[int], replies: Sequence[Reply]) -> None:
        """Notes the replies to the requests at these indexes."""
        for index, reply in zip(indexes, replies, strict=True):
            self.replies[index] = reply


def _find_writes(requests: Sequence[Request], condition: Condition) -> list[int]:
    return [
        index
        for index, request in enumerate(requests)
        if isinstance(request, Write) and request.condition is condition
    ]


def _split_into_waves(keys: dict[int, tuple[str, str]]) -> list[list[int]]:
    """The indexes in calls that name no row twice: a later write of a row goes in a later call.

    >>> _split_into_waves({0: ("k", "ada"), 1: ("k", "bob"), 2: ("k", "ada")})
    [[0, 1], [2]]
    """
    waves: list[dict[tuple[str, str], int]] = []
    for index, key in keys.items():
        wave = next((wave for wave in waves if key not in wave), None)
        if wave is None:
            waves.append({key: index})
        else:
            wave[key] = index
    return [list(wave.values()) for wave in waves]


def _is_unsupported(reply: Reply) -> bool:
    answer = reply.answer
    return (
        isinstance(answer, Answered)
        and answer.whole_call
        and (answer.status in {405, 501} or (answer.status == 404 and reply.action_alone is Action.ALERT))
    )


def _is_final(exchange: Exchange) -> bool:
    """Whether asking again gets the same answer: the table may not be read, or the server does not have
    it.
    """
    answer = exchange.replies[0].answer
    return isinstance(answer, Answered) and answer.status in {400, 403, 404, 405, 501}
