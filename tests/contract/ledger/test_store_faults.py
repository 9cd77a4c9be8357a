"""Files that others may not read, files that are damaged, servers that are restarted: said, and survived."""

import asyncio
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.clocks import FrozenClock
from tests.contract.ledger.steps import record_one
from tests.postgres import PostgresServer, postgres_server
from tests.readings import choice, reading

from didomi_dataverse.errors import StoreError, StoreUnavailableError
from didomi_dataverse.ledger.ledger import Ledger


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes_in(folder: Path) -> dict[str, int]:
    return {path.name: mode_of(path) for path in folder.iterdir()}


async def test_only_its_owner_reads_the_file_and_those_beside_it(
    sqlite_url: str, tmp_path: Path, clock: FrozenClock
) -> None:
    ledger = await Ledger.open_for_serving(sqlite_url, clock=clock)
    await record_one(ledger)

    modes = modes_in(tmp_path)

    await ledger.close()
    assert modes == dict.fromkeys(
        ["ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.serving"], stat.S_IRUSR | stat.S_IWUSR
    )


async def test_a_mode_that_somebody_chose_is_kept(
    sqlite_url: str, tmp_path: Path, clock: FrozenClock
) -> None:
    await (await Ledger.open(sqlite_url, clock=clock)).close()
    shared = 0o640
    (tmp_path / "ledger.db").chmod(shared)

    await (await Ledger.open(sqlite_url, clock=clock)).close()

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
    await (await Ledger.open(sqlite_url, clock=clock)).close()
    ledger = await Ledger.open_for_serving(sqlite_url, clock=clock)
    seen = []
    for _ in range(3):
        await record_one(ledger)
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
    await (await Ledger.open(sqlite_url, clock=clock)).close()
    damage(tmp_path / "ledger.db")

    with pytest.raises(StoreError, match=r"damaged.*restore a backup"):
        await Ledger.open(sqlite_url, clock=clock)


async def test_a_file_that_is_damaged_while_it_is_open_fails_and_says_so(
    sqlite_url: str, tmp_path: Path, clock: FrozenClock
) -> None:
    ledger = await Ledger.open(sqlite_url, clock=clock)
    await ledger.check()
    ledger._store.engines.dispose()
    damage(tmp_path / "ledger.db")

    with pytest.raises(StoreUnavailableError, match=r"damaged.*Nothing was changed\. Restore a backup"):
        await record_one(ledger)

    await ledger.close()


def restart(server: PostgresServer, stopped: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
    server.stop()
    loop.call_soon_threadsafe(stopped.set)
    server.start()


async def test_a_server_that_is_restarted_under_load_loses_nothing(clock: FrozenClock) -> None:
    """Several write all the while. What was refused is sent again; nobody but the server is restarted."""
    refused = 0
    with postgres_server() as server:
        ledger = await Ledger.open(server.url(server.create("restarted")), clock=clock)
        over, stopped = asyncio.Event(), asyncio.Event()
        acknowledged: list[str] = []

        async def send(sender: int) -> None:
            nonlocal refused
            while not over.is_set():
                one = reading(choice(), key=f"person-{sender}")
                while True:
                    try:
                        await ledger.record([one])
                    except StoreUnavailableError:
                        refused += 1
                    else:
                        break
                acknowledged.append(one.digest)

        senders = [asyncio.create_task(send(number)) for number in range(3)]
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(restart, server, stopped, loop)
        before = len(acknowledged)
        async with asyncio.timeout(30):
            while len(acknowledged) < before + 10:
                await ledger.check()
        over.set()
        await asyncio.gather(*senders)
        assert stopped.is_set()

        stored = [await ledger.notification(digest) for digest in acknowledged]

        assert None not in stored
        await ledger.close()
    assert refused > 0
