"""`serve`, with the store taken out of receiving: the same application answers 202 and keeps nothing.

The other half of receive.py. Started by it; of no other use.
"""

import sys
from collections.abc import Sequence

from didomi_dataverse.cli.main import main
from didomi_dataverse.didomi.interpreted import InterpretedNotification
from didomi_dataverse.ledger.ingest import Ingested
from didomi_dataverse.service import app


class NoStore:
    """Says of every reading that it was stored."""

    def __init__(self, _ingest: object) -> None:
        """Takes what a group commit takes."""

    async def submit(self, readings: Sequence[InterpretedNotification]) -> list[Ingested]:
        """Nothing is recorded."""
        return [
            Ingested(one.digest, one.disposition, one.reason, duplicate=False, contact_id=1, withdrawal=False)
            for one in readings
        ]

    async def close(self) -> None:
        """Nothing waits."""


app.GroupCommit = NoStore  # type: ignore[assignment,misc]  # that is the point
sys.argv[0] = "didomi-dataverse"
main()
