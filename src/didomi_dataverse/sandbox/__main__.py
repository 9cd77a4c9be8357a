"""`python -m didomi_dataverse.sandbox`: the sandbox by itself, without the rest of the service."""

import argparse
import asyncio
import sys
from pathlib import Path

from didomi_dataverse.sandbox.server import SERVICE_PORT, run_sandbox


def _announce(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Serve until a signal ends it."""
    parser = argparse.ArgumentParser(description="A local Microsoft Entra tenant and Dataverse Web API.")
    parser.add_argument(
        "--port", type=int, default=0, help="port on loopback; 0 (the default) = any free one"
    )
    parser.add_argument(
        "--dir", type=Path, required=True, help="folder for ca.pem, config.yaml and the identity"
    )
    parser.add_argument("--service-port", type=int, default=SERVICE_PORT, help="port that config.yaml names")
    options = parser.parse_args()
    return asyncio.run(
        run_sandbox(options.port, options.dir, service_port=options.service_port, announce=_announce)
    )


if __name__ == "__main__":
    sys.exit(main())
