"""Crashes, full disks, lost connections: nothing is half done, nothing is claimed to be done."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, event, select, update
from tests.clocks import FrozenClock
from tests.contract.ledger import crash
from tests.contract.ledger.steps import (
    claim_one,
    contact_of,
    find_notification,
    ingest_one,
    open_for_serving,
    open_ledger,
    settlement,
)
from tests.notifications import choice, interpreted, new_digest
from tests.repository import ROOT

from didomi_dataverse.didomi.interpreted import Disposition, InterpretedNotification, Reason
from didomi_dataverse.errors import StoreError, StoreUnavailableError
from didomi_dataverse.ledger.ledger import Ledger
from didomi_dataverse.ledger.tables import contacts

SECOND = timedelta(seconds=1)


def _run_until_crash(url: str, moment: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.contract.ledger.crash", url, moment],
        cwd=ROOT,
        check=False,
        timeout=60,
    )
    assert ended.returncode == crash.EXIT_STATUS


async def test_a_crash_before_the_commit_leaves_nothing(url: str, clock: FrozenClock) -> None:
    await asyncio.to_thread(_run_until_crash, url, "before-commit")

    ledger = await open_for_serving(url, clock=clock)
    assert await find_notification(ledger, crash.DIGEST) is None
    assert await ledger.reader.contact(crash.KEY) is None
    assert (await ingest_one(ledger)).duplicate is False
    await ledger.close()


async def test_a_crash_after_the_answer_loses_nothing(url: str, clock: FrozenClock) -> None:
    await asyncio.to_thread(_run_until_crash, url, "after-commit")

    ledger = await open_for_serving(url, clock=clock)
    logged = await find_notification(ledger, crash.DIGEST)
    assert logged is not None
    assert logged.contact_id == (await contact_of(ledger, crash.KEY)).contact_id
    assert (await claim_one(ledger, clock)).contact.key == crash.KEY
    await ledger.close()


def _pragma(ledger: Ledger, pragma: str) -> None:
    """On the one connection that writes, outside of any transaction."""
    connection = ledger._database.engines.writing.raw_connection()
    connection.cursor().execute(f"PRAGMA {pragma}")
    connection.close()


async def test_a_full_disk_is_said_and_leaves_everything_as_it_was(
    sqlite_url: str, clock: FrozenClock
) -> None:
    ledger = await open_ledger(sqlite_url, clock=clock)
    await ingest_one(ledger)
    before = await contact_of(ledger)
    _pragma(ledger, "max_page_count = 1")  # SQLite takes the present size, if that is larger
    large = interpreted(choice(False, after=SECOND), body=b"x" * 1_000_000)

    with pytest.raises(StoreUnavailableError, match=r"disk is full\. Nothing was changed"):
        await ledger.inbox.ingest([large])

    assert await contact_of(ledger) == before
    _pragma(ledger, "max_page_count = 1000000")
    (ingested,) = await ledger.inbox.ingest([large])
    assert (ingested.duplicate, ingested.disposition) == (False, Disposition.APPLIED)
    await ledger.close()


async def test_a_store_that_cannot_be_written_fails_its_check(sqlite_url: str, clock: FrozenClock) -> None:
    ledger = await open_ledger(sqlite_url, clock=clock)
    await ledger.maintenance.probe()
    _pragma(ledger, "query_only = ON")

    with pytest.raises(StoreUnavailableError, match="readonly"):
        await ledger.maintenance.probe()
    with pytest.raises(StoreUnavailableError, match="readonly"):
        await ingest_one(ledger)

    _pragma(ledger, "query_only = OFF")
    await ledger.maintenance.probe()
    await ledger.close()


async def test_a_file_locked_for_too_long_is_said(
    sqlite_url: str, tmp_path: Path, clock: FrozenClock
) -> None:
    ledger = await open_ledger(sqlite_url, clock=clock)
    _pragma(ledger, "busy_timeout = 0")
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreUnavailableError, match="locked"):
        await ingest_one(ledger)
    with pytest.raises(StoreUnavailableError, match="locked"):
        await ledger.maintenance.probe()

    other.execute("ROLLBACK")
    other.close()
    assert (await ingest_one(ledger)).disposition is Disposition.APPLIED
    await ledger.close()


async def test_a_commit_that_fails_leaves_nothing(ledger: Ledger, clock: FrozenClock) -> None:
    """The last moment at which anything can go wrong, for each of the three transactions of the path."""
    await ingest_one(ledger)
    engine = ledger._database.engines.writing

    def fail(_: Connection) -> None:
        raise psycopg.OperationalError("the commit failed")

    event.listen(engine, "commit", fail)
    received = interpreted(choice(False, after=SECOND))
    with pytest.raises(psycopg.OperationalError):
        await ledger.inbox.ingest([received])
    with pytest.raises(psycopg.OperationalError):
        await claim_one(ledger, clock)
    event.remove(engine, "commit", fail)

    assert await find_notification(ledger, received.digest) is None
    claim = await claim_one(ledger, clock)
    assert claim.contact.revision == 1

    event.listen(engine, "commit", fail)
    with pytest.raises(psycopg.OperationalError):
        await ledger.queue.settle([settlement(claim)], now=clock.now())
    event.remove(engine, "commit", fail)

    assert await ledger.reader.attempts_of(claim.contact.contact_id, 10) == []
    assert await ledger.queue.settle([settlement(claim)], now=clock.now()) == [True]


async def test_an_error_of_the_database_quotes_nothing_that_was_stored(ledger: Ledger) -> None:
    """Not in its text, and not in a cause that a traceback would print."""

    def insert_nonsense(connection: Connection) -> None:
        connection.execute(contacts.insert(), [{"key": "private", "identifier": "private"}])

    with pytest.raises(StoreError) as raised:
        await ledger._database.write(insert_nonsense)

    assert "private" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


class _Other:
    """Another program's connection to the same PostgreSQL database."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url)
        self._watching = psycopg.connect(url, autocommit=True)

    async def until_a_process_waits(self) -> int:
        """The process that waits for a lock of this database. Asks until there is one."""
        query = (
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        async with asyncio.timeout(30):
            while True:
                found = await asyncio.to_thread(lambda: self._watching.execute(query).fetchone())
                if found is not None:
                    return int(found[0])

    def terminate(self, process: int | None = None) -> None:
        """End all connections but this one's, or the one that is named."""
        self._watching.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid NOT IN (pg_backend_pid(), %s) AND (%s::int IS NULL OR pid = %s)",
            [self.connection.info.backend_pid, process, process],
        )

    def close(self) -> None:
        self.connection.close()
        self._watching.close()


