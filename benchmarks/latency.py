"""From a notification to its Contact row: on an idle machine, and a withdrawal behind a backlog of grants.

python benchmarks/latency.py --idle 50 --backlog 5000
"""

import argparse
import asyncio
import signal
import sqlite3
import tempfile
import time
from pathlib import Path

import stand
from tests.acceptance.processes import RunningSandbox, eventually, run_sandbox


def main() -> None:
    """Prints both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--idle", type=int, default=50)
    parser.add_argument("--backlog", type=int, default=5000)
    wanted = parser.parse_args()
    print(stand.machine())
    with tempfile.TemporaryDirectory(prefix="latency-") as folder, run_sandbox(Path(folder)) as sandbox:
        stand.put_people(sandbox, wanted.idle)
        with stand.service(sandbox, name=0) as one:
            waits = [one_row(sandbox, one, number) for number in range(wanted.idle)]
        run = stand.Run(len(waits), sum(waits), waits)
        print(f"idle, from post to row: p50 {run.wait(0.5):.0f} ms, p95 {run.wait(0.95):.0f} ms")
        print(behind(sandbox, wanted.backlog))


def one_row(sandbox: RunningSandbox, one: stand.Replica, number: int) -> float:
    """Seconds until the sandbox has written the row, the look for it included."""
    headers = {"X-Webhook-Secret": stand.secret_of(one.config), "Content-Type": "application/json"}
    content = stand.body(number, f"p-{number}", granted=False)
    began = time.perf_counter()
    answer = sandbox.http.post(f"{one.url}/webhooks/didomi", content=content, headers=headers)
    assert answer.status_code == 202
    while sandbox.control("GET", "stats")["rows_written"] <= number:
        assert time.perf_counter() - began < 30
    return time.perf_counter() - began


def behind(sandbox: RunningSandbox, backlog: int) -> str:
    """A withdrawal that arrives last, and how many of the grants before it were written before it."""
    stand.put_people(sandbox, backlog + 1)
    key = f"p-{backlog}"
    with stand.service(sandbox, name=1) as one:
        one.end(signal.SIGTERM)
        asyncio.run(stand.fill(stand.store_url(sandbox, 1), backlog))
        one.start()
        eventually(lambda: stand.is_ready(sandbox.http, one))
        while not stand.rows_updated(sandbox, one):
            time.sleep(0.01)
        before = stand.rows_updated(sandbox, one)
        refusal = stand.request_of(stand.body(backlog, key, granted=False), stand.secret_of(one.config))
        began = time.perf_counter()
        asyncio.run(stand.load(one.port, iter([refusal]), connections=1))
        while not is_written(sandbox, key):
            time.sleep(0.005)
        seconds = time.perf_counter() - began
        written = stand.rows_updated(sandbox, one) - before
    return (
        f"a withdrawal behind {backlog} grants: {seconds:.2f} s; "
        f"{written} of the grants were written in that time"
    )


def is_written(sandbox: RunningSandbox, key: str) -> bool:
    """Does the ledger have Dataverse's word for it? Asking the sandbox means reading its whole table."""
    with sqlite3.connect(f"file:{stand.store_path(sandbox, 1)}?mode=ro", uri=True) as store:
        return bool(
            store.execute("SELECT state = 'settled' FROM contacts WHERE key = ?", (key,)).fetchone()[0]
        )


if __name__ == "__main__":
    main()
