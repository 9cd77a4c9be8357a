"""Contacts that became due while Dataverse was away, drained: rows per second, and memory all the while.

python benchmarks/backlog.py --contacts 10000
python benchmarks/backlog.py --contacts 1000000 --minutes 20
python benchmarks/backlog.py --contacts 10000 --limits
"""

import argparse
import asyncio
import signal
import tempfile
import time
from pathlib import Path

import stand
from tests.acceptance.processes import RunningSandbox, eventually, run_sandbox


def main() -> None:
    """Fills the backlog, then drains it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--contacts", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=10, help="how long to watch it drain, at most")
    parser.add_argument(
        "--limits", action="store_true", help="with service protection limits on, scaled down"
    )
    wanted = parser.parse_args()
    print(stand.machine())
    with tempfile.TemporaryDirectory(prefix="backlog-") as folder, run_sandbox(Path(folder)) as sandbox:
        stand.put_people(sandbox, wanted.contacts)
        with stand.service(sandbox) as one:
            # It has seen its mapping and its target by now, and will not look at every contact for those.
            one.end(signal.SIGTERM)
            began = time.perf_counter()
            asyncio.run(stand.fill(stand.store_url(sandbox), wanted.contacts))
            print(f"filled in {time.perf_counter() - began:.0f} s", flush=True)
            if wanted.limits:
                # The real window is five minutes; a shorter one shows the same sawtooth sooner.
                limits = {"enforce": True, "requests": 40, "window_seconds": 10, "call_ms": 50}
                sandbox.control("PUT", "limits", limits)
            one.start()
            eventually(lambda: stand.is_ready(sandbox.http, one))
            print(drained(sandbox, one, wanted.contacts, within_seconds=60 * wanted.minutes))


def drained(sandbox: RunningSandbox, one: stand.Replica, contacts: int, *, within_seconds: float) -> str:
    """The figures, counted from the first rows written, by the service's own count of them."""
    held = [stand.memory_mb(one)]
    while not (at_first := stand.rows_updated(sandbox, one)):
        time.sleep(0.05)
    used, began = stand.cpu_seconds(one), time.perf_counter()
    written, seconds = at_first, 0.0
    # A look counts every contact, so that a larger backlog is looked at more rarely.
    look_every_seconds = max(0.2, contacts / 200_000)
    while written < contacts and seconds < within_seconds:
        time.sleep(look_every_seconds)
        held.append(stand.memory_mb(one))
        written = stand.rows_updated(sandbox, one)
        seconds = time.perf_counter() - began
    used = stand.cpu_seconds(one) - used
    stats = sandbox.control("GET", "stats")
    quarters = [held[number * (len(held) - 1) // 4] for number in range(5)]
    rows = written - at_first
    return (
        f"{contacts} contacts, {written} written: {rows / seconds:.0f} rows/s, "
        f"{1e6 * used / rows:.0f} µs CPU a row, "
        f"{stats['rows_per_call']} rows a call, {stats['throttled']} throttled; "
        f"memory at most {max(held):.0f} MB, at each quarter "
        f"{', '.join(f'{each:.0f}' for each in quarters)} MB"
    )


if __name__ == "__main__":
    main()
