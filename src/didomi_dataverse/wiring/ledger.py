"""From the configuration to an open ledger."""

from didomi_dataverse.clock import Clock
from didomi_dataverse.config.settings import Settings
from didomi_dataverse.ledger.ledger import Ledger


async def open_ledger(settings: Settings, *, clock: Clock) -> Ledger:
    """The configured ledger, for a command beside a process that serves. The caller closes it.

    Raises StoreError, saying what to do, when the store cannot be used.
    """
    return await Ledger.open(settings.store.url.get_secret_value(), clock=clock)


async def open_ledger_for_serving(settings: Settings, *, clock: Clock) -> Ledger:
    """The configured ledger, for the process that serves: one on SQLite, any number on PostgreSQL. The caller
    closes it.

    Raises StoreError when the store cannot be used, or another process serves from the same file.
    """
    return await Ledger.open_for_serving(settings.store.url.get_secret_value(), clock=clock)
