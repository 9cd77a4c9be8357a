"""Scripts with the official SDK beside ours: the same bodies and sandbox, and what each loses when killed.

    python benchmarks/peers.py --notifications 500

`--python` names another interpreter for the scripts; it needs `fastapi`, `uvicorn` and the SDK.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import stand
from tests.acceptance.crash import Replica
from tests.acceptance.processes import RunningSandbox, eventually, free_port, run_sandbox

QUIET_SECONDS = 3.0
# What the scripts are called in the table, and to themselves (peer_app.py).
PEERS = {"SDK, an upsert for each event": "each", "SDK, a bulk upsert of a list": "list"}


def main() -> None:
    """Prints one line for each of the three."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has the SDK")
    parser.add_argument("--notifications", type=int, default=500)
    wanted = parser.parse_args()
    print(stand.machine())
    print("who | 202/s | rows/s | calls | lost when killed after the last 202")
    with tempfile.TemporaryDirectory(prefix="peers-") as folder, run_sandbox(Path(folder)) as sandbox:
        for who in (*PEERS, "ours"):
            print(measured(sandbox, who, wanted.python, wanted.notifications), flush=True)


def measured(sandbox: RunningSandbox, who: str, python: str, count: int) -> str:
    """One row: once in peace, once killed and started again."""
    run, rows, calls, _ = story(sandbox, who, python, count, is_killed=False)
    _, _, _, lost = story(sandbox, who, python, count, is_killed=True)
    return f"{who} | {run.rate:.0f} | {rows:.0f} | {calls} | {lost} of {count}"


def story(
    sandbox: RunningSandbox, who: str, python: str, count: int, *, is_killed: bool
) -> tuple[stand.Run, float, int, int]:
    """The load, rows per second, calls to Dataverse, and contacts that never were as they must be."""
    sandbox.control("POST", "reset")
    stand.put_people(sandbox, count)
    with stand.service(sandbox, name=int(is_killed)) if who == "ours" else peer(sandbox, python, who) as one:
        secret = stand.secret_of(Path(sandbox.config))
        requests = (stand.request_of(stand.body(each, f"p-{each}"), secret) for each in range(count))
        began = time.perf_counter()
        run = asyncio.run(stand.load(one.port, requests, connections=16))
        if is_killed:
            one.end(signal.SIGKILL)
            one.start() if who == "ours" else start_peer(sandbox, python, who, one)
            eventually(lambda: stand.is_ready(sandbox.http, one))
        seconds = until_quiet(sandbox, count) - began
    calls = sandbox.control("GET", "stats")["calls"]
    made = sum(sum(calls.get(kind, {}).values()) for kind in ("batch", "patch", "upsert_multiple"))
    rows = sandbox.control("GET", "contacts?select=new_newsletter")
    return run, count / seconds, made, sum(row["new_newsletter"] is not True for row in rows)


@contextmanager
def peer(sandbox: RunningSandbox, python: str, who: str) -> Iterator[Replica]:
    """A script, ready."""
    one = Replica(sandbox.folder, Path(sandbox.config), free_port(), who)
    start_peer(sandbox, python, who, one)
    try:
        eventually(lambda: stand.is_ready(sandbox.http, one))
        yield one
    finally:
        one.end(signal.SIGKILL)


def start_peer(sandbox: RunningSandbox, python: str, who: str, one: Replica) -> None:
    """Once more, after it was killed."""
    trusted = {"REQUESTS_CA_BUNDLE": sandbox.ready["ca_bundle"], "PEER": json.dumps(sandbox.ready)}
    # Our own packages are not that interpreter's.
    environment = {**os.environ, **trusted, "PYTHONPATH": ""}
    script = Path(__file__).with_name("peer_app.py")
    one.process = subprocess.Popen([python, str(script), str(one.port), PEERS[who]], env=environment)


def until_quiet(sandbox: RunningSandbox, count: int) -> float:
    """When the last row was written; there is no more to come after `QUIET_SECONDS` of nothing."""
    written, at = -1, time.perf_counter()
    while written < count and time.perf_counter() - at < QUIET_SECONDS:
        found = sandbox.control("GET", "stats")["rows_written"]
        if found != written:
            written, at = found, time.perf_counter()
        time.sleep(0.05)
    return at


if __name__ == "__main__":
    main()
