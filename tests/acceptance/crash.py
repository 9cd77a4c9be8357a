"""A siege: real processes under load, killed at random while the sandbox misbehaves; then the reckoning."""

import asyncio
import hashlib
import json
import random
import re
import signal
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import httpx
import psycopg
import yaml

from tests.acceptance.crash_fold import COLUMNS, differing, fold
from tests.acceptance.crash_story import Story, person_key
from tests.acceptance.processes import COMMAND, free_port, run_sandbox

_LOOK_EVERY_SECONDS = 0.05
_NEXT_FAULTS_SECONDS = 0.4
_START_WITHIN_SECONDS = 60.0
_SEND_WITHIN_SECONDS = 15.0

_FAULTS: Sequence[dict[str, Any]] = (
    {"match": {"path": "$batch"}, "behaviour": "cut_before", "times": 1},
    {"match": {"path": "$batch"}, "behaviour": "cut_after_commit", "times": 1},
    {"match": {"method": "PATCH"}, "behaviour": "cut_after_commit", "times": 1},
    {"match": {"method": "PATCH"}, "behaviour": "cut_before", "times": 1},
    {"match": {"path": "$batch"}, "behaviour": "html", "times": 1},
    {"match": {"path": "$batch"}, "behaviour": "slow", "delay_ms": 700, "times": 2},
    {"match": {"path": "$batch"}, "reply": {"status": 429, "headers": {"Retry-After": "1"}}, "times": 1},
    {"match": {"method": "PATCH"}, "reply": {"status": 503}, "times": 2},
    {"match": {"path": "$batch"}, "reply": {"status": 500}, "times": 1},
)


@dataclass(slots=True)
class Reckoning:
    """What a siege came to. `commands`: of an operator, that succeeded meanwhile. `lost`: acknowledged, but
    not in the store. `differing`: cells of Contacts.
    """

    kills: int = 0
    replicas: int = 1
    commands: int = 0
    sent: int = 0
    acknowledged: int = 0
    answers_lost_or_refused: int = 0
    lost: int = 0
    people: int = 0
    rows_written: int = 0
    throttled: int = 0
    peak_writers_per_row: int = 0
    parked: int = 0
    seconds_to_calm: float = 0.0
    differing: list[str] = field(default_factory=list)

    def table(self) -> str:
        """For people."""
        return json.dumps({**asdict(self), "differing": len(self.differing)})


