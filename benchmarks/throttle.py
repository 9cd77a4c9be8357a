"""How much of what Dataverse's limits allow the sender reaches: every mode, every limit, on loopback.

    python benchmarks/throttle.py                                  # the whole table, 23 minutes
    python benchmarks/throttle.py --modes batch --limits time --contacts 10000

The sandbox enforces one limit at a time in a window of 10 seconds in place of 300. The sender is not told:
it reads the window from the first throttle, as it would another one of Dataverse's. A run takes
seven windows. Two are warm-up. The fifth is throttled as a whole, which stands for 300 seconds: "back after"
is how long after its end the first call was admitted (the sender adds up to a second of jitter), "then" what
was used of the window from that call on. Steady are the others. More contacts are due than a run can deliver,
so the sender is never short of work.

"Allowed" is the limit times the time; what was used of it is counted by the sandbox, not by the sender.
Limits are low, so that a busy machine reaches them. Whole seconds of `Retry-After` weigh thirty times as much
here as in a window of 300 s.
"""

import argparse
import asyncio
import json
import random
import shutil
import ssl
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import stand
import structlog

from dataverse_sandbox import AppRegistration, SandboxServer, running_sandbox
from didomi_dataverse.clock import SystemClock
from didomi_dataverse.dataverse.calls import CallKind, Exchange
from didomi_dataverse.dataverse.replies import Answered
from didomi_dataverse.dataverse.requests import Write
from didomi_dataverse.delivery.membership import SingleProcess
from didomi_dataverse.delivery.sender import Runtime
from didomi_dataverse.delivery.worker import DeliveryWorker
from didomi_dataverse.demo.sandbox_config import write_config
from didomi_dataverse.didomi import interpret, notification
from didomi_dataverse.ledger.ledger import Ledger
from didomi_dataverse.wiring.configuration import Configuration, load_configuration
from didomi_dataverse.wiring.delivery import build_senders, initial_rate_limit, open_clients
from didomi_dataverse.wiring.ledger import reinterpret
from didomi_dataverse.wiring.policies import interpretation_policy
from didomi_sandbox.bodies import event, event_created, person, purpose

WINDOW_S = 10
WINDOWS = 7
WARM_UP = 2
THROTTLED = 4
"""The window in which everything is throttled."""
LOOK_EVERY_S = 0.1
ROWS = 10
"""Contacts a call: few, so that they last for a run."""
# What a window holds, and what a call takes: so slow that a machine which does something else at the same
# time neither fails to reach the limit nor takes much longer for a call than the sandbox does.
LIMITS: dict[str, dict[str, object]] = {
    "requests": {"requests": 100, "call_ms": 70},
    "time": {"execution_seconds": 20, "call_ms": 250},
    "concurrency": {"concurrent": 3, "call_ms": 600},
}
UNLIMITED = {
    "enforce": True,
    "window_seconds": WINDOW_S,
    "requests": 1_000_000,
    "execution_seconds": 1e9,
    "concurrent": 1_000,
    "dop_hint": 52,
    "row_ms": {"batch": 1, "multiple": 0.5, "single": 20},
}
# For concurrency the long throttle names the number of calls: too many calls at once are never throttled for
# five minutes.
CODES = {"requests": "0x80072322", "time": "0x80072321", "concurrency": "0x80072322"}
ROWS_PER_COMMIT = 500


@dataclass(slots=True)
class Heard:
    """Each call that ended: when, whether it was throttled, and the rows it wrote."""

    calls: list[tuple[float, bool, int]] = field(default_factory=list)

    def on_call(self, exchange: Exchange) -> None:
        answers = [reply.answer for reply in exchange.replies]
        is_throttled = isinstance(answers[0], Answered) and answers[0].status == 429
        rows = sum(
            isinstance(request, Write) and isinstance(answer, Answered) and answer.status < 300
            for request, answer in zip(exchange.call.requests, answers, strict=False)
        )
        if exchange.call.kind is not CallKind.METADATA:
            self.calls.append((time.monotonic(), is_throttled, rows))

    def on_outcome(self, *_: object) -> None: ...

    def on_findings(self, *_: object) -> None: ...

    def on_rate_limit_change(self, *_: object) -> None: ...


