"""The tables, what creates them, and whether the hot path finds its way by indexes alone."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, event, inspect
from tests.clocks import START, FrozenClock
from tests.contract.ledger.steps import claim_all, ingest_one, settlement
from tests.notifications import choice, interpreted

from didomi_dataverse.ledger.ledger import Ledger
from didomi_dataverse.ledger.tables import metadata

SECOND = timedelta(seconds=1)

_POSTGRES_PADDING = (
    """
    INSERT INTO contacts
      (key, identifier, registers, revision, state, due_at, priority, written, attempts,
       created_at, changed_at)
    SELECT 'pad-' || n, '', '', 1, 'settled', CASE WHEN mod(n, 10) = 0 THEN 4102444800000000 + n END,
      mod(n, 3), '', 0, 0, 0
    FROM generate_series(1, 5000) AS n
    """,
    """
    INSERT INTO notifications
      (digest, received_at, last_received_at, times_received, type, regulation, organization_id, didomi_user,
       source_id, caller, disposition, notes, body, contact_id)
    SELECT 'pad-' || n, 4102444800000000 + n, 0, 1, '', '', '', 'user-' || n,
      'event-' || n, '', 'applied', '[]', '', n
    FROM generate_series(1, 5000) AS n
    """,
    """
    INSERT INTO attempts (contact_id, attempted_at, outcome, code, message, request_id, columns)
    SELECT n, 4102444800000000 + n, '', '', '', '', '{}' FROM generate_series(1, 5000) AS n
    """,
    "INSERT INTO deleted_events SELECT 'gone-' || n, 0, '' FROM generate_series(1, 5000) AS n",
    "INSERT INTO deleted_users SELECT 'gone-' || n, 0, '' FROM generate_series(1, 5000) AS n",
    "ANALYZE",
)


def _pad(connection: Connection) -> None:
    """PostgreSQL reads a small table whole, and rightly: plans show their worth only in a large one."""
    if connection.dialect.name == "postgresql":
        for statement in _POSTGRES_PADDING:
            connection.exec_driver_sql(statement)


class _Plans:
    """The plan of every statement that one step sends, asked for on its own connection just before."""

    def __init__(self, ledger: Ledger) -> None:
        self._engines = ledger._database.engines
        self.plans: list[str] = []

    @contextmanager
    def watched(self) -> Iterator[list[str]]:
        engines = {self._engines.writing, self._engines.reading}
        for engine in engines:
            event.listen(engine, "before_cursor_execute", self._explain)
        try:
            yield self.plans
        finally:
            for engine in engines:
                event.remove(engine, "before_cursor_execute", self._explain)

    def _explain(
        self,
        connection: Connection,
        cursor: Any,  # noqa: ANN401 - the driver's
        statement: str,
        parameters: Any,  # noqa: ANN401 - the driver's
        *_: object,
    ) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")) and "relation" not in statement:
            sqlite = connection.dialect.name == "sqlite"
            one = parameters[0] if isinstance(parameters, list) else parameters
            cursor.execute(f"EXPLAIN {'QUERY PLAN ' if sqlite else ''}{statement}", one)
            plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
            self.plans.append(f"{statement}\n{plan}")


def _scans(plan: str) -> bool:
    """`meta` holds a handful of rows, and is best read whole; so are those that come with a statement."""
    return "SCAN " in _OF_THE_STATEMENT.sub("", plan) or "Seq Scan" in plan.replace("Seq Scan on meta", "")


_OF_THE_STATEMENT = re.compile(r"SCAN (json_each|new|(\d+ )?CONSTANT ROWS?)\b")


def _scans_or_sorts(plan: str) -> bool:
    return _scans(plan) or "TEMP B-TREE" in plan or "Sort" in plan


async def test_the_migrations_make_exactly_the_tables_of_the_code(ledger: Ledger) -> None:
    def differences(connection: Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    def indexes(connection: Connection) -> set[str]:
        found = inspect(connection)
        return {
            str(index["name"])
            for table in metadata.tables
            for index in found.get_indexes(table)
            if not index["unique"]
        }

    assert await ledger._database.read(differences) == []
    assert await ledger._database.read(indexes) == {
        index.name for table in metadata.tables.values() for index in table.indexes
    }


async def test_the_claim_reads_ranges_of_its_index_in_order(ledger: Ledger, clock: FrozenClock) -> None:
    await ledger._database.write(_pad)
    for key in ("ada", "bob"):
        await ingest_one(ledger, key=key)

    with _Plans(ledger).watched() as plans:
        claims = await claim_all(ledger, clock)

    assert len(claims) == 2
    reads = [plan for plan in plans if plan.startswith("SELECT")]
    assert len(reads) == 3
    assert all("ix_contacts_claim" in plan for plan in reads)
    assert [plan for plan in plans if _scans_or_sorts(plan)] == []


async def test_the_next_time_is_read_from_the_index(ledger: Ledger) -> None:
    await ledger._database.write(_pad)
    await ingest_one(ledger)

    with _Plans(ledger).watched() as plans:
        assert await ledger.queue.next_due_at() == START

    assert len(plans) == 3
    assert all("ix_contacts_claim" in plan for plan in plans)
    assert [plan for plan in plans if _scans_or_sorts(plan)] == []


async def test_ingesting_and_settling_scan_no_table(ledger: Ledger, clock: FrozenClock) -> None:
    await ledger._database.write(_pad)
    received = interpreted(choice())
    await ledger.inbox.ingest([received])
    (claim,) = await claim_all(ledger, clock)

    with _Plans(ledger).watched() as plans:
        await ledger.inbox.ingest([received, interpreted(choice(False, after=SECOND))])
        await ledger.queue.settle([settlement(claim)], now=clock.now())
        await ledger.queue.release([claim], now=clock.now())

    assert len(plans) >= 6
    # Sorting the few rows that a group found, so that all lock them in one order, is meant.
    assert [plan for plan in plans if _scans(plan)] == []


async def test_the_purge_finds_what_is_old_by_its_index(ledger: Ledger) -> None:
    await ledger._database.write(_pad)
    await ingest_one(ledger)

    with _Plans(ledger).watched() as plans:
        await ledger.maintenance.purge(
            notifications_before=START + SECOND, attempts_before=START + SECOND, limit=10
        )

    assert len(plans) == 3
    assert "ix_notifications_retention" in plans[0]
    assert "ix_notifications_retention" in plans[1]
    assert "ix_attempts_attempted_at" in plans[2]
    assert [plan for plan in plans if _scans(plan)] == []


async def test_what_is_known_of_a_contact_is_found_by_index(ledger: Ledger) -> None:
    await ledger._database.write(_pad)
    ingested = await ingest_one(ledger)
    assert ingested.contact_id is not None

    with _Plans(ledger).watched() as plans:
        await ledger.reader.contact("ada")
        await ledger.reader.notifications_of(ingested.contact_id, 10, {"device-1"})
        await ledger.reader.attempts_of(ingested.contact_id, 10)
        await ledger.reader.confirmations_of(ingested.contact_id, {"donotemail"})

    assert len(plans) == 5
    assert [plan for plan in plans if _scans(plan)] == []


@pytest.mark.parametrize("column", ["source_id", "didomi_user"])
async def test_notifications_are_found_by_what_didomi_calls_them(ledger: Ledger, column: str) -> None:
    """Deletes need them (docs/how-choices-are-decided.md, "Deletions"); the index is partial, because many
    notifications name nothing.
    """
    await ledger._database.write(_pad)

    def plan(connection: Connection) -> str:
        words = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
        statement = f"{words} SELECT id FROM notifications WHERE {column} = 'event-1' AND {column} <> ''"  # noqa: S608 - ours
        return "\n".join(str(row[-1]) for row in connection.exec_driver_sql(statement))

    assert f"ix_notifications_{column}" in await ledger._database.read(plan)
