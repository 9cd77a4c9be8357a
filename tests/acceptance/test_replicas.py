"""Two replicas on one PostgreSQL: both receive, both deliver, and one takes over from the other."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from didomi_sandbox.bodies import event, event_created, person, purpose
from tests.acceptance.crash import Replica, gauge, replica
from tests.acceptance.processes import RunningSandbox, eventually
from tests.acceptance.test_service import secret_header
from tests.postgres import PostgresServer, postgres_server

PEOPLE = 40


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@contextmanager
def two_replicas(sandbox: RunningSandbox, store_url: str) -> Iterator[tuple[Replica, Replica]]:
    """Configured, not started."""
    config = Path(sandbox.config).read_text()
    replicas = (
        replica(sandbox.folder, config, store_url, 0, takeover_seconds=3),
        replica(sandbox.folder, config, store_url, 1, takeover_seconds=3),
    )
    sandbox.control("PUT", "contacts", [{"lastname": "P", "new_didomikey": f"p-{n}"} for n in range(PEOPLE)])
    try:
        yield replicas
    finally:
        for one in replicas:
            one.end(signal.SIGKILL)


def start(sandbox: RunningSandbox, one: Replica) -> None:
    one.start()
    eventually(lambda: sandbox.http.get(f"{one.url}/readyz").status_code == 200)


def post(sandbox: RunningSandbox, one: Replica, number: int) -> httpx.Response:
    made_at = datetime(2026, 3, 1, tzinfo=UTC)
    chosen = [purpose("newsletter", True)]
    body = event_created(event(f"event-{number}", person(f"p-{number}"), chosen, created_at=made_at))
    return sandbox.http.post(
        f"{one.url}/webhooks/didomi", content=json.dumps(body), headers=secret_header(sandbox)
    )


def is_calm(sandbox: RunningSandbox, one: Replica) -> bool:
    page = sandbox.http.get(f"{one.url}/metrics").text
    return gauge(page, "due") == gauge(page, "delivering") == 0 and gauge(page, "settled") == PEOPLE


def test_both_work_and_every_contact_is_written_once(
    running: RunningSandbox, postgres: PostgresServer
) -> None:
    with two_replicas(running, postgres.url(postgres.create("quiet"))) as replicas:
        for one in replicas:
            start(running, one)
        for number in range(PEOPLE):
            assert post(running, replicas[number % 2], number).status_code == 202
            # The same notification comes to the other replica, too.
            assert post(running, replicas[1 - number % 2], number).json()["duplicates"] == 1
        eventually(lambda: is_calm(running, replicas[0]))
        stats = running.control("GET", "stats")
        assert sorted(stats["writes"].values()) == [1] * PEOPLE
        assert stats["peak_writers_per_row"] == 1
        for one in replicas:
            assert "contacts_settled" in one.log()
            one.end(signal.SIGTERM)
            assert one.process is not None
            assert one.process.returncode == 0


def test_what_a_killed_replica_was_writing_is_taken_over_soon(
    running: RunningSandbox, postgres: PostgresServer
) -> None:
    with two_replicas(running, postgres.url(postgres.create("killed"))) as (dead, heir):
        # Carried out at once and answered late: the replica that asked never gets the answer.
        running.control("PUT", "limits", {"call_ms": 1000})
        start(running, dead)
        for number in range(PEOPLE):
            assert post(running, dead, number).status_code == 202
        eventually(lambda: running.control("GET", "stats")["peak_parallel"] > 1)
        dead.end(signal.SIGKILL)
        start(running, heir)
        eventually(lambda: is_calm(running, heir))
        assert "replica_taken_over" in heir.log()
        assert running.control("GET", "stats")["peak_writers_per_row"] == 1
    rows = running.control("GET", "contacts?select=new_newsletter")
    assert [row["new_newsletter"] for row in rows] == [True] * PEOPLE
