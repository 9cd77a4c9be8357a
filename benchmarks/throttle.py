"""How much of what Dataverse's limits allow the sender reaches, per delivery mode, on loopback.

    python benchmarks/throttle.py [--contacts 10000] [--modes batch,multiple,single] [--limit requests|time]

The sandbox enforces limits in a window of a few seconds in place of 300, so that many windows pass in a short
run. The steady state begins two windows after the first throttle. In the middle of a run everything is
throttled for some seconds, to see how long the sender takes to be back at its pace; that time is no steady
state either. Figures depend on the machine; the shares do not, as long as it can reach the limits at all.
"""

import argparse
import asyncio
import json
import random
import ssl
import tempfile
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import structlog

from didomi_dataverse.app import reading_policy
from didomi_dataverse.clock import SystemClock
from didomi_dataverse.configuration import load_configuration
from didomi_dataverse.dataverse.reply import Answered, CallKind, Exchange
from didomi_dataverse.dataverse.write import Request, Write
from didomi_dataverse.delivery.pace import Pace
from didomi_dataverse.delivery.worker import DeliveryWorker
from didomi_dataverse.didomi import choice, notification
from didomi_dataverse.ledger.ledger import Ledger
from didomi_dataverse.sandbox.bodies import event, event_created, person, purpose
from didomi_dataverse.sandbox.config_file import write_config
from didomi_dataverse.sandbox.server import SandboxServer, running_sandbox
from didomi_dataverse.senders import build_senders, open_clients

WINDOW_S = 5.0
LONGEST_RUN_S = 280
LONG_THROTTLE_S = 4
# No limit that teaches a rate: it is about the pause alone.
LONG_THROTTLE = {
    "match": {"path": "/api/"},
    "reply": {
        "status": 429,
        "headers": {"Retry-After": str(LONG_THROTTLE_S)},
        "body": {"error": {"code": "0x80072326", "message": "Too many at once."}},
    },
}
ROWS_PER_NOTIFICATION_BATCH = 500


@dataclass(slots=True)
class Log:
    """When each call ended, whether it was throttled, and what it carried."""

    calls: list[tuple[float, bool, int, float]] = field(default_factory=list)

    def exchanged(self, requests: list[Request], exchange: Exchange) -> None:
        first = exchange.replies[0] if exchange.replies else None
        throttled = isinstance(first, Answered) and first.status == 429
        good = sum(
            isinstance(request, Write) and isinstance(reply, Answered) and reply.status < 300
            for request, reply in zip(requests, exchange.replies, strict=False)
        )
        if exchange.kind is not CallKind.METADATA:
            self.calls.append((time.monotonic(), throttled, good, exchange.duration.total_seconds()))

    def concluded(self, *_: object) -> None: ...

    def found(self, *_: object) -> None: ...

    def paced(self, *_: object) -> None: ...


async def fill(ledger: Ledger, policy: choice.ReadingPolicy, contacts: int) -> None:
    """So many contacts become due."""
    now = SystemClock().now()
    for start in range(0, contacts, ROWS_PER_NOTIFICATION_BATCH):
        readings = []
        for number in range(start, min(start + ROWS_PER_NOTIFICATION_BATCH, contacts)):
            chosen = [purpose("newsletter", enabled=True)]
            body = event_created(event(f"e-{number}", person(f"k-{number}"), chosen, created_at=now))
            readings += [
                choice.read(found, received_at=now, caller="benchmark", policy=policy)
                for found in notification.parse(json.dumps(body).encode())
            ]
        await ledger.record(readings)


async def measure(
    sandbox: SandboxServer,
    folder: Path,
    *,
    mode: str,
    contacts: int,
    limit: str,
    per_window: float,
    half_s: float,
) -> None:
    """One run: fill, limit, deliver, report."""
    path = write_config(folder, sandbox.url, sandbox.identity, service_port=8080)
    path.write_text(path.read_text().replace("dataverse:\n", f"dataverse:\n  bulk: {mode}\n", 1))
    configuration = load_configuration(path, {})
    clock = SystemClock()
    ledger = await Ledger.open_for_serving(configuration.settings.store.url.get_secret_value(), clock=clock)
    trusted = ssl.create_default_context(cafile=str(sandbox.ca_bundle))
    async with httpx.AsyncClient(verify=trusted, timeout=120, base_url=sandbox.url) as http:
        await http.post("/_sandbox/reset")
        await http.put("/_sandbox/contacts", json=[{"new_didomikey": f"k-{n}"} for n in range(contacts)])
        await fill(ledger, reading_policy(configuration), contacts)
        limits: dict[str, object] = {
            "enforce": True,
            "window_seconds": WINDOW_S,
            "requests": 1_000_000,
            "execution_seconds": 1e9,
            "call_ms": 20,
            "row_ms": {"batch": 1, "multiple": 0.3, "single": 1},
        }
        limits["requests" if limit == "requests" else "execution_seconds"] = (
            int(per_window) if limit == "requests" else per_window
        )
        await http.put("/_sandbox/limits", json=limits)
        log = Log()
        least = WINDOW_S / 300 / 4
        pace = Pace.at_start(max_parallel=4, max_rows=50, window=timedelta(seconds=WINDOW_S), least=least)
        clients = open_clients(configuration.settings.dataverse, clock=clock)
        senders = build_senders(
            configuration,
            clients,
            ledger=ledger,
            clock=clock,
            dice=random.random,
            listener=log,
            pseudonym=lambda _: "somebody",
            pace=pace,
        )
        worker = DeliveryWorker(ledger=ledger, senders=senders, clock=clock)
        stop = asyncio.Event()
        began = time.monotonic()
        running = asyncio.create_task(worker.run(stop))
        long_at: float | None = None
        while await ledger.next_due_at() is not None and time.monotonic() - began < LONGEST_RUN_S:
            await asyncio.sleep(0.2)
            if long_at is None and time.monotonic() - began > half_s:
                long_at = time.monotonic()
                await http.put("/_sandbox/faults", json=[LONG_THROTTLE])
                await asyncio.sleep(0.5)
                await http.put("/_sandbox/faults", json=[])
        stop.set()
        await running
        ended = time.monotonic()
        for client in clients:
            await client.aclose()
    await ledger.close()
    run = Run(mode, limit, per_window, began, ended, long_at)
    report(log, run, senders[0].pace)