async def test_a_connection_lost_in_mid_transaction_leaves_nothing(
    postgres_url: str, clock: FrozenClock
) -> None:
    ledger = await open_ledger(postgres_url, clock=clock)
    await ingest_one(ledger)
    before = await contact_of(ledger)
    other = _Other(postgres_url)
    other.connection.execute("SELECT 1 FROM contacts FOR UPDATE")
    received = interpreted(choice(False, after=SECOND))

    ingesting = asyncio.create_task(ledger.inbox.ingest([received]))
    other.terminate(await other.until_a_process_waits())
    with pytest.raises(StoreUnavailableError, match="Nothing was changed"):
        await ingesting
    other.close()

    assert await contact_of(ledger) == before
    (ingested,) = await ledger.inbox.ingest([received])
    assert not ingested.duplicate
    await ledger.close()


async def test_connections_lost_while_idle_are_replaced_unnoticed(
    postgres_url: str, clock: FrozenClock
) -> None:
    ledger = await open_ledger(postgres_url, clock=clock)
    await ingest_one(ledger)
    other = _Other(postgres_url)
    other.terminate()
    other.close()

    await ledger.maintenance.probe()
    assert await ledger.reader.contact("ada") is not None
    await ledger.close()


async def test_a_notification_that_another_replica_logs_at_the_same_moment_is_a_duplicate(
    postgres_url: str, clock: FrozenClock
) -> None:
    """It names no person: no lock of a contact makes the two wait for each other before they insert."""
    ledger = await open_ledger(postgres_url, clock=clock)
    not_json = interpreted(key=None, disposition=Disposition.PARKED, reason=Reason.NOT_JSON)
    other = _Other(postgres_url)
    other.connection.execute(
        "INSERT INTO notifications (digest, received_at, last_received_at, times_received, type, regulation,"
        " organization_id, didomi_user, source_id, caller, disposition, reason, notes, body)"
        " VALUES (%s, 0, 0, 1, '', '', '', '', '', '', 'parked', 'not_json', '[]', '')",
        [not_json.digest],
    )

    ingesting = asyncio.create_task(ledger.inbox.ingest([not_json]))
    await other.until_a_process_waits()
    other.connection.commit()
    (ingested,) = await ingesting
    other.close()

    assert ingested.duplicate
    logged = await find_notification(ledger, not_json.digest)
    assert logged is not None
    assert logged.times_received == 2
    await ledger.close()


