"""The serving process: the application under uvicorn, and an orderly end on SIGTERM."""

import asyncio
import gc
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from didomi_dataverse.clock import Clock
from didomi_dataverse.ledger.ledger import Ledger
from didomi_dataverse.observability.health import Lifecycle
from didomi_dataverse.observability.logging import configure_logging
from didomi_dataverse.service.app import build_app
from didomi_dataverse.wiring.configuration import Configuration
from didomi_dataverse.wiring.ledger import open_ledger_for_serving

REQUESTS_GRACE_SECONDS = 5
"""How long requests that are under way may take to end after SIGTERM, in seconds. They only wait for a
commit. Too small: callers get no answer to a notification that was stored. Too large: less time to settle
writes.
"""

_GC_THRESHOLDS = (10_000, 10, 10)
"""As `gc.set_threshold` takes them. Too small: the collector looks for cycles that are not there, which costs
time on every request. Too large: cycles hold memory for longer.
"""


class Server(uvicorn.Server):
    """uvicorn, except that a signal stops it without killing the process: the exit status after an orderly
    end is 0.
    """

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGINT and SIGTERM instead of being killed, as long as the block lasts."""
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


def build_server_config(
    configuration: Configuration, lifecycle: Lifecycle, *, clock: Clock, ledger: Ledger | None = None
) -> uvicorn.Config:
    """How uvicorn runs the service: in this process, with our own log, and without naming itself.

    `ledger` as for `build_app`.
    """
    settings = configuration.settings
    return uvicorn.Config(
        build_app(configuration, lifecycle=lifecycle, clock=clock, ledger=ledger),
        host=settings.server.host,
        port=settings.server.port,
        log_config=None,
        access_log=False,  # each stored notification is logged once, by what it is
        proxy_headers=False,  # `didomi.auth.trusted_proxies` says which proxies are trusted
        server_header=False,
        timeout_graceful_shutdown=REQUESTS_GRACE_SECONDS,
        lifespan="on",
    )


def serve_until_stopped(configuration: Configuration, *, clock: Clock) -> bool:
    """Serve until SIGINT or SIGTERM. Returns False when the service could not start; the log says why.

    Raises StoreError, before anything is started, when the store cannot be used.
    """
    # Opened here, so that a store that cannot be used is told in a sentence. In the lifespan it would be the
    # traceback of a failed start.
    ledger = asyncio.run(open_ledger_for_serving(configuration.settings, clock=clock))
    try:
        return _run(configuration, ledger, clock)
    finally:
        asyncio.run(ledger.close())


def _run(configuration: Configuration, ledger: Ledger, clock: Clock) -> bool:
    log = configuration.settings.log
    configure_logging(level=log.level, output_format=log.format)
    lifecycle = Lifecycle()
    server = Server(build_server_config(configuration, lifecycle, clock=clock, ledger=ledger), lifecycle)
    _tune_gc()
    try:
        server.run()
    except SystemExit:  # uvicorn raises it when it could not start
        return False
    return server.started


def _tune_gc() -> None:
    """Freeze the objects of the start, which stay, and raise the collector's thresholds: requests create few
    cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