@dataclass(frozen=True, slots=True)
class Run:
    """What was measured, and when (monotonic seconds)."""

    mode: str
    limit: str
    per_window: float
    began: float
    ended: float
    long_at: float | None


def report(log: Log, run: Run, pace: Pace) -> None:
    """One line for a run."""
    first = next((at for at, throttled, _, _ in log.calls if throttled), None)
    rows = sum(good for _, _, good, _ in log.calls)
    admitted = [call for call in log.calls if not call[1]]
    took = run.ended - run.began
    print(
        f"{run.mode:9} {run.limit:9} {rows:7} rows in {took:6.1f} s, {rows / len(admitted):5.1f} rows a call"
    )
    if first is None:
        print("          the limit was never met")
        return
    from_s, until_s = first + 2 * WINDOW_S, run.ended - 0.5
    left_out = (run.long_at or 0.0, (run.long_at or 0.0) + LONG_THROTTLE_S + WINDOW_S)
    steady = [
        call
        for call in log.calls
        if from_s <= call[0] <= until_s and not left_out[0] <= call[0] <= left_out[1]
    ]
    span = until_s - from_s - max(0.0, min(left_out[1], until_s) - max(left_out[0], from_s))
    if span < WINDOW_S:
        print("          too short for a steady state")
        return
    used = sum(1 if run.limit == "requests" else call[3] for call in steady if not call[1])
    share = used / (run.per_window / WINDOW_S * span)
    throttled = sum(call[1] for call in steady)
    print(
        f"          steady {span:5.1f} s: {share:6.1%} of the limit, {throttled} of {len(steady)} throttled"
        f" ({throttled / max(len(steady), 1):.2%}); at the end {pace.rows} rows, {pace.parallel} parallel"
    )
    back = recovery(log, run)
    if back is not None:
        print(f"          {LONG_THROTTLE_S} s of throttle: {back:.1f} s after its end, back at the pace")


def recovery(log: Log, run: Run) -> float | None:
    """Seconds from the end of the long pause until a second of calls uses nine tenths of what is allowed."""
    if run.long_at is None:
        return None
    hit = [at for at, was, _, _ in log.calls if was and run.long_at <= at <= run.long_at + 2]
    if not hit:
        return None
    over = max(hit) + LONG_THROTTLE_S
    good = [call for call in log.calls if not call[1] and call[0] > over]
    for at, _, _, _ in good:
        inside = [call for call in good if at - 1 < call[0] <= at]
        used = sum(1 if run.limit == "requests" else call[3] for call in inside)
        if used >= 0.9 * run.per_window / WINDOW_S - 1:
            return at - over
    return None


async def main() -> None:
    """All the modes that were asked for, one after another."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--contacts", type=int, default=10_000)
    parser.add_argument("--modes", default="batch,multiple,single")
    parser.add_argument("--limit", choices=["requests", "time"], default="requests")
    parser.add_argument("--seconds", type=float, default=40.0, help="how long a run may take at the limit")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    for mode in given.modes.split(","):
        # So many calls in a window that the contacts last for the wished time.
        calls = given.contacts / {"batch": 50, "multiple": 25, "single": 1}[mode]
        per_window = max(calls * WINDOW_S / given.seconds, 4)
        if given.limit == "time":
            call_s = {"batch": 0.070, "multiple": 0.035, "single": 0.021}[mode] + 0.01
            per_window *= call_s
        with tempfile.TemporaryDirectory(prefix="didomi-dataverse-throttle-") as name:
            async with running_sandbox(Path(name)) as sandbox:
                await measure(
                    sandbox,
                    Path(name),
                    mode=mode,
                    contacts=given.contacts,
                    limit=given.limit,
                    per_window=per_window,
                    half_s=given.seconds / 2,
                )


if __name__ == "__main__":
    asyncio.run(main())