async def test_a_deadlock_is_tried_again(postgres_url: str, clock: FrozenClock) -> None:
    """Ours all lock in one order; a person with a console may not."""
    ledger = await open_ledger(postgres_url, clock=clock)
    ids = [(await ingest_one(ledger, key=key)).contact_id for key in ("ada", "bob")]
    both_hold_one = threading.Barrier(2)
    tries: list[int | None] = []

    def lock_both(connection: Connection, first: int | None, second: int | None) -> None:
        tries.append(first)
        lock = select(contacts.c.id).with_for_update()
        connection.execute(lock.where(contacts.c.id == first))
        if len(tries) <= 2:
            both_hold_one.wait(timeout=30)
        connection.execute(lock.where(contacts.c.id == second))
        connection.execute(
            update(contacts).where(contacts.c.id == second).values(attempts=contacts.c.attempts + 1)
        )

    await asyncio.gather(
        ledger._database.write(lambda connection: lock_both(connection, ids[0], ids[1])),
        ledger._database.write(lambda connection: lock_both(connection, ids[1], ids[0])),
    )

    # The loser may come back before the other has what it waited for, and lose again.
    assert len(tries) >= 3
    assert [(await contact_of(ledger, key)).attempts for key in ("ada", "bob")] == [1, 1]
    await ledger.close()


async def test_collisions_without_end_are_given_up(postgres_url: str, clock: FrozenClock) -> None:
    ledger = await open_ledger(postgres_url, clock=clock)
    tries = []

    def collide(connection: Connection) -> None:
        tries.append(connection)
        connection.exec_driver_sql("DO $$ BEGIN RAISE serialization_failure; END $$")

    with pytest.raises(StoreUnavailableError, match="40001"):
        await ledger._database.write(collide)

    assert len(tries) == 5
    await ledger.close()


async def test_two_replicas_ingest_and_deliver_everything_once(postgres_url: str, clock: FrozenClock) -> None:
    """Both are sent everything, in opposite orders, while both deliver."""
    replicas = [await open_for_serving(postgres_url, clock=clock) for _ in range(2)]
    people = [f"person-{number}" for number in range(30)]
    notifications: list[InterpretedNotification] = [
        interpreted(choice(number % 2 == 0, after=number * SECOND), key=key, digest=new_digest())
        for number in range(4)
        for key in people
    ]
    delivered: list[tuple[str, int]] = []

    async def receive(ledger: Ledger, arriving: list[InterpretedNotification]) -> list[bool]:
        duplicates = []
        for start in range(0, len(arriving), 7):
            ingested = await ledger.inbox.ingest(arriving[start : start + 7])
            duplicates += [each.duplicate for each in ingested]
        return duplicates

    async def deliver(ledger: Ledger, receiving: asyncio.Future[tuple[list[bool], list[bool]]]) -> None:
        while True:
            finished = receiving.done()
            claims = await ledger.queue.claim(now=clock.now(), limit=5, lease=timedelta(hours=1))
            answers = await ledger.queue.settle([settlement(claim) for claim in claims], now=clock.now())
            assert all(answers)
            delivered.extend((claim.contact.key, claim.contact.revision) for claim in claims)
            if finished and not claims:
                return

    receiving = asyncio.gather(receive(replicas[0], notifications), receive(replicas[1], notifications[::-1]))
    await asyncio.gather(*(deliver(ledger, receiving) for ledger in replicas))
    duplicates = [each for one in await receiving for each in one]

    assert duplicates.count(False) == len(notifications)
    assert len(set(delivered)) == len(delivered)
    for key in people:
        contact = await contact_of(replicas[0], key)
        assert [register.statement for register in contact.registers.values()] == [
            choice(False, after=3 * SECOND)
        ]
        assert (key, contact.revision) in delivered
    for ledger in replicas:
        await ledger.close()
