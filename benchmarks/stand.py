"""What the benchmarks share: a sandbox, services, a bounded load, and figures as people read them."""

import asyncio
import json
import math
import os
import platform
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import httpx
from tests.acceptance.crash import Replica, gauge, replica
from tests.acceptance.processes import RunningSandbox, eventually

from didomi_dataverse.clock import SystemClock
from didomi_dataverse.didomi import interpret, notification
from didomi_dataverse.didomi.interpreted import Identity, InterpretedNotification
from didomi_dataverse.ledger.ledger import Ledger
from didomi_dataverse.wiring.ledger import reinterpret
from didomi_sandbox.bodies import event, event_created, person, purpose

MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)
_STALLED_AFTER_SECONDS = 60.0
_PUT_SECONDS = 600.0
_FILL_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Run:
    """What one load came to. Times in seconds."""

    answers: int
    seconds: float
    waits: Sequence[float]

    @property
    def rate(self) -> float:
        """Acknowledged per second."""
        return self.answers / self.seconds

    def wait(self, share: float) -> float:
        """The wait that this share of the requests did not exceed, in milliseconds."""
        ordered = sorted(self.waits)
        return 1000 * ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def machine() -> str:
    """One line for the head of every table."""
    load = "/".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} "
        f"{platform.release()}, load at start {load}"
    )


def body(number: int, key: str, *, granted: bool = True, seconds: int = 0) -> bytes:
    """One confirmed event about one person."""
    made_at = MADE_AT + timedelta(seconds=seconds)
    chosen = [purpose("newsletter", granted), purpose("email_ads", granted)]
    return json.dumps(
        event_created(event(f"event-{number}-{seconds}", person(key), chosen, created_at=made_at))
    ).encode()


def secret_of(config: Path) -> str:
    """The value of the static header that the service asks for."""
    found = re.search(r'X-Webhook-Secret, value: "([^"]+)"', config.read_text())
    assert found is not None
    return found[1]


def request_of(content: bytes, secret: str) -> bytes:
    """The bytes of one POST on a connection that stays open."""
    head = (
        "POST /webhooks/didomi HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"X-Webhook-Secret: {secret}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def load(port: int, requests: Iterator[bytes], *, connections: int) -> Run:
    """Every request once, `connections` at a time, over plain sockets: the sender must not be the limit."""
    waits: list[float] = []

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in requests:
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            assert head.startswith(b"HTTP/1.1 202"), head
            waits.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    return Run(len(waits), time.perf_counter() - began, waits)


@contextmanager
def service(town: RunningSandbox, *, name: int = 0) -> Iterator[Replica]:
    """A service beside the sandbox, ready."""
    url = store_url(town, name)
    one = replica(town.folder, Path(town.config).read_text(), url, name, takeover_seconds=60)
    # One line for each notification would measure the file that it goes to.
    one.config.write_text(one.config.read_text() + "log: { level: warning }\n")
    one.start()
    try:
        eventually(lambda: is_ready(town.http, one))
        yield one
    finally:
        one.end(signal.SIGKILL)


def is_ready(http: httpx.Client, one: Replica) -> bool:
    """Does it take notifications?"""
    return http.get(f"{one.url}/readyz").status_code == 200


def store_path(town: RunningSandbox, name: int = 0) -> Path:
    """Where the service of this name keeps its ledger."""
    return town.folder / f"store-{name}.db"


def store_url(town: RunningSandbox, name: int = 0) -> str:
    """The same, as the configuration says it."""
    return f"sqlite:///{store_path(town, name)}"


def put_people(town: RunningSandbox, people: int) -> None:
    """A Contact row for each."""
    rows = [{"lastname": "Person", "new_didomikey": f"p-{number}"} for number in range(people)]
    answer = town.http.put(f"{town.ready['url']}/_sandbox/contacts", json=rows, timeout=_PUT_SECONDS)
    assert answer.status_code == 200, answer.text


async def fill(url: str, contacts: int) -> None:
    """A grant of every contact, ingested by the ledger itself, without the requests that would bring them.

    Everything that `Ledger.record` does is done; what comes before it, reading a body, is done once.
    """
    now = datetime.now(UTC)
    (found,) = notification.parse_notifications(body(0, "p-0"))
    model = interpret.interpret(
        found, received_at=now, caller="header", policy=interpret.InterpretationPolicy()
    )
    ledger = await Ledger.open(url, clock=SystemClock(), reinterpret=reinterpret)
    try:
        for start in range(0, contacts, _FILL_ROWS):
            some = range(start, min(start + _FILL_ROWS, contacts))
            await ledger.inbox.ingest([_of_person(model, number) for number in some])
    finally:
        await ledger.close()


def _of_person(model: InterpretedNotification, number: int) -> InterpretedNotification:
    key, event_id, digest = f"p-{number}", f"event-{number}", f"{number:064x}"
    device = f"didomi-{key}"
    return replace(
        model,
        digest=digest,
        identity=Identity(key=key, identifier=key),
        didomi_user=device,
        source_id=event_id,
        choices=tuple(
            replace(one, didomi_user=device, source_id=event_id, notification=digest) for one in model.choices
        ),
    )


def until_settled(town: RunningSandbox, one: Replica, contacts: int, *, every_seconds: float = 0.2) -> float:
    """When all contacts had been settled, on the clock of `perf_counter`. Gives up when nothing moves."""
    settled, moved_at = -1.0, time.perf_counter()
    while True:
        page = town.http.get(f"{one.url}/metrics").text
        now = time.perf_counter()
        found = gauge(page, "settled")
        if found >= contacts and gauge(page, "due") == gauge(page, "delivering") == 0:
            return now
        if found != settled:
            settled, moved_at = found, now
        assert now - moved_at < _STALLED_AFTER_SECONDS, page
        time.sleep(every_seconds)


def rows_updated(town: RunningSandbox, one: Replica) -> int:
    """How many rows the service had updated by now. The sandbox's own count names every row."""
    page = town.http.get(f"{one.url}/metrics").text
    found = re.search(r'^dataverse_operations_total\{operation="update"\} (\S+)$', page, flags=re.MULTILINE)
    return round(float(found[1])) if found else 0


def cpu_seconds(one: Replica) -> float:
    """The processor time that the process used so far: the same on an idle and on a busy machine."""
    assert one.process is not None
    fields = Path(f"/proc/{one.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(one: Replica) -> float:
    """What the process holds now."""
    assert one.process is not None
    status = Path(f"/proc/{one.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0
