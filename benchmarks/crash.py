"""Kills the service again and again under load, and compares every Contact row with an independent fold.

    python benchmarks/crash.py --kills 1000
    python benchmarks/crash.py --kills 100 --postgresql

A short run of the same is part of the tests (tests/acceptance/test_crash.py). Exits 1 when anything was lost.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.acceptance.crash import Plan, Reckoning, besiege
from tests.postgres import postgres_server


def main() -> int:
    """Runs one siege and prints its ledger."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--postgresql", action="store_true", help="two replicas instead of one on SQLite")
    wanted = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="siege-") as folder:
        if wanted.postgresql:
            with postgres_server() as server:
                reckoning = _siege(Path(folder), wanted, server.url(server.create("siege")))
        else:
            reckoning = _siege(Path(folder), wanted, None)
    print(f"{reckoning.table()} in {time.monotonic() - began:.0f} s")
    for cell in reckoning.differing[:20]:
        print("  ", cell)
    return 1 if reckoning.lost or reckoning.differing or reckoning.peak_writers_per_row > 1 else 0


def _siege(folder: Path, wanted: argparse.Namespace, store_url: str | None) -> Reckoning:
    plan = Plan(
        kills=wanted.kills,
        people=wanted.people,
        connections=wanted.connections,
        seed=wanted.seed,
        store_url=store_url,
        replicas=2 if store_url else 1,
        kill_within_seconds=2.0,
        pause_seconds=0.005,
        # A contact that failed often waits up to 15 min for its next try, however soon Dataverse recovers.
        calm_within_seconds=1000.0,
        tell=lambda line: print(line, flush=True),
    )
    return besiege(folder, plan)


if __name__ == "__main__":
    sys.exit(main())
