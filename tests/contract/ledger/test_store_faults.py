"""Files that others may not read, files that are damaged, servers that are restarted: said, and survived."""

import asyncio
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.clocks import FrozenClock
from tests.contract.ledger.steps import find_notification, ingest_one, open_for_serving, open_ledger
from tests.notifications import choice, interpreted
from tests.postgres import PostgresServer, Standby, postgres_server

from didomi_dataverse.didomi.interpreted import InterpretedNotification
from didomi_dataverse.errors import StoreError, StoreUnavailableError
from didomi_dataverse.ledger.ledger import Ledger


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes_in(folder: Path) -> dict[str, int]:
    return {path.name: mode_of(path) for path in folder.iterdir()}


async def test_only_its_owner_reads_the_file_and_those_beside_it(
    sqlite_url: str, tmp_path: Path, clock: FrozenClock
) -> None:
    ledger = await open_for_serving(sqlite_url, clock=clock)
    await ingest_one(ledger)

    modes = modes_in(tmp_path)

    await ledger.close()
    assert modes == dict.fromkeys(
        ["ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.serving"], stat.S_IRUSR | stat.S_IWUSR
    )


async def test_a_mode_that_somebody_chose_is_kept(
    sqlite_url: str, tmp_path: Path, clock: FrozenClock
) -> None:
    await (await open_ledger(sqlite_url, clock=clock)).close()
    shared = 0o640
    (tmp_path / "ledger.db").chmod(shared)

    await (await open_ledger(sqlite_url, clock=clock)).close()

    assert mode_of(tmp_path / "ledger.db") == shared


def logged_as_seen_by_another_process(path: Path) -> int:
    """How many notifications a process finds that opens the file, reads and closes it."""
    script = (
        "import sqlite3, sys; store = sqlite3.connect(sys.argv[1]); "
        "print(store.execute('SELECT count(*) FROM notifications').fetchone()[0]); store.close()"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    return int(told.stdout)


async def test_another_process_that_looks_and_leaves_does_not_part_us_from_our_log(
    sqlite_url: str, tmp_path: Path, clock: FrozenClock
) -> None:
    """SQLite removes the write-ahead log with the last connection that it knows of. If our locks were lost,
    that would be the other process's, and what we commit from then on would go with us.
    """
    await (await open_ledger(sqlite_url, clock=clock)).close()
    ledger = await open_for_serving(sqlite_url, clock=clock)
    seen = []
    for _ in range(3):
        await ingest_one(ledger)
        seen.append(await asyncio.to_thread(logged_as_seen_by_another_process, tmp_path / "ledger.db"))

    await ledger.close()
    assert seen == [1, 2, 3]


def damage(path: Path) -> None:
    """Everything but the head of the file is overwritten, so that it still looks like a database."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))


async def test_a_damaged_file_is_told_from_a_full_disk(
    sqlite_url: str, tmp_path: Path, clock: FrozenClock
) -> None:
    await (await open_ledger(sqlite_url, clock=clock)).close()
    damage(tmp_path / "ledger.db")

    with pytest.raises(StoreError, match=r"damaged.*restore a backup"):
        await open_ledger(sqlite_url, clock=clock)


async def test_a_file_that_is_damaged_while_it_is_open_fails_and_says_so(
    sqlite_url: str, tmp_path: Path, clock: FrozenClock
) -> None:
    ledger = await open_ledger(sqlite_url, clock=clock)
    await ledger.maintenance.probe()
    ledger._database.engines.dispose()
    damage(tmp_path / "ledger.db")

    with pytest.raises(StoreUnavailableError, match=r"damaged.*Nothing was changed\. Restore a backup"):
        await ingest_one(ledger)

    await ledger.close()


@dataclass(slots=True)
class Load:
    """Several who send all the while, each the same again until it is stored."""

    ledger: Ledger
    acknowledged: list[str] = field(default_factory=list)
    refused: int = 0
    is_over: bool = False
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, sender: int) -> None:
        while not self.is_over:
            one = interpreted(choice(), key=f"person-{sender}")
            while not await self._is_stored(one):
                self.refused += 1
            self.acknowledged.append(one.digest)
            self._more.set()

    async def _is_stored(self, one: InterpretedNotification) -> bool:
        try:
            await self.ledger.inbox.ingest([one])
        except StoreUnavailableError:
            return False
        return True

    async def until_more(self) -> None:
        """It goes on: ten more were stored, and the store is well."""
        enough = len(self.acknowledged) + 10
        async with asyncio.timeout(60):
            while len(self.acknowledged) < enough:
                self._more.clear()
                await self._more.wait()
        await self.ledger.maintenance.probe()

    async def lost(self) -> list[str]:
        """What was acknowledged and is not there."""
        return [
            digest for digest in self.acknowledged if await find_notification(self.ledger, digest) is None
        ]


@asynccontextmanager
async def under_load(url: str, clock: FrozenClock) -> AsyncIterator[Load]:
    load = Load(await open_ledger(url, clock=clock))
    senders = [asyncio.create_task(load.send(number)) for number in range(3)]
    await load.until_more()
    yield load
    await load.until_more()
    load.is_over = True
    await asyncio.gather(*senders)
    assert load.refused > 0
    assert await load.lost() == []
    await load.ledger.close()


def restart(server: PostgresServer) -> None:
    server.stop()
    server.start()


async def test_a_server_that_is_restarted_under_load_loses_nothing(clock: FrozenClock) -> None:
    with postgres_server() as server:
        async with under_load(server.url(server.create("restarted")), clock):
            await asyncio.to_thread(restart, server)


def fail_over(server: PostgresServer, standby: Standby) -> None:
    server.kill()
    standby.promote()


async def test_a_server_that_fails_over_under_load_loses_nothing(clock: FrozenClock) -> None:
    """The address names both; what was committed, both of them had."""
    with postgres_server() as server:
        name = server.create("failing")
        with server.standby() as standby:
            async with under_load(server.url_of_both(name, standby), clock):
                await asyncio.to_thread(fail_over, server, standby)
