"""`sandbox` in one shell, `serve` in another, `send` in a third; then things go wrong."""

import json
import resource
import signal
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from didomi_sandbox.bodies import Body, event, event_created, person, purpose
from tests.acceptance.processes import RunningSandbox, eventually, run, started

ONE = "customer-0001"


def says(minute: int, *, newsletter: bool, key: str = ONE) -> Body:
    made_at = datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(minutes=minute)
    chosen = [purpose("newsletter", newsletter)]
    return event_created(event(f"{key}-{minute}", person(key), chosen, created_at=made_at))


def secret_header(sandbox: RunningSandbox) -> dict[str, str]:
    """The static header that the sandbox's configuration asks for."""
    value = next(
        line.split('value: "')[1].split('"')[0]
        for line in Path(sandbox.config).read_text().splitlines()
        if "X-Webhook-Secret" in line
    )
    return {"X-Webhook-Secret": value}


def test_the_demo_ends_well(tmp_path: Path) -> None:
    result = run("demo", folder=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "WRONG" not in result.stdout
    assert result.stdout.count("right") > 20
    assert list(tmp_path.iterdir()) == []


def test_what_is_sent_reaches_the_row_once_and_an_older_choice_does_not(running: RunningSandbox) -> None:
    with running.service() as service:
        assert running.send(says(10, newsletter=False)).returncode == 0
        eventually(lambda: running.row(ONE)["new_newsletter"] is False)
        again = running.send(says(10, newsletter=False), says(5, newsletter=True))
        assert [json.loads(line)["answer"]["duplicates"] for line in again.stdout.splitlines()] == [1, 0]
        assert service.end() == 0
    assert running.row(ONE)["new_newsletter"] is False
    assert running.control("GET", "stats")["rows_written"] == 1
    shown = run("contacts", "show", ONE, "--config", running.config, "--json", folder=running.folder)
    view = json.loads(shown.stdout)
    assert view["state"] == "settled"
    assert view["columns"]["new_newsletter"]["rule"] == "mapping.gdpr.purposes.newsletter"
    assert {seen["disposition"] for seen in view["notifications"]} == {"applied", "unchanged"}


def test_commands_work_beside_a_running_service(running: RunningSandbox) -> None:
    """Each is a process of its own, on the store that the service has open."""

    def command(*words: str) -> Any:  # noqa: ANN401 - JSON
        result = run(*words, "--config", running.config, "--json", folder=running.folder)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    with running.service() as service:
        assert running.send(says(10, newsletter=False)).returncode == 0
        eventually(lambda: running.row(ONE)["new_newsletter"] is False)
        (listed,) = command("notifications", "list")
        assert listed["person"] == "c***1 (13 characters)"
        assert command("notifications", "show", listed["id"])["choices"][0]["value"] is False
        assert command("notifications", "replay", listed["id"])[0]["disposition"] == "unchanged"
        running.control("PUT", "contacts", [{"new_didomikey": ONE}])
        assert command("contacts", "resync", ONE)["due"] == 1
        eventually(lambda: running.row(ONE)["new_newsletter"] is False)
        deleted = {"type": "event.deleted", "parameters": {"entity": {"id": f"{ONE}-10"}}}
        assert running.send(says(11, newsletter=True), deleted).returncode == 0
        eventually(lambda: running.row(ONE)["new_newsletter"] is True)
        assert service.end() == 0


def test_what_was_acknowledged_survives_a_kill(running: RunningSandbox) -> None:
    running.control(
        "PUT", "faults", [{"match": {"path": "$batch"}, "behaviour": "cut_before", "times": 1000}]
    )
    with running.service() as service:
        assert running.send(says(1, newsletter=True), says(2, newsletter=False)).returncode == 0
        assert service.end(signal.SIGKILL) == -signal.SIGKILL
    running.control("PUT", "faults", [])
    with running.service("again"):
        eventually(lambda: running.row(ONE)["new_newsletter"] is False)


def test_dataverse_being_down_is_no_reason_to_refuse_and_it_is_delivered_later(
    running: RunningSandbox,
) -> None:
    running.control("PUT", "faults", [{"match": {"path": "$batch"}, "behaviour": "html", "times": 1000}])
    with running.service():
        assert running.send(says(1, newsletter=False)).returncode == 0
        eventually(lambda: running.control("GET", "stats")["calls"].get("batch"))
        ready = running.http.get(f"{running.service_url}/readyz")
        assert ready.status_code == 200
        assert running.row(ONE)["new_newsletter"] is None
        running.control("PUT", "faults", [])
        eventually(lambda: running.row(ONE)["new_newsletter"] is False)


def test_a_store_that_cannot_commit_is_answered_503_and_recovers(running: RunningSandbox) -> None:
    with running.service():
        database = sqlite3.connect(Path(running.config).parent / "didomi-dataverse.db", isolation_level=None)
        database.execute("BEGIN EXCLUSIVE")
        headers = secret_header(running)
        url = f"{running.service_url}/webhooks/didomi"
        refused = running.http.post(url, json=says(1, newsletter=False), headers=headers)
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert running.http.get(f"{running.service_url}/readyz").status_code == 503
        assert running.http.get(f"{running.service_url}/livez").status_code == 200
        database.execute("ROLLBACK")
        database.close()
        assert running.http.post(url, json=says(1, newsletter=False), headers=headers).status_code == 202
        eventually(lambda: running.row(ONE)["new_newsletter"] is False)


def test_a_full_disk_is_answered_503_and_recovers_when_there_is_room(running: RunningSandbox) -> None:
    with running.service() as service:
        headers = secret_header(running)
        url = f"{running.service_url}/webhooks/didomi"
        process = service.process.pid
        # No file of the process may grow beyond this: what a full disk is for SQLite.
        _, most = resource.prlimit(process, resource.RLIMIT_FSIZE)
        written = Path(running.config).with_name("didomi-dataverse.db-wal")
        resource.prlimit(process, resource.RLIMIT_FSIZE, (written.stat().st_size + 10_000, most))
        large = {**says(1, newsletter=False), "padding": "x" * 100_000}
        refused = running.http.post(url, json=large, headers=headers)
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert running.http.get(f"{running.service_url}/livez").status_code == 200
        resource.prlimit(process, resource.RLIMIT_FSIZE, (most, most))
        assert running.http.post(url, json=large, headers=headers).status_code == 202
        assert running.http.post(url, json=large, headers=headers).json()["duplicates"] == 1
        eventually(lambda: running.row(ONE)["new_newsletter"] is False)


def test_the_webhook_answers_as_the_contract_says(running: RunningSandbox) -> None:
    with running.service() as service:
        headers = secret_header(running)
        url = f"{running.service_url}/webhooks/didomi"
        assert running.http.post(url, content=b"not json", headers=headers).status_code == 400
        assert (
            running.http.post(url, content=b"[" + b" " * 1_100_000 + b"]", headers=headers).status_code == 413
        )
        assert running.http.post(url, json={}).status_code == 401
        assert running.http.post(url, json={}, headers={"X-Webhook-Secret": "guess"}).status_code == 401
        assert running.http.post(url, json={"type": "what.ever"}, headers=headers).status_code == 202
        assert service.end() == 0
        log = service.text()
    with closing(sqlite3.connect(Path(running.config).parent / "didomi-dataverse.db")) as database:
        kept = database.execute("SELECT disposition, reason, body FROM notifications ORDER BY id").fetchall()
    assert kept == [
        ("parked", "not_json", b"not json"),
        ("parked", "unknown_type", b'{"type":"what.ever"}'),
    ]
    assert headers["X-Webhook-Secret"] not in log


def test_a_second_service_on_the_same_file_is_refused(running: RunningSandbox) -> None:
    with running.service():
        second = run("serve", "--config", running.config, folder=running.folder)
    assert second.returncode == 1
    assert "didomi-dataverse.db" in second.stdout + second.stderr


def test_nothing_personal_and_no_secret_is_logged(running: RunningSandbox) -> None:
    with running.service() as service:
        running.send(says(1, newsletter=False), says(1, newsletter=True, key="stranger@example.com"))
        eventually(lambda: running.row(ONE)["new_newsletter"] is False)
        assert service.end() == 0
        log = service.text()
    for private in (ONE, "stranger@example.com", running.ready["client_secret"], "newsletter"):
        assert private not in log


def test_the_service_stops_in_an_orderly_way_while_it_waits_for_dataverse(running: RunningSandbox) -> None:
    running.control(
        "PUT", "faults", [{"match": {"path": "$batch"}, "behaviour": "slow", "delay_ms": 3000, "times": 1}]
    )
    with running.service() as service:
        running.send(says(1, newsletter=False))
        eventually(lambda: running.control("GET", "stats")["calls"].get("token"))
        assert service.end() == 0
    shown = run("contacts", "show", ONE, "--config", running.config, "--json", folder=running.folder)
    assert json.loads(shown.stdout)["state"] in {"settled", "due"}


def test_a_broken_configuration_is_refused_with_file_line_and_key(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("server: { prot: 8080 }\n")
    with started("serve", "--config", str(config), folder=tmp_path, name="serve") as command:
        assert command.process.wait(30) == 2
    assert f"{config}:1: server.prot" in command.text()
