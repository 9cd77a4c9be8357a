"""Opening the ledger, and what an operator is told when that does not work."""

import asyncio
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from psycopg import sql
from sqlalchemy import Connection, make_url
from tests.clocks import FrozenClock
from tests.contract.ledger.steps import (
    claim_all,
    claim_one,
    contact_of,
    ingest_one,
    open_for_serving,
    open_ledger,
    settlement,
)
from tests.postgres import PostgresServer

from didomi_dataverse.errors import StoreError, StoreUnavailableError
from didomi_dataverse.ledger.delivery_state import DeliveryState
from didomi_dataverse.ledger.ledger import Ledger

CLOCK = FrozenClock()


async def _opened_and_closed(url: str) -> None:
    ledger = await open_ledger(url, clock=CLOCK)
    await ledger.close()


async def test_what_was_ingested_is_there_when_opened_again(url: str) -> None:
    ledger = await open_for_serving(url, clock=CLOCK)
    await ingest_one(ledger)
    before = await contact_of(ledger)
    await ledger.close()

    ledger = await open_for_serving(url, clock=CLOCK)
    assert await contact_of(ledger) == before
    await ledger.close()


async def test_many_may_open_an_empty_store_at_once(
    tmp_path: Path, postgres: PostgresServer, request: pytest.FixtureRequest
) -> None:
    """Each finds the tables made, once; who came second waited for the first."""
    empty = postgres.url(postgres.create(f"empty_{request.node.name[:40]}"))
    for url in (f"sqlite:///{tmp_path / 'empty.db'}", empty):
        ledgers = await asyncio.gather(*(open_ledger(url, clock=CLOCK) for _ in range(4)))
        for ledger in ledgers:
            await ingest_one(ledger)
            await ledger.close()


async def test_a_closed_ledger_says_that_it_is_closed(ledger: Ledger) -> None:
    await ledger.close()

    with pytest.raises(StoreUnavailableError, match="closed"):
        await ingest_one(ledger)


async def test_a_second_serving_process_is_refused_on_sqlite(sqlite_url: str) -> None:
    """The lock is the open file's, not the process's: two of them in one process show what two
    processes do.
    """
    first = await open_for_serving(sqlite_url, clock=CLOCK)

    with pytest.raises(StoreError, match=r"already serves from this store.*use PostgreSQL"):
        await open_for_serving(sqlite_url, clock=CLOCK)

    await first.close()
    second = await open_for_serving(sqlite_url, clock=CLOCK)
    await second.close()


async def test_what_a_dead_process_had_claimed_is_due_at_once(sqlite_url: str) -> None:
    """On SQLite there is no other who could hold the lease still."""
    dead = await open_for_serving(sqlite_url, clock=CLOCK)
    await ingest_one(dead)
    claim = await claim_one(dead, CLOCK)
    await dead.close()

    ledger = await open_for_serving(sqlite_url, clock=CLOCK)

    assert await ledger.queue.settle([settlement(claim)], now=CLOCK.now()) == [False]
    assert (await claim_one(ledger, CLOCK)).contact.key == "ada"
    await ledger.close()


async def test_what_another_replica_has_claimed_stays_its_own(postgres_url: str) -> None:
    first = await open_for_serving(postgres_url, clock=CLOCK)
    await ingest_one(first)
    claim = await claim_one(first, CLOCK)

    second = await open_for_serving(postgres_url, clock=CLOCK)

    assert await claim_all(second, CLOCK) == []
    assert await first.queue.settle([settlement(claim)], now=CLOCK.now()) == [True]
    await first.close()
    await second.close()


async def test_many_serve_from_postgresql(postgres_url: str) -> None:
    ledgers = [await open_for_serving(postgres_url, clock=CLOCK) for _ in range(2)]

    for ledger in ledgers:
        await ingest_one(ledger)
        await ledger.close()


async def test_a_command_reads_and_writes_beside_the_serving_process(sqlite_url: str) -> None:
    serving = await open_for_serving(sqlite_url, clock=CLOCK)
    await ingest_one(serving, key="ada")

    command = await open_ledger(sqlite_url, clock=CLOCK)
    assert await command.reader.contact("ada") is not None
    await ingest_one(command, key="bob")
    await command.close()

    assert await serving.reader.contact("bob") is not None
    await serving.close()


async def test_reading_does_not_wait_for_a_writer(sqlite_url: str, tmp_path: Path) -> None:
    ledger = await open_ledger(sqlite_url, clock=CLOCK)
    await ingest_one(ledger)
    writer = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM notifications")

    async with asyncio.timeout(2):
        contact = await contact_of(ledger)
        assert len(await ledger.reader.notifications_of(contact.contact_id, 10)) == 1
        assert (await ledger.reader.count_contacts()).by_state[DeliveryState.DUE] == 1

    writer.execute("ROLLBACK")
    writer.close()
    await ledger.close()


