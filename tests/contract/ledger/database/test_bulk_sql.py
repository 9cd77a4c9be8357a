"""Rows are found and written many at a time, whatever their number is."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection
from tests.clocks import START, FrozenClock
from tests.contract.ledger.steps import open_ledger

from didomi_dataverse.errors import StoreUnavailableError
from didomi_dataverse.ledger.database.bulk_sql import insert_rows, select_rows, update_rows
from didomi_dataverse.ledger.ledger import Ledger
from didomi_dataverse.ledger.tables import deleted_events

NAMES = ("source_id", "deleted_at", "digest")
DAY = timedelta(days=1)
COUNTS = [0, 1, 3, 64, 131]


def stones(count: int) -> list[dict[str, Any]]:
    return [
        {"source_id": f"event-{number:04}", "deleted_at": START, "digest": "first"} for number in range(count)
    ]


def found(connection: Connection, count: int) -> list[tuple[object, ...]]:
    wanted = {f"event-{number:04}" for number in range(count)} | {"unheard-of"}
    return select_rows(connection, deleted_events, NAMES, where="source_id", wanted=wanted, lock=True)


@pytest.mark.parametrize("count", COUNTS)
async def test_what_is_inserted_is_found_in_order_with_its_times(ledger: Ledger, count: int) -> None:
    def work(connection: Connection) -> list[tuple[object, ...]]:
        insert_rows(connection, deleted_events, stones(count))
        return found(connection, count)

    assert await ledger._database.write(work) == [tuple(stone.values()) for stone in stones(count)]


@pytest.mark.parametrize("count", COUNTS)
async def test_what_is_there_already_is_left_alone(ledger: Ledger, count: int) -> None:
    def work(connection: Connection) -> list[tuple[object, ...]]:
        insert_rows(connection, deleted_events, stones(count // 2))
        again = [stone | {"digest": "second"} for stone in stones(count)]
        insert_rows(connection, deleted_events, again, skip_known=True)
        return found(connection, count)

    digests = [row[2] for row in await ledger._database.write(work)]
    assert digests == ["first"] * (count // 2) + ["second"] * (count - count // 2)


@pytest.mark.parametrize("count", COUNTS)
async def test_only_the_named_columns_of_the_found_rows_are_set(ledger: Ledger, count: int) -> None:
    def work(connection: Connection) -> list[tuple[object, ...]]:
        insert_rows(connection, deleted_events, stones(count + 1))
        later = [
            {"deleted_at": stone["deleted_at"] + number * DAY, "source_id": stone["source_id"]}
            for number, stone in enumerate(stones(count))
        ]
        update_rows(connection, deleted_events, later, where=("source_id",))
        return found(connection, count + 1)

    rows = await ledger._database.write(work)
    assert [row[1] for row in rows] == [START + number * DAY for number in range(count)] + [START]
    assert {row[2] for row in rows} == {"first"}


async def test_a_condition_of_several_columns_has_to_hold_whole(ledger: Ledger) -> None:
    def work(connection: Connection) -> list[tuple[object, ...]]:
        insert_rows(connection, deleted_events, stones(2))
        changes = [
            {"source_id": "event-0000", "digest": "first", "deleted_at": START + DAY},
            {"source_id": "event-0001", "digest": "other", "deleted_at": START + DAY},
        ]
        update_rows(connection, deleted_events, changes, where=("source_id", "digest"))
        return found(connection, 2)

    assert [row[1] for row in await ledger._database.write(work)] == [START + DAY, START]


async def test_a_disk_that_fails_between_two_rows_is_the_store_that_failed(
    sqlite_url: str, clock: FrozenClock
) -> None:
    ledger = await open_ledger(sqlite_url, clock=clock)
    await ledger._database.write(lambda connection: insert_rows(connection, deleted_events, stones(2_000)))

    def work(connection: Connection) -> None:
        driver = connection.connection.driver_connection
        assert driver is not None
        steps = iter(range(10_000))
        driver.set_progress_handler(lambda: next(steps) > 200, 100)
        try:
            found(connection, 2_000)
        finally:
            driver.set_progress_handler(None, 0)

    with pytest.raises(StoreUnavailableError):
        await ledger._database.write(work)
    await ledger.close()
