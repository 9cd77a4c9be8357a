"""From the configuration to the ledger: where it is kept, and how it interprets a stored body again."""

from collections.abc import Iterator
from datetime import datetime

from didomi_dataverse.clock import Clock
from didomi_dataverse.config.settings import Settings
from didomi_dataverse.consent.model import Choice
from didomi_dataverse.didomi.interpret import InterpretationPolicy, interpret
from didomi_dataverse.didomi.notification import parse_notifications
from didomi_dataverse.ledger.ledger import Ledger

# Stored notifications were accepted when they arrived; what is accepted today does not matter for them.
_AS_ACCEPTED = InterpretationPolicy()


async def open_ledger(settings: Settings, *, clock: Clock) -> Ledger:
    """The configured ledger, for a command beside a process that serves. The caller closes it.

    Raises StoreError, saying what to do, when the store cannot be used.
    """
    return await Ledger.open(settings.store.url.get_secret_value(), clock=clock, reinterpret=reinterpret)


async def open_ledger_for_serving(settings: Settings, *, clock: Clock) -> Ledger:
    """The configured ledger, for the process that serves: one on SQLite, any number on PostgreSQL. The caller
    closes it.

    Raises StoreError when the store cannot be used, or another process serves from the same file.
    """
    return await Ledger.open_for_serving(
        settings.store.url.get_secret_value(), clock=clock, reinterpret=reinterpret
    )


def reinterpret(body: bytes, received_at: datetime, caller: str) -> Iterator[Choice]:
    """The choices of a notification that was accepted before, from its stored body.

    The same body with the same time of arrival gives the same choices, so that folding them again changes
    nothing. `caller` says how the caller was authenticated. Raises NotJsonError for a body that is not JSON.
    """
    for notification in parse_notifications(body):
        yield from interpret(
            notification, received_at=received_at, caller=caller, policy=_AS_ACCEPTED
        ).choices