@dataclass(slots=True)
class Replica:
    """One replica: killed and started as often as it takes."""

    folder: Path
    config: Path
    port: int
    name: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with (self.folder / f"{self.name}.log").open("ab") as log:
            words = [*COMMAND, "serve", "--config", str(self.config)]
            self.process = subprocess.Popen(words, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT)

    def end(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(_START_WITHIN_SECONDS)

    async def until_ready(self, http: httpx.AsyncClient) -> None:
        async with asyncio.timeout(_START_WITHIN_SECONDS):
            while True:
                assert self.process is not None
                assert self.process.poll() is None, self.log()
                try:
                    if (await http.get(f"{self.url}/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(_LOOK_EVERY_SECONDS)

    def log(self) -> str:
        return (self.folder / f"{self.name}.log").read_text(errors="replace")[-4000:]


def replica(folder: Path, config: str, store_url: str, number: int, *, takeover_seconds: int) -> Replica:
    """One with the sandbox's configuration, but for its port and its store."""
    port = free_port()
    text = re.sub(r"port: \d+", f"port: {port}", config, count=1)
    store = f"store: {{ url: {json.dumps(store_url)}, takeover_after: {takeover_seconds}s }}"
    text = re.sub(r"^store: .*$", lambda _: store, text, count=1, flags=re.MULTILINE)
    path = folder / f"replica-{number}.yaml"
    path.write_text(text)
    return Replica(folder, path, port, f"replica-{number}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How hard the siege is. `store_url` None: SQLite, one process."""

    kills: int
    people: int = 60
    connections: int = 8
    seed: int = 1
    pause_seconds: float = 0.02
    kill_within_seconds: float = 1.0
    takeover_seconds: int = 4
    calm_within_seconds: float = 120.0
    row_ms: float = 2.0
    store_url: str | None = None
    replicas: int = 1
    tell: Callable[[str], None] | None = None


def besiege(folder: Path, plan: Plan) -> Reckoning:
    """Runs a whole siege. Everything that it starts has ended when it returns."""
    with run_sandbox(folder) as sandbox:
        return asyncio.run(_Siege(folder, plan, sandbox.ready).run())


class _Siege:
    def __init__(self, folder: Path, plan: Plan, ready: dict[str, str]) -> None:
        self._plan = plan
        self._sandbox = ready["url"]
        self._trust = ssl.create_default_context(cafile=ready["ca_bundle"])
        text = Path(ready["config"]).read_text()
        header = yaml.safe_load(text)["didomi"]["auth"]["header"]
        self._headers = {header["name"]: header["value"], "Content-Type": "application/json"}
        self._store = plan.store_url or f"sqlite:///{folder / 'siege.db'}"
        self._services = [
            replica(folder, text, self._store, number, takeover_seconds=plan.takeover_seconds)
            for number in range(plan.replicas if plan.store_url else 1)
        ]
        self._story = Story(people=plan.people, seed=plan.seed).bodies()
        self._dice = random.Random(plan.seed + 1)  # noqa: S311 - seeded, so that a siege can be repeated
        self._acknowledged: list[bytes] = []
        self._over = asyncio.Event()
        self._reckoning = Reckoning(replicas=len(self._services), people=plan.people)

    async def run(self) -> Reckoning:
        async with httpx.AsyncClient(
            verify=self._trust, trust_env=False, timeout=_SEND_WITHIN_SECONDS
        ) as http:
            try:
                await self._prepare(http)
                senders = [asyncio.create_task(self._send(http)) for _ in range(self._plan.connections)]
                trouble = asyncio.create_task(self._make_trouble(http))
                operator = asyncio.create_task(self._operate())
                await self._kill(http)
                self._over.set()
                await asyncio.gather(*senders, operator)
                trouble.cancel()
                await self._control(http, "PUT", "faults", [])
                await self._until_calm(http)
                return await self._reckon(http)
            finally:
                for service in self._services:
                    service.end(signal.SIGKILL)

    async def _control(self, http: httpx.AsyncClient, method: str, what: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        answer = await http.request(method, f"{self._sandbox}/_sandbox/{what}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def _prepare(self, http: httpx.AsyncClient) -> None:
        rows = [{"lastname": "Person", "new_didomikey": person_key(n)} for n in range(self._plan.people)]
        await self._control(http, "PUT", "contacts", rows)
        # Calls take time, so that two for one row could meet.
        await self._control(http, "PUT", "limits", {"call_ms": 20, "row_ms": {"batch": self._plan.row_ms}})
        for service in self._services:
            service.start()
        for service in self._services:
            await service.until_ready(http)

    async def _send(self, http: httpx.AsyncClient) -> None:
        """One connection's worth of Didomi: each notification again and again until it is acknowledged."""
        while not self._over.is_set():
            body = next(self._story)
            self._reckoning.sent += 1
            while not await self._is_acknowledged(http, body):
                self._reckoning.answers_lost_or_refused += 1
                await asyncio.sleep(_LOOK_EVERY_SECONDS)
            self._acknowledged.append(body)
            await asyncio.sleep(self._plan.pause_seconds)

    async def _is_acknowledged(self, http: httpx.AsyncClient, body: bytes) -> bool:
        url = self._dice.choice(self._services).url
        try:
            answer = await http.post(f"{url}/webhooks/didomi", content=body, headers=self._headers)
        except httpx.TransportError:
            return False
        assert answer.status_code in {202, 503}, answer.text
        return answer.status_code == 202

    async def _make_trouble(self, http: httpx.AsyncClient) -> None:
        while True:
            faults = self._dice.sample(_FAULTS, k=self._dice.randint(0, 2))
            await self._control(http, "PUT", "faults", faults)
            await asyncio.sleep(_NEXT_FAULTS_SECONDS)

    async def _operate(self) -> None:
        """One command after another, each a process of its own that opens the store and leaves it again."""
        while not self._over.is_set():
            person = person_key(self._dice.randrange(self._plan.people))
            words = ("contacts", "resync", person, "--config", str(self._services[0].config))
            command = await asyncio.create_subprocess_exec(
                *COMMAND, *words, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
            )
            async with asyncio.timeout(_START_WITHIN_SECONDS):
                self._reckoning.commands += await command.wait() == 0

    async def _kill(self, http: httpx.AsyncClient) -> None:
        for number in range(1, self._plan.kills + 1):
            await asyncio.sleep(self._dice.uniform(0.0, self._plan.kill_within_seconds))
            victim = self._dice.choice(self._services)
            victim.end(signal.SIGKILL)
            self._reckoning.kills = number
            victim.start()
            # Now and then the next one is killed while this one still starts.
            if len(self._services) == 1 or self._dice.random() < 0.7:
                for service in self._services:
                    await service.until_ready(http)
            if self._plan.tell is not None and number % 10 == 0:
                self._plan.tell(f"{number} kills, {len(self._acknowledged)} acknowledged")

    async def _until_calm(self, http: httpx.AsyncClient) -> None:
        """Nothing is due and nothing is on its way, twice in a row."""
        calm = 0
        loop = asyncio.get_running_loop()
        began = loop.time()
        while calm < 2:
            waited = loop.time() - began
            assert waited < self._plan.calm_within_seconds, list(_unsettled(self._store))
            self._reckoning.seconds_to_calm = round(waited, 1)
            async with asyncio.timeout(_START_WITHIN_SECONDS):
                await asyncio.sleep(_LOOK_EVERY_SECONDS)
                for service in self._services:
                    await service.until_ready(http)
                page = (await http.get(f"{self._services[0].url}/metrics")).text
                moving = sum(gauge(page, state) for state in ("due", "delivering", "unmatched"))
                self._reckoning.parked = round(gauge(page, "parked"))
                calm = calm + 1 if moving == 0 else 0

    async def _reckon(self, http: httpx.AsyncClient) -> Reckoning:
        reckoning = self._reckoning
        chosen = ",".join(("new_didomikey", *COLUMNS))
        rows = await self._control(http, "GET", f"contacts?select={chosen}")
        stats = await self._control(http, "GET", "stats")
        reckoning.acknowledged = len(self._acknowledged)
        reckoning.differing = differing({row["new_didomikey"]: row for row in rows}, fold(self._acknowledged))
        reckoning.rows_written = stats["rows_written"]
        reckoning.throttled = stats["throttled"]
        reckoning.peak_writers_per_row = stats["peak_writers_per_row"]
        stored = set(_stored(self._store))
        reckoning.lost = sum(_digest(body) not in stored for body in set(self._acknowledged))
        return reckoning


def gauge(page: str, state: str) -> float:
    """How many contacts are in a state, by a metrics page."""
    found = re.search(rf'^didomi_dataverse_contacts{{state="{state}"}} (\S+)$', page, flags=re.MULTILINE)
    return float(found[1]) if found else 0.0


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


def _stored(url: str) -> Iterator[bytes]:
    """The digest of every body in the store, read beside the service."""
    yield from (_digest(bytes(body)) for (body,) in _asked(url, "SELECT body FROM notifications"))


def _unsettled(url: str) -> Iterator[str]:
    """Every contact that still waits for something: for whom, since when, and how often it failed."""
    columns = "state, priority, due_at, changed_at, attempts, revision, lease, reason"
    for row in _asked(url, f"SELECT {columns} FROM contacts WHERE state <> 'settled'"):  # noqa: S608 - ours
        yield f"{row}, now {time.time():.0f}"


def _asked(url: str, query: LiteralString) -> Iterator[Sequence[Any]]:
    if url.startswith("sqlite:///"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            yield from file.execute(query)
    else:
        with psycopg.connect(url) as server:
            yield from server.execute(query)


if __name__ == "__main__":
    sys.exit("Run benchmarks/crash.py, or the tests.")
