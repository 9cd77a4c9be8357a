"""Durable 202s per second, beside the same application with the store taken out.

python benchmarks/receive.py --requests 4000 --connections 16 64 256
"""

import argparse
import asyncio
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import stand
from stand import Run
from tests.acceptance.processes import eventually, run_sandbox


def main() -> None:
    """Prints one line for each number of connections."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--connections", type=int, nargs="+", default=[16, 64, 256])
    wanted = parser.parse_args()
    print(stand.machine())
    print(
        "connections | durable: 202/s | p50 ms | p99 ms | CPU µs | without store: the same | ratio of 202/s"
    )
    with tempfile.TemporaryDirectory(prefix="receive-") as folder, run_sandbox(Path(folder)) as sandbox:
        # Receiving alone is measured: whatever is delivered is refused, which pauses the sender.
        sandbox.control("PUT", "faults", [{"match": {"path": "$batch"}, "behaviour": "html"}])
        for number, connections in enumerate(wanted.connections):
            runs, used_each = [], []
            for is_durable in (True, False):
                with ExitStack() as stack:
                    one = stack.enter_context(stand.service(sandbox, name=2 * number + is_durable))
                    if not is_durable:
                        one.end(signal.SIGKILL)
                        words = [sys.executable, str(Path(__file__).with_name("without_store.py"))]
                        one.process = subprocess.Popen([*words, "serve", "--config", str(one.config)])
                        eventually(lambda one=one: stand.is_ready(sandbox.http, one))
                    secret = stand.secret_of(one.config)
                    bodies = [stand.body(n, f"p-{n}") for n in range(wanted.requests + 500)]
                    requests = [stand.request_of(each, secret) for each in bodies]
                    asyncio.run(stand.load(one.port, iter(requests[:500]), connections=16))
                    used = stand.cpu_seconds(one)
                    load = stand.load(one.port, iter(requests[500:]), connections=connections)
                    runs.append(asyncio.run(load))
                    used_each.append((stand.cpu_seconds(one) - used) / wanted.requests)
            print(line(connections, runs, used_each), flush=True)


def line(connections: int, runs: Sequence[Run], used_each: Sequence[float]) -> str:
    """One row of the table."""
    cells = [f"{connections}"]
    for run, used in zip(runs, used_each, strict=True):
        waits = [f"{run.wait(0.5):.1f}", f"{run.wait(0.99):.1f}"]
        cells += [f"{run.rate:.0f}", *waits, f"{1e6 * used:.0f}"]
    durable, without = runs
    return " | ".join([*cells, f"{durable.rate / without.rate:.0%}"])


if __name__ == "__main__":
    main()
