"""Concurrent requests share one commit: the disk is asked once for all of them.

While one commit runs, what arrives waits in line; the next one takes all of it. Nobody is made to wait for
company: a request that comes alone is committed alone. So the groups grow with the load, and only with it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from didomi_dataverse.didomi.interpreted import InterpretedNotification
from didomi_dataverse.errors import StoreUnavailableError
from didomi_dataverse.ledger.ingest import Ingested

Record = Callable[[Sequence[InterpretedNotification]], Awaitable[list[Ingested]]]


@dataclass(frozen=True, slots=True)
class _Caller:
    readings: Sequence[InterpretedNotification]
    answer: asyncio.Future[list[Ingested]]


class GroupCommit:
    """`Ledger.record` for many callers at once.

    `max_group`: readings in one commit. Larger groups make each wait longer for little more throughput.
    `max_waiting`: readings in line. Who comes when the line is full is refused at once, rather than answered
    after the sender has given up; a single call with more than that is taken when nobody waits.
    `longest_wait`: for the line and the commit together. Who waited so long on a disk that stalls is refused,
    and what they brought may be committed all the same: sent again, it is a duplicate.
    """

    def __init__(
        self,
        record: Record,
        *,
        max_group: int = 512,
        max_waiting: int = 10_000,
        longest_wait: timedelta = timedelta(seconds=25),
    ) -> None:
        self._record = record
        self._max_group = max_group
        self._max_waiting = max_waiting
        self._longest_wait_seconds = longest_wait.total_seconds()
        self._line: deque[_Caller] = deque()
        self._waiting = 0
        self._committing: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def waiting(self) -> int:
        """Readings in line, those being committed not counted."""
        return self._waiting

    async def record(self, readings: Sequence[InterpretedNotification]) -> list[Ingested]:
        """As `Ledger.record`, in one commit with whoever else is calling.

        Raises StoreUnavailableError when nothing could be committed, the line is full, or the ledger is
        closing. An error that a caller's own readings cause reaches that caller alone. A caller that is
        cancelled leaves the line; once its commit has begun, it is committed.
        """
        if not readings:
            return []
        if self._closed:
            raise StoreUnavailableError("The service is shutting down.")
        if self._waiting and self._waiting + len(readings) > self._max_waiting:
            raise StoreUnavailableError(
                f"{self._waiting} notifications are waiting to be stored already: "
                "the store is too slow for the load."
            )
        caller = _Caller(readings, asyncio.get_running_loop().create_future())
        self._line.append(caller)
        self._waiting += len(readings)
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_all(), name="group-commit")
        try:
            async with asyncio.timeout(self._longest_wait_seconds):
                return await caller.answer
        except TimeoutError:
            raise StoreUnavailableError(
                f"The store did not commit within {self._longest_wait_seconds:g} s: it stalls, or is too "
                "slow for the load. Look at the disk, or at the database server."
            ) from None

    async def close(self) -> None:
        """Refuse whoever comes from now on, and return when all who wait have been answered."""
        self._closed = True
        if self._committing is not None:
            await asyncio.shield(self._committing)

    async def _commit_all(self) -> None:
        group: list[_Caller] = []
        try:
            while self._line:
                group = self._next_group()
                await self._commit(group)
        finally:
            self._committing = None
            # Only when this task itself is cancelled is anybody left: their requests end, too, then.
            for caller in (*group, *self._line):
                _refuse(caller, StoreUnavailableError("The service is shutting down."))
            self._line.clear()
            self._waiting = 0

    def _next_group(self) -> list[_Caller]:
        group: list[_Caller] = []
        size = 0
        while self._line and (not group or size + len(self._line[0].readings) <= self._max_group):
            caller = self._line.popleft()
            self._waiting -= len(caller.readings)
            # A sender that has hung up will send again; it need not be served before those who wait.
            if not caller.answer.done():
                group.append(caller)
                size += len(caller.readings)
        return group

    async def _commit(self, group: list[_Caller]) -> None:
        try:
            recorded = await self._record([reading for caller in group for reading in caller.readings])
        except StoreUnavailableError as error:
            for caller in group:
                _refuse(caller, StoreUnavailableError(str(error)))
        except Exception as error:  # noqa: BLE001 - one caller's readings must not fail the others (promise 4)
            if len(group) == 1:
                _refuse(group[0], error)
                return
            for caller in group:
                await self._commit([caller])
        else:
            start = 0
            for caller in group:
                end = start + len(caller.readings)
                if not caller.answer.done():
                    caller.answer.set_result(recorded[start:end])
                start = end


def _refuse(caller: _Caller, error: Exception) -> None:
    if not caller.answer.done():
        caller.answer.set_exception(error)
