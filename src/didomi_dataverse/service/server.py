"""The serving process: the application under uvicorn, and an orderly end on SIGTERM."""

import asyncio
import gc
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from didomi_dataverse.clock import Clock
from didomi_dataverse.observability.health import Lifecycle
from didomi_dataverse.observability.logging import configure_logging
from didomi_dataverse.service.app import build_app
from didomi_dataverse.wiring.configuration import Configuration
from didomi_dataverse.wiring.ledger import open_ledger_for_serving

REQUESTS_GRACE_SECONDS = 5
"""How long requests that are under way may take to end. They only wait for a commit."""

_COLLECT_AFTER = (10_000, 10, 10)
"""Objects made, and younger collections, between two looks for garbage."""


class Server(uvicorn.Server):
    """uvicorn, told to stop by a signal without dying of it: the exit status is 0 after an orderly end."""

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Turns SIGINT and SIGTERM into a wish to end, and puts them back afterwards."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for number in signals:
            loop.add_signal_handler(number, self._drain)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    def _drain(self) -> None:
        self._lifecycle.is_draining = True
        self.should_exit = True


def server_config(configuration: Configuration, lifecycle: Lifecycle, *, clock: Clock) -> uvicorn.Config:
    """How uvicorn runs the service: in this process, with our own logs, and without naming itself."""
    settings = configuration.settings
    return uvicorn.Config(
        build_app(configuration, lifecycle=lifecycle, clock=clock),
        host=settings.server.host,
        port=settings.server.port,
        log_config=None,
        access_log=False,  # each stored notification is logged once, by what it is
        proxy_headers=False,  # who is believed about addresses is `didomi.auth.trusted_proxies`
        server_header=False,
        timeout_graceful_shutdown=REQUESTS_GRACE_SECONDS,
        lifespan="on",
    )


def serve_until_stopped(configuration: Configuration, *, clock: Clock) -> bool:
    """Serves until SIGINT or SIGTERM. Returns False when the service could not start; the log says why.

    Raises StoreError, before anything is started, when the store cannot be used.
    """
    asyncio.run(_check_store(configuration, clock))
    log = configuration.settings.log
    configure_logging(level=log.level, output_format=log.format)
    lifecycle = Lifecycle()
    server = Server(server_config(configuration, lifecycle, clock=clock), lifecycle)
    _tune_gc()
    try:
        server.run()
    except SystemExit:  # uvicorn's way to say that it could not start
        return False
    return server.started


def _tune_gc() -> None:
    """What is here at start stays, so looking for garbage in it is in vain; and a request leaves little that
    only the collector can free.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


async def _check_store(configuration: Configuration, clock: Clock) -> None:
    """A store that cannot be used is told in a sentence, not in the traceback of a failed start."""
    ledger = await open_ledger_for_serving(configuration.settings, clock=clock)
    await ledger.close()