def _missing_folder(folder: Path) -> str:
    return f"sqlite:///{folder / 'missing' / 'ledger.db'}"


def _folder_itself(folder: Path) -> str:
    return f"sqlite:///{folder}"


def _text_file(folder: Path) -> str:
    (folder / "notes.txt").write_text("This is not a database, whatever its name says. " * 40)
    return f"sqlite:///{folder / 'notes.txt'}"


def _foreign_table(name: str) -> Callable[[Path], str]:
    def url_in(folder: Path) -> str:
        database = sqlite3.connect(folder / "crm.db")
        database.execute(f"CREATE TABLE {name} (id INTEGER)")
        database.close()
        return f"sqlite:///{folder / 'crm.db'}"

    return url_in


@pytest.mark.parametrize(
    ("url_in", "told"),
    [
        pytest.param(lambda _: "ledger.db", r"Write sqlite:///FILE", id="no address"),
        pytest.param(
            lambda _: "mysql://localhost/ledger", r"'mysql'.*SQLite or PostgreSQL", id="no such kind"
        ),
        pytest.param(lambda _: "sqlite://", r"names no file", id="in memory"),
        pytest.param(lambda _: "sqlite:///:memory:", r"names no file", id="in memory, spelled out"),
        pytest.param(_missing_folder, r"missing of store\.url does not exist\. Create it", id="no folder"),
        pytest.param(_folder_itself, r"name a file in it", id="a folder"),
        pytest.param(_text_file, r"is not a SQLite database", id="not a database"),
        pytest.param(
            _foreign_table("contacts"),
            r"tables named contacts that are not ours",
            id="another program's tables",
        ),
        pytest.param(
            _foreign_table("deleted_users"),
            r"tables named deleted_users that",
            id="a name of a later migration",
        ),
        pytest.param(
            lambda _: "postgresql://ledger:hush@127.0.0.1:1/ledger", r"cannot be opened", id="no server"
        ),
    ],
)
@pytest.mark.parametrize("open_it", [open_ledger, open_for_serving], ids=["command", "serving"])
async def test_a_store_that_cannot_be_opened_says_what_to_do(
    tmp_path: Path,
    url_in: Callable[[Path], str],
    told: str,
    open_it: Callable[..., Awaitable[Ledger]],
) -> None:
    with pytest.raises(StoreError, match=told) as raised:
        await open_it(url_in(tmp_path), clock=CLOCK)

    assert "hush" not in str(raised.value)


async def test_a_store_of_a_newer_version_is_refused(ledger: Ledger, url: str) -> None:
    await ledger._database.write(
        lambda connection: connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    )

    with pytest.raises(StoreError, match=r"newer version of didomi-dataverse \(schema 9999\)"):
        await _opened_and_closed(url)


async def test_a_store_of_the_same_version_is_opened_without_waiting_for_a_writer(
    sqlite_url: str, tmp_path: Path
) -> None:
    await _opened_and_closed(sqlite_url)
    writer = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")

    async with asyncio.timeout(2):
        await _opened_and_closed(sqlite_url)

    writer.execute("ROLLBACK")
    writer.close()


async def test_a_copy_of_the_file_is_the_ledger(sqlite_url: str, tmp_path: Path) -> None:
    """Closing leaves everything in the one file that an operator backs up."""
    ledger = await open_ledger(sqlite_url, clock=CLOCK)
    await ingest_one(ledger)
    await ledger.close()
    shutil.copy(tmp_path / "ledger.db", tmp_path / "copy.db")

    copy = await open_ledger(f"sqlite:///{tmp_path / 'copy.db'}", clock=CLOCK)
    assert await copy.reader.contact("ada") is not None
    await copy.close()


async def test_what_is_committed_has_reached_the_disk(ledger: Ledger) -> None:
    """Promise 1: SQLite in WAL mode syncs at every commit only with FULL (2); PostgreSQL unless it is told
    not to.
    """

    def settings(connection: Connection) -> list[object]:
        sqlite = connection.dialect.name == "sqlite"
        asked = ["PRAGMA journal_mode", "PRAGMA synchronous"] if sqlite else ["SHOW synchronous_commit"]
        return [connection.exec_driver_sql(question).scalar_one() for question in asked]

    assert await ledger._database.write(settings) in (["wal", 2], ["on"])


async def test_a_server_that_would_answer_before_the_disk_does_is_told_to_wait(
    postgres: PostgresServer, postgres_url: str
) -> None:
    statement = sql.SQL("ALTER DATABASE {} SET synchronous_commit = off")
    with postgres.connect() as connection:
        connection.execute(statement.format(sql.Identifier(make_url(postgres_url).database or "")))

    ledger = await open_ledger(postgres_url, clock=CLOCK)

    shown = await ledger._database.write(
        lambda connection: connection.exec_driver_sql("SHOW synchronous_commit").scalar_one()
    )
    assert shown == "on"
    await ledger.close()
