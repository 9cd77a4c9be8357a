"""The open ledger that use cases work on: the command line opens one, a running service lends its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from didomi_dataverse.clock import Clock
from didomi_dataverse.didomi.interpret import InterpretationPolicy
from didomi_dataverse.ledger.ledger import Ledger
from didomi_dataverse.wiring.configuration import Configuration
from didomi_dataverse.wiring.ledger import open_ledger
from didomi_dataverse.wiring.policies import interpretation_policy


@dataclass(frozen=True, slots=True)
class AdminSession:
    """What a use case needs besides its own arguments."""

    ledger: Ledger
    """The open ledger. Other processes may use the same store."""

    configuration: Configuration
    """Today's configuration: notifications are interpreted and mapped by it."""

    clock: Clock
    """Gives the time at which contacts become due."""

    @property
    def policy(self) -> InterpretationPolicy:
        """How notifications are interpreted today."""
        return interpretation_policy(self.configuration)


@asynccontextmanager
async def open_admin_session(configuration: Configuration, *, clock: Clock) -> AsyncIterator[AdminSession]:
    """Open the configured ledger beside a process that serves, and close it at the end of the block.

    Raises StoreError, saying what to do, when the store cannot be used.
    """
    ledger = await open_ledger(configuration.settings, clock=clock)
    try:
        yield AdminSession(ledger, configuration, clock)
    finally:
        await ledger.close()
