"""The service as an ASGI application: its routes, and the order in which its parts start and stop."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import structlog
from fastapi import FastAPI

from didomi_dataverse import __version__
from didomi_dataverse.clock import Clock
from didomi_dataverse.delivery.membership import Membership, ReplicaMember
from didomi_dataverse.delivery.rate_limit.state import RateLimitState
from didomi_dataverse.delivery.sender import Runtime, Sender
from didomi_dataverse.delivery.worker import DeliveryWorker
from didomi_dataverse.didomi.interpreted import InterpretedNotification
from didomi_dataverse.errors import StoreError
from didomi_dataverse.ledger.group_commit import GroupCommit
from didomi_dataverse.ledger.ingest import Ingested
from didomi_dataverse.ledger.ledger import Ledger
from didomi_dataverse.ledger.read_models import ContactCounts
from didomi_dataverse.observability.health import Lifecycle, build_health_router
from didomi_dataverse.observability.metrics import Metrics, build_metrics_router
from didomi_dataverse.wiring.configuration import Configuration
from didomi_dataverse.wiring.delivery import (
    apply_configuration_changes,
    build_membership,
    build_retention_cleaner,
    build_senders,
    initial_rate_limit,
    load_pseudonym,
    open_clients,
)
from didomi_dataverse.wiring.ledger import open_ledger_for_serving
from didomi_dataverse.wiring.receiving import add_receiving_routes, open_identity_provider_client

log = structlog.get_logger(__name__)


def build_app(
    configuration: Configuration, *, lifecycle: Lifecycle, clock: Clock, ledger: Ledger | None = None
) -> FastAPI:
    """The application. Nothing is opened before its lifespan begins.

    `lifecycle` shows how far the start and the stop have come. `ledger` is one that is open for serving, and
    stays open; None: the lifespan opens and closes its own.
    """
    service = _Service(configuration, lifecycle=lifecycle, clock=clock, ledger=ledger)
    app = FastAPI(
        title="didomi-dataverse",
        version=__version__,
        summary="Receives Didomi's webhooks and keeps Dataverse's Contact table in step.",
        lifespan=service.lifespan,
        # A redirect would turn a POST that we could have stored into one that the caller may drop (didomi.md
        # 1.5, rule 7).
        redirect_slashes=False,
    )
    add_receiving_routes(
        app,
        configuration,
        ingest=service.receive,
        identity_provider=service.identity_provider,
        metrics=service.metrics,
        clock=clock,
    )
    app.include_router(
        build_health_router(
            lifecycle=lifecycle, check_store=service.check_store, rate_limits=service.rate_limits, clock=clock
        )
    )
    app.include_router(
        build_metrics_router(service.metrics, count_contacts=service.count_contacts, clock=clock)
    )
    return app


class _Service:
    """The parts that live from start to stop. They start in the order of the path and stop in reverse."""

    def __init__(
        self, configuration: Configuration, *, lifecycle: Lifecycle, clock: Clock, ledger: Ledger | None
    ) -> None:
        self._configuration = configuration
        self._settings = configuration.settings
        self._lifecycle = lifecycle
        self._clock = clock
        self.metrics = Metrics()
        self.identity_provider = open_identity_provider_client()
        self._opened = ledger
        self._ledger: Ledger
        self._commits: GroupCommit
        self._membership: Membership
        self._senders: tuple[Sender, ...]
        self._worker: DeliveryWorker

    @asynccontextmanager
    async def lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        """Start everything, deliver in the background, and at the end settle what is in flight."""
        async with AsyncExitStack() as stack:
            try:
                await self._start(stack)
            # Of every kind, and raised again: uvicorn only logs it, and the demo tells the person why.
            except Exception as error:
                self._lifecycle.start_error = error
                raise
            self._lifecycle.started.set()
            yield

    async def _start(self, stack: AsyncExitStack) -> None:
        """Start the parts, each after those that it needs. `stack` gets what stops them."""
        configuration, settings, clock = self._configuration, self._settings, self._clock
        stack.push_async_callback(self.identity_provider.aclose)
        if self._opened is None:
            self._ledger = await open_ledger_for_serving(settings, clock=clock)
            stack.push_async_callback(self._ledger.close)
        else:
            self._ledger = self._opened
        self._commits = GroupCommit(self._ledger.inbox.ingest)
        stack.push_async_callback(self._commits.close)
        contacts_to_remap = await apply_configuration_changes(configuration, self._ledger, now=clock.now())
        clients = open_clients(settings.dataverse, clock=clock)
        for client in clients:
            stack.push_async_callback(client.aclose)
        self._membership = membership = build_membership(settings, self._ledger, clock=clock)
        # Before the first claim: contacts claimed by a replica that is known to be alive are never taken
        # over.
        await membership.join()
        if isinstance(membership, ReplicaMember):
            heartbeat = asyncio.create_task(membership.run(), name="heartbeat")
            stack.push_async_callback(_cancel, heartbeat)
        self._senders = build_senders(
            configuration,
            clients,
            ledger=self._ledger,
            membership=membership,
            runtime=Runtime(
                clock=clock,
                draw_jitter=random.random,
                listener=self.metrics,
                pseudonym=await load_pseudonym(self._ledger),
            ),
            rate_limit=initial_rate_limit(settings.dataverse),
        )
        self._worker = DeliveryWorker(ledger=self._ledger.queue, senders=self._senders, clock=clock)
        cleaner = build_retention_cleaner(settings, self._ledger, clock=clock)
        stop = asyncio.Event()
        background = [
            asyncio.create_task(self._worker.run(stop), name="delivery"),
            asyncio.create_task(cleaner.run(stop), name="retention"),
        ]
        stack.push_async_callback(self._stop, stop, background)
        log.info(
            "service_started",
            version=__version__,
            replica=membership.holder,
            contacts_to_remap=contacts_to_remap,
        )

    async def _stop(self, stop: asyncio.Event, background: Sequence[asyncio.Task[None]]) -> None:
        """Store what has been received, settle what is in flight, and hand claims back."""
        self._lifecycle.is_draining = True
        await self._commits.close()
        stop.set()
        await _wait_until_settled(background, at_most=self._settings.server.shutdown_grace)
        if self._worker.is_idle:
            await _leave(self._membership)
        log.info("service_stopped")

    async def receive(self, notifications: Sequence[InterpretedNotification]) -> Sequence[Ingested]:
        """Store the notifications durably, then wake the delivery worker. Raises StoreUnavailableError."""
        ingested = await self._commits.submit(notifications)
        self._worker.wake()
        return ingested

    async def check_store(self) -> None:
        """Raises StoreError when nothing can be committed now."""
        await self._ledger.maintenance.probe()

    async def count_contacts(self) -> ContactCounts:
        """How many contacts are in every state. Raises StoreError."""
        return await self._ledger.reader.count_contacts()

    def rate_limits(self) -> list[RateLimitState]:
        """The state of each sender's rate limiter, in the order of the configuration."""
        return [sender.rate_limit for sender in self._senders]


async def _leave(membership: Membership) -> None:
    """Tell the other replicas, so that none waits for us. If the store fails, they find out by themselves."""
    try:
        await membership.leave()
    except StoreError:
        log.exception("store_failed", doing="leave")


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _wait_until_settled(background: Sequence[asyncio.Task[None]], *, at_most: timedelta) -> None:
    """Wait for the background tasks to settle what is in flight, then cancel those that have not. What is cut
    off is repeated after its lease ends: every write is conditional and idempotent.
    """
    _, late = await asyncio.wait(background, timeout=at_most.total_seconds())
    for task in late:
        task.cancel()
    if late:
        log.warning("shutdown_cut_short", tasks=sorted(task.get_name() for task in late))
        await asyncio.gather(*late, return_exceptions=True)
