"""A process that records one notification and ends itself, without a goodbye, at the moment that it is told.

`python -m tests.contract.ledger.crash URL before-commit|after-commit`
"""

import asyncio
import os
import sys

from sqlalchemy import event
from tests.clocks import FrozenClock
from tests.notifications import choice, interpreted

from didomi_dataverse.ledger.ledger import Ledger

KEY = "ada"
DIGEST = "c" * 64
EXIT_STATUS = 9


async def _crash(url: str, moment: str) -> None:
    ledger = await Ledger.open_for_serving(url, clock=FrozenClock())
    if moment == "before-commit":
        # Called when every statement of the transaction was sent, and before it is committed.
        event.listen(ledger._store.engines.writing, "commit", lambda _: os._exit(EXIT_STATUS))
    await ledger.record([interpreted(choice(), key=KEY, digest=DIGEST)])
    os._exit(EXIT_STATUS)


if __name__ == "__main__":
    asyncio.run(_crash(*sys.argv[1:]))
