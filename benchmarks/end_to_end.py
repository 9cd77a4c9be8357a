"""From the first post to the last settled contact: as many contacts as notifications, and a tenth of them.

python benchmarks/end_to_end.py --notifications 5000
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import stand
from tests.acceptance.processes import RunningSandbox, run_sandbox


def main() -> None:
    """Prints one line for each shape of the load."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--notifications", type=int, default=5000)
    parser.add_argument("--connections", type=int, default=64)
    wanted = parser.parse_args()
    print(stand.machine())
    print("notifications | contacts | received/s | contacts settled/s | rows written | CPU ms per contact")
    with tempfile.TemporaryDirectory(prefix="end-to-end-") as folder, run_sandbox(Path(folder)) as sandbox:
        for number, share in enumerate((1, 10)):
            contacts = max(1, wanted.notifications // share)
            print(measured(sandbox, number, wanted.notifications, contacts, wanted.connections), flush=True)


def measured(
    sandbox: RunningSandbox, number: int, notifications: int, contacts: int, connections: int
) -> str:
    """One row of the table."""
    stand.put_people(sandbox, contacts)
    before = sandbox.control("GET", "stats")["rows_written"]
    with stand.service(sandbox, name=number) as one:
        secret = stand.secret_of(one.config)
        bodies = [
            stand.body(each, f"p-{each % contacts}", granted=each % 3 > 0, seconds=each // contacts)
            for each in range(notifications)
        ]
        requests = iter([stand.request_of(each, secret) for each in bodies])
        used, began = stand.cpu_seconds(one), time.perf_counter()
        run = asyncio.run(stand.load(one.port, requests, connections=connections))
        seconds = stand.until_settled(sandbox, one, contacts) - began
        used = 1000 * (stand.cpu_seconds(one) - used) / contacts
    written = sandbox.control("GET", "stats")["rows_written"] - before
    cells = [notifications, contacts, round(run.rate), round(contacts / seconds), written, f"{used:.2f}"]
    return " | ".join(map(str, cells))


if __name__ == "__main__":
    main()
