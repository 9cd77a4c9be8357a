"""A process that ingests one notification and kills itself at the moment that it is told.

`python -m tests.contract.ledger.crash URL before-commit|after-commit`
"""

import asyncio
import os
import sys

from sqlalchemy import event
from tests.clocks import FrozenClock
from tests.contract.ledger.steps import open_for_serving
from tests.notifications import choice, interpreted

KEY = "ada"
DIGEST = "c" * 64
EXIT_STATUS = 9


async def _crash(url: str, moment: str) -> None:
    ledger = await open_for_serving(url, clock=FrozenClock())
    if moment == "before-commit":
        # Called when every statement of the transaction was sent, and before it is committed.
        event.listen(ledger._database.engines.writing, "commit", lambda _: os._exit(EXIT_STATUS))
    await ledger.inbox.ingest([interpreted(choice(), key=KEY, digest=DIGEST)])
    os._exit(EXIT_STATUS)


if __name__ == "__main__":
    asyncio.run(_crash(*sys.argv[1:]))
