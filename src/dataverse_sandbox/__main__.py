"""`python -m dataverse_sandbox`: the sandbox as a separate process."""

import argparse
import asyncio
import sys
from pathlib import Path

from dataverse_sandbox import run_sandbox


def _announce(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m dataverse_sandbox",
        description="A local Microsoft Entra tenant and Dataverse Web API.",
        epilog="Example: python -m dataverse_sandbox --port 8443 --dir sandbox",
    )
    parser.add_argument(
        "--port", type=int, default=0, help="port on loopback; 0 (the default): any free port"
    )
    parser.add_argument("--dir", type=Path, required=True, help="folder for ca.pem and the identity")
    arguments = parser.parse_args()
    return asyncio.run(run_sandbox(arguments.port, arguments.dir, announce=_announce))


if __name__ == "__main__":
    sys.exit(main())
