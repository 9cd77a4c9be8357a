"""`python -m dataverse_sandbox`: the sandbox by itself."""

import argparse
import asyncio
import sys
from pathlib import Path

from dataverse_sandbox.server.server import run_sandbox


def _announce(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Serve until a signal ends it."""
    parser = argparse.ArgumentParser(description="A local Microsoft Entra tenant and Dataverse Web API.")
    parser.add_argument(
        "--port", type=int, default=0, help="port on loopback; 0 (the default) = any free one"
    )
    parser.add_argument("--dir", type=Path, required=True, help="folder for ca.pem and the identity")
    options = parser.parse_args()
    return asyncio.run(run_sandbox(options.port, options.dir, announce=_announce))


if __name__ == "__main__":
    sys.exit(main())
