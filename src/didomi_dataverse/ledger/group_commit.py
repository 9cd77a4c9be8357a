"""Concurrent requests share one commit: the disk is asked once for all of them.

While one commit runs, what arrives waits in line; the next commit takes all of it. No request waits for
company: one that comes alone is committed alone. So groups grow with the load, and only with it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from didomi_dataverse.didomi.interpreted import InterpretedNotification
from didomi_dataverse.errors import StoreUnavailableError
from didomi_dataverse.ledger.ingest import Ingested

Ingest = Callable[[Sequence[InterpretedNotification]], Awaitable[list[Ingested]]]
"""`Inbox.ingest`, or what stands in for it."""


@dataclass(frozen=True, slots=True)
class _Caller:
    """One call in line: what it brought, and where its answer goes."""

    notifications: Sequence[InterpretedNotification]
    answer: asyncio.Future[list[Ingested]]


class GroupCommit:
    """`Inbox.ingest` for many callers at once.

    `max_group`: notifications in one commit. Larger groups make each caller wait longer for little more
    throughput.
    `max_waiting`: notifications in line. A caller that finds the line full is refused at once, rather than
    answered after it has given up; a single call with more than that is taken when the line is empty.
    `longest_wait`: for the line and the commit together. A caller that waited so long on a disk that stalls
    is refused, and what it brought may be committed all the same: sent again, it is a duplicate.
    """

    def __init__(
        self,
        ingest: Ingest,
        *,
        max_group: int = 512,
        max_waiting: int = 10_000,
        longest_wait: timedelta = timedelta(seconds=25),
    ) -> None:
        self._ingest = ingest
        self._max_group = max_group
        self._max_waiting = max_waiting
        self._longest_wait_seconds = longest_wait.total_seconds()
        self._line: deque[_Caller] = deque()
        self._waiting = 0
        self._committing: asyncio.Task[None] | None = None
        self._is_closed = False

    async def submit(self, notifications: Sequence[InterpretedNotification]) -> list[Ingested]:
        """Ingest the notifications in one commit with those of other callers, and return what became of them.

        Raises StoreUnavailableError when nothing could be committed, the line is full, or the ledger is
        closing. An error that a caller's own notifications cause reaches that caller alone. A caller that is
        cancelled leaves the line; once its commit has begun, it is committed.
        """
        if not notifications:
            return []
        if self._is_closed:
            raise StoreUnavailableError("The service is shutting down.")
        if self._waiting and self._waiting + len(notifications) > self._max_waiting:
            raise StoreUnavailableError(
                f"{self._waiting} notifications are waiting to be stored already: "
                "the store is too slow for the load."
            )
        caller = _Caller(notifications, asyncio.get_running_loop().create_future())
        self._line.append(caller)
        self._waiting += len(notifications)
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_line(), name="group-commit")
        try:
            async with asyncio.timeout(self._longest_wait_seconds):
                return await caller.answer
        except TimeoutError:
            raise StoreUnavailableError(
                f"The store did not commit within {self._longest_wait_seconds:g} s: it stalls, or is too "
                "slow for the load. Look at the disk, or at the database server."
            ) from None

    async def close(self) -> None:
        """Refuse every caller from now on, and return when all who wait have been answered."""
        self._is_closed = True
        if self._committing is not None:
            await asyncio.shield(self._committing)

    async def _commit_line(self) -> None:
        group: list[_Caller] = []
        try:
            while self._line:
                group = self._next_group()
                await self._commit(group)
        finally:
            self._committing = None
            # Callers are left only when this task itself is cancelled: their requests end, too, then.
            for caller in (*group, *self._line):
                _refuse(caller, StoreUnavailableError("The service is shutting down."))
            self._line.clear()
            self._waiting = 0

    def _next_group(self) -> list[_Caller]:
        group: list[_Caller] = []
        size = 0
        while self._line and (not group or size + len(self._line[0].notifications) <= self._max_group):
            caller = self._line.popleft()
            self._waiting -= len(caller.notifications)
            # A caller that has hung up will send again; it need not be served before those who wait.
            if not caller.answer.done():
                group.append(caller)
                size += len(caller.notifications)
        return group

    async def _commit(self, group: list[_Caller]) -> None:
        try:
            ingested = await self._ingest([one for caller in group for one in caller.notifications])
        except StoreUnavailableError as error:
            for caller in group:
                _refuse(caller, StoreUnavailableError(str(error)))
        except Exception as error:  # noqa: BLE001 - one caller's notifications must not fail the others (promise 4)
            if len(group) == 1:
                _refuse(group[0], error)
                return
            for caller in group:
                await self._commit([caller])
        else:
            start = 0
            for caller in group:
                end = start + len(caller.notifications)
                if not caller.answer.done():
                    caller.answer.set_result(ingested[start:end])
                start = end


def _refuse(caller: _Caller, error: Exception) -> None:
    if not caller.answer.done():
        caller.answer.set_exception(error)