@dataclass(slots=True)
class Counted:
    """What the sandbox counted: when each call was admitted, and the run time of each, by when it ended."""

    sandbox: SandboxServer
    admitted: list[float] = field(default_factory=list)
    executed: list[tuple[float, float]] = field(default_factory=list)
    _seen: dict[str, tuple[float, float]] = field(default_factory=dict)

    def look(self) -> None:
        """To be called more often than a window is long: what left it is forgotten there."""
        # The sandbox's clock is the time of day.
        shift = time.monotonic() - self.sandbox.app.clock.now()
        for user, usage in self.sandbox.app.environment.usages.items():
            called, ended = self._seen.get(user, (0.0, 0.0))
            self.admitted += [at + shift for at in usage.called_at if at > called]
            self.executed += [(at + shift, cost) for at, cost in usage.executed if at > ended]
            last_called = usage.called_at[-1] if usage.called_at else called
            last_ended = usage.executed[-1][0] if usage.executed else ended
            self._seen[user] = (max(called, last_called), max(ended, last_ended))

    def used(self, kind: str, start: float, end: float) -> float:
        """Calls, or seconds of run time."""
        if kind == "requests":
            return sum(start <= at < end for at in self.admitted)
        return sum(cost for at, cost in self.executed if start <= at < end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is measured."""

    mode: str
    kind: str
    contacts: int
    users: int = 1

    @property
    def allowed_per_s(self) -> float:
        """Calls, or seconds of run time."""
        limits = {**UNLIMITED, **LIMITS[self.kind]}
        if self.kind == "concurrency":
            return self.users * float(str(limits["concurrent"]))
        name = "requests" if self.kind == "requests" else "execution_seconds"
        return self.users * float(str(limits[name])) / WINDOW_S


async def fill(url: str, policy: interpret.InterpretationPolicy, contacts: int) -> None:
    """So many contacts become due."""
    clock = SystemClock()
    ledger = await Ledger.open_for_serving(url, clock=clock, reinterpret=reinterpret)
    now = clock.now()
    for start in range(0, contacts, ROWS_PER_COMMIT):
        readings = []
        for number in range(start, min(start + ROWS_PER_COMMIT, contacts)):
            chosen = [purpose("newsletter", enabled=True)]
            body = event_created(event(f"e-{number}", person(f"k-{number}"), chosen, created_at=now))
            readings += [
                interpret.interpret(found, received_at=now, caller="benchmark", policy=policy)
                for found in notification.parse_notifications(json.dumps(body).encode())
            ]
        await ledger.inbox.ingest(readings)
    await ledger.close()


def configured(sandbox: SandboxServer, folder: Path, run: Run) -> Configuration:
    """The sandbox's own configuration, with the mode and as many application users."""
    path = write_config(folder, sandbox.url, sandbox.identity, service_port=8080)
    options = f"  bulk: {run.mode}\n  batch_rows: {ROWS}\n"
    others = [f"33333333-3333-4333-8333-{number:012d}" for number in range(1, run.users)]
    for other in others:
        sandbox.app.entra.register(other, AppRegistration(client_secret="of the benchmark"))  # noqa: S106
    if others:
        written = ", ".join(f"{{ client_id: {other}, client_secret: of the benchmark }}" for other in others)
        options += f"  application_users: [{written}]\n"
    path.write_text(path.read_text().replace("dataverse:\n", f"dataverse:\n{options}", 1))
    return load_configuration(path, {})


async def measure(sandbox: SandboxServer, folder: Path, filled: Path, run: Run) -> str:
    """One run: limit, deliver, report."""
    configuration = configured(sandbox, folder, run)
    for file in filled.parent.glob(f"{filled.name}*"):
        shutil.copy(file, folder / file.name.replace(filled.name, "filled.db"))
    clock, heard, counted = SystemClock(), Heard(), Counted(sandbox)
    ledger = await Ledger.open_for_serving(
        f"sqlite:///{folder / 'filled.db'}", clock=clock, reinterpret=reinterpret
    )
    trusted = ssl.create_default_context(cafile=str(sandbox.ca_bundle))
    async with httpx.AsyncClient(verify=trusted, timeout=120, base_url=sandbox.url) as http:
        rows = [{"new_didomikey": f"k-{number}"} for number in range(run.contacts)]
        await http.put("/_sandbox/contacts", json=rows)
        await http.put("/_sandbox/limits", json={**UNLIMITED, **LIMITS[run.kind]})
        clients = open_clients(configuration.settings.dataverse, clock=clock)
        senders = build_senders(
            configuration,
            clients,
            ledger=ledger,
            membership=SingleProcess(ledger.replicas, clock=clock),
            runtime=Runtime(
                clock=clock, draw_jitter=random.random, listener=heard, pseudonym=lambda _: "a contact"
            ),
            rate_limit=initial_rate_limit(configuration.settings.dataverse),
        )
        worker = DeliveryWorker(ledger=ledger.queue, senders=senders, clock=clock)
        stop = asyncio.Event()
        began = time.monotonic()
        running = asyncio.create_task(worker.run(stop))
        closed_at = began + THROTTLED * WINDOW_S
        await looked(counted, closed_at)
        throttle = {
            "match": {"path": "/api/"},
            "reply": {
                "status": 429,
                "headers": {"Retry-After": str(WINDOW_S)},
                "body": {"error": {"code": CODES[run.kind], "message": "Everything is throttled."}},
            },
        }
        await http.put("/_sandbox/faults", json=[throttle])
        await looked(counted, closed_at + WINDOW_S)
        await http.put("/_sandbox/faults", json=[])
        await looked(counted, began + WINDOWS * WINDOW_S)
        stop.set()
        await running
        for client in clients:
            await client.aclose()
    is_short = await ledger.queue.next_due_at() is None
    await ledger.close()
    return report(run, heard, counted, began) + (" (ran out of contacts)" if is_short else "")


async def looked(counted: Counted, until: float) -> None:
    """Waits, and counts meanwhile."""
    while time.monotonic() < until:
        await asyncio.sleep(LOOK_EVERY_S)
        counted.look()


def report(run: Run, heard: Heard, counted: Counted, began: float) -> str:
    """A row of the table."""
    spans = [
        (began + WARM_UP * WINDOW_S, began + THROTTLED * WINDOW_S),
        (began + (THROTTLED + 2) * WINDOW_S, began + WINDOWS * WINDOW_S),
    ]
    seconds = sum(end - start for start, end in spans)
    used = sum(counted.used(run.kind, start, end) for start, end in spans)
    calls = [call for call in heard.calls if any(start <= call[0] < end for start, end in spans)]
    refused = sum(is_throttled for _, is_throttled, _ in calls)
    writing = [rows for _, _, rows in calls if rows]
    opened = began + (THROTTLED + 1) * WINDOW_S
    first = min((at for at in counted.admitted if at >= opened), default=began + WINDOWS * WINDOW_S)
    after = counted.used(run.kind, first, first + WINDOW_S) / (run.allowed_per_s * WINDOW_S)
    return (
        f"| {run.contacts:,} | {run.mode} | {run.kind} | {run.users} "
        f"| {used / (run.allowed_per_s * seconds):.1%} | {refused} of {len(calls)} = "
        f"{refused / max(len(calls), 1):.2%} | {sum(writing) / max(len(writing), 1):.1f} "
        f"| {first - opened:.1f} s | {after:.0%} |"
    )


async def table(runs: list[Run]) -> None:
    """All runs, one after another."""
    print(stand.machine())
    print(
        "| due | mode | limit | users | of what is allowed | 429 | rows a writing call | back after | then |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="didomi-dataverse-throttle-") as name:
        for run in runs:
            folder = Path(name) / f"{run.mode}-{run.kind}-{run.contacts}-{run.users}"
            folder.mkdir()
            filled = Path(name) / f"{run.contacts}.db"
            async with running_sandbox(folder) as sandbox:
                if not filled.exists():
                    policy = interpretation_policy(configured(sandbox, folder, run))
                    await fill(f"sqlite:///{filled}", policy, run.contacts)
                print(await measure(sandbox, folder, filled, run), flush=True)
            shutil.rmtree(folder)


def main() -> None:
    """What was asked for, or everything."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--contacts", default="10000,100000")
    parser.add_argument("--modes", default="batch,multiple,single")
    parser.add_argument("--limits", default=",".join(LIMITS))
    parser.add_argument(
        "--users", type=int, default=1, help="how many application users, each with limits of its own"
    )
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    runs = [
        Run(mode=mode, kind=kind, contacts=contacts, users=given.users)
        for contacts in map(int, given.contacts.split(","))
        for mode in given.modes.split(",")
        for kind in given.limits.split(",")
    ]
    asyncio.run(table(runs))


if __name__ == "__main__":
    main()
