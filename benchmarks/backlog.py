"""Contacts that became due while Dataverse was away, drained: rows per second, and memory all the while.

python benchmarks/backlog.py --contacts 10000
python benchmarks/backlog.py --contacts 10000 --limits
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import stand
from tests.acceptance.processes import Town, town


def main() -> None:
    """Fills the backlog, then drains it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--contacts", type=int, default=5000)
    parser.add_argument(
        "--limits", action="store_true", help="with service protection limits on, scaled down"
    )
    wanted = parser.parse_args()
    print(stand.machine())
    with tempfile.TemporaryDirectory(prefix="backlog-") as folder, town(Path(folder)) as sandbox:
        stand.put_people(sandbox, wanted.contacts)
        refused = [{"match": {"path": "$batch"}, "reply": {"status": 429, "headers": {"Retry-After": "5"}}}]
        sandbox.control("PUT", "faults", refused)
        with stand.service(sandbox) as one:
            secret = stand.secret_of(one.config)
            bodies = (stand.body(each, f"p-{each}") for each in range(wanted.contacts))
            requests = (stand.request_of(each, secret) for each in bodies)
            asyncio.run(stand.load(one.port, requests, connections=64))
            if wanted.limits:
                # The real window is five minutes; a shorter one shows the same sawtooth sooner.
                limits = {"enforce": True, "requests": 40, "window_seconds": 10, "call_ms": 50}
                sandbox.control("PUT", "limits", limits)
            sandbox.control("PUT", "faults", [])
            print(drained(sandbox, one, wanted.contacts))


def drained(sandbox: Town, one: stand.Replica, contacts: int) -> str:
    """The figures, counted from the first row written."""
    held = [stand.memory_mb(one)]
    while not sandbox.control("GET", "stats")["rows_written"]:
        time.sleep(0.05)
    began, at_first = time.perf_counter(), sandbox.control("GET", "stats")["rows_written"]
    settled = 0
    while settled < contacts:
        page = sandbox.http.get(f"{one.url}/metrics").text
        settled = round(stand.gauge(page, "settled"))
        held.append(stand.memory_mb(one))
        time.sleep(0.1)
    seconds = time.perf_counter() - began
    stats = sandbox.control("GET", "stats")
    return (
        f"{contacts} contacts: {(contacts - at_first) / seconds:.0f} rows/s, "
        f"{stats['rows_per_call']} rows a call, {stats['throttled']} throttled; "
        f"memory {held[0]:.0f} MB before, at most {max(held):.0f} MB"
    )


if __name__ == "__main__":
    main()
