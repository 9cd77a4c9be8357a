"""Killed at random moments, under load, while Dataverse misbehaves: nothing that was acknowledged is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.crash import Plan, Reckoning, besiege
from tests.postgres import PostgresServer, postgres_server


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


def assert_nothing_is_lost(reckoning: Reckoning, *, kills: int) -> None:
    assert reckoning.kills == kills
    assert reckoning.commands > 0
    assert reckoning.acknowledged > 50
    assert reckoning.lost == 0
    assert reckoning.parked == 0
    assert reckoning.differing == []
    assert reckoning.peak_writers_per_row == 1


def test_one_process_on_sqlite(tmp_path: Path) -> None:
    assert_nothing_is_lost(besiege(tmp_path, Plan(kills=5)), kills=5)


def test_two_replicas_on_postgresql(tmp_path: Path, postgres: PostgresServer) -> None:
    url = postgres.url(postgres.create("siege"))
    plan = Plan(kills=4, store_url=url, replicas=2, seed=7)
    assert_nothing_is_lost(besiege(tmp_path, plan), kills=4)
