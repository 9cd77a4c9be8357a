"""The mode `multiple`: bulk messages for what surely exists or surely does not, `$batch` for all else."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from didomi_dataverse.dataverse.bulk import (
    BulkMessage,
    encode_creations,
    encode_updates,
    is_of_a_row,
    place_of,
)
from didomi_dataverse.dataverse.client import DataverseClient
from didomi_dataverse.dataverse.dispatch.base import BatchDispatcher, Turns
from didomi_dataverse.dataverse.errors.classify import Action, classify
from didomi_dataverse.dataverse.replies import Answered, Exchange, NotAttempted, Reply
from didomi_dataverse.dataverse.requests import AlternateKey, Condition, Request, Resolve, RowId, Write

log = structlog.get_logger(__name__)


class BulkDispatcher:
    """Bulk messages (dataverse.md 3.4), with the replies that `$batch` would have given.

    Updates need the GUIDs of their rows, so keys are resolved first, in one `$batch` of reads; a row that is
    not there is the answer that a conditional PATCH would have got. A call that is refused for what is in it
    goes through `$batch` once more, so that only the bad row of it fails.
    """

    def __init__(self, client: DataverseClient) -> None:
        self._client = client
        self._batch = BatchDispatcher(client)
        self._messages: set[BulkMessage] | None = None

    async def send(self, requests: Sequence[Request], turns: Turns) -> tuple[Reply, ...]:
        """As `Dispatcher.send`."""
        messages = await self._available(turns)
        updates = _of(requests, Condition.UPDATE_ONLY) if BulkMessage.UPDATE in messages else []
        creations = _of(requests, Condition.CREATE_ONLY) if BulkMessage.CREATE in messages else []
        # A bulk message for one row saves nothing, and its answer would say less.
        found = _Round(list(requests), {} if len(updates) < 2 else dict.fromkeys(updates, ""))
        await self._read(found, turns, [] if len(creations) < 2 else creations)
        await self._update(found, turns)
        if len(creations) >= 2:
            await self._create(found, turns, creations)
        return await self._finish(found, turns)

    async def _read(self, found: "_Round", turns: Turns, creations: Sequence[int]) -> None:
        """Everything that is no bulk message: look-ups, keys to resolve, and writes that are alone."""
        asked: dict[int, Request] = {}
        for index, request in enumerate(found.requests):
            if index in found.guids and isinstance(request, Write):
                if isinstance(request.key, AlternateKey):
                    asked[index] = Resolve(request.key)
                else:
                    found.guids[index] = request.key.guid
            elif index not in creations:
                asked[index] = request
        if not asked:
            return
        replies = await self._batch.send(list(asked.values()), turns)
        for (index, request), reply in zip(asked.items(), replies, strict=True):
            if isinstance(request, Resolve) and isinstance(reply, Answered) and reply.row_ids:
                found.guids[index] = reply.row_ids[0]
            else:
                found.replies[index] = reply
                found.guids.pop(index, None)

    async def _update(self, found: "_Round", turns: Turns) -> None:
        updates = {index: (found.write(index), guid) for index, guid in found.guids.items()}
        places = {index: place_of(_by_id(write, guid)) for index, (write, guid) in updates.items()}
        for wave in _waves(places):
            body = encode_updates([updates[index] for index in wave])
            await self._bulk(found, turns, BulkMessage.UPDATE, wave, body)

    async def _create(self, found: "_Round", turns: Turns, creations: Sequence[int]) -> None:
        places = {index: place_of(found.write(index)) for index in creations}
        for wave in _waves(places):
            body = encode_creations([found.write(index) for index in wave])
            await self._bulk(found, turns, BulkMessage.CREATE, wave, body)

    async def _bulk(
        self, found: "_Round", turns: Turns, message: BulkMessage, wave: Sequence[int], body: bytes
    ) -> None:
        """One bulk message. What it is refused for is left to `$batch`, which says it row by row."""
        if len(wave) < 2:
            return
        if not await turns.begin():
            found.settle(wave, NotAttempted())
            return
        writes = [found.write(index) for index in wave]
        exchange = await self._client.send_bulk(message, writes, body)
        turns.end(writes, exchange)
        reply = exchange.replies[0]
        if isinstance(reply, Answered) and _is_unsupported(reply):
            self._give_up(message, reply)
        elif not isinstance(reply, Answered) or not is_of_a_row(reply):
            found.settle(wave, reply)

    async def _finish(self, found: "_Round", turns: Turns) -> tuple[Reply, ...]:
        left = [index for index, reply in enumerate(found.replies) if reply is None]
        if left:
            replies = await self._batch.send([found.requests[index] for index in left], turns)
            for index, reply in zip(left, replies, strict=True):
                found.replies[index] = reply
        return tuple(reply or NotAttempted() for reply in found.replies)

    async def _available(self, turns: Turns) -> set[BulkMessage]:
        """The messages that the Contact table has. Asked until it is answered, and then never again."""
        if self._messages is not None:
            return self._messages
        has: set[BulkMessage] = set()
        for message in BulkMessage:
            if not await turns.begin():
                return set()
            answer, exchange = await self._client.ask_for(message)
            turns.end((), exchange)
            if answer is None and not _is_refusal(exchange):
                return set()
            if answer:
                has.add(message)
            else:
                log.warning("bulk_message_missing", message=message.value, instead="batch")
        self._messages = has
        return has

    def _give_up(self, message: BulkMessage, reply: Answered) -> None:
        log.warning("bulk_message_missing", message=message.value, instead="batch", status=reply.status)
        if self._messages is not None:
            self._messages.discard(message)


@dataclass(slots=True)
class _Round:
    """What is asked in one round, and what is known of it so far.

    `guids` names the updates that go by `UpdateMultiple`, with their rows where they are known.
    """

    requests: list[Request]
    guids: dict[int, str]
    replies: list[Reply | None] = field(init=False)

    def __post_init__(self) -> None:
        self.replies = [None] * len(self.requests)

    def write(self, index: int) -> Write:
        request = self.requests[index]
        if not isinstance(request, Write):
            raise TypeError("only writes go by a bulk message")
        return request

    def settle(self, indexes: Sequence[int], reply: Reply) -> None:
        for index in indexes:
            self.replies[index] = reply


def _of(requests: Sequence[Request], condition: Condition) -> list[int]:
    return [
        index
        for index, request in enumerate(requests)
        if isinstance(request, Write) and request.condition is condition
    ]


def _by_id(write: Write, guid: str) -> Write:
    return Write(RowId(guid), write.condition, write.columns)


def _waves(places: dict[int, tuple[str, str]]) -> list[list[int]]:
    """The indexes in calls without a repeated row: a later write of a row goes in a later call."""
    waves: list[dict[tuple[str, str], int]] = []
    for index, place in places.items():
        wave = next((wave for wave in waves if place not in wave), None)
        if wave is None:
            waves.append({place: index})
        else:
            wave[place] = index
    return [list(wave.values()) for wave in waves]


def _is_unsupported(reply: Answered) -> bool:
    return reply.whole_call and (
        reply.status in {405, 501} or (reply.status == 404 and classify(reply, alone=True) is Action.ALERT)
    )


def _is_refusal(exchange: Exchange) -> bool:
    """Will asking again get the same answer: may we not read this table, or does the server not have it?"""
    (reply,) = exchange.replies
    return isinstance(reply, Answered) and reply.status in {400, 403, 404, 405, 501}
