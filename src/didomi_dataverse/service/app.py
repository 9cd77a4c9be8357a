"""The composition root: the one place that knows every part and puts them together."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import httpx
import structlog
from fastapi import FastAPI, Response

from didomi_dataverse import __version__
from didomi_dataverse.clock import Clock
from didomi_dataverse.dataverse.client import DataverseClient
from didomi_dataverse.delivery.membership import Membership, ReplicaMember, SingleProcess
from didomi_dataverse.delivery.rate_limit.state import RateLimitState
from didomi_dataverse.delivery.retention import RetentionCleaner
from didomi_dataverse.delivery.sender import Runtime, Sender
from didomi_dataverse.delivery.worker import DeliveryWorker
from didomi_dataverse.didomi.auth.jwks import fetch_with
from didomi_dataverse.didomi.http.routes import add_routes
from didomi_dataverse.didomi.interpreted import InterpretedNotification
from didomi_dataverse.errors import StoreError
from didomi_dataverse.ledger.group_commit import GroupCommit
from didomi_dataverse.ledger.ingest import Ingested
from didomi_dataverse.ledger.ledger import Ledger
from didomi_dataverse.observability.health import Lifecycle, build_health_router
from didomi_dataverse.observability.metrics import Metrics
from didomi_dataverse.privacy.pseudonym import identifier_hash
from didomi_dataverse.wiring.configuration import Configuration
from didomi_dataverse.wiring.delivery import build_senders, initial_rate_limit, open_clients
from didomi_dataverse.wiring.ledger import open_ledger_for_serving
from didomi_dataverse.wiring.policies import mapping_fingerprint, reading_policy, target_fingerprint
from didomi_dataverse.wiring.receiving import build_authenticator

log = structlog.get_logger(__name__)


def build_app(configuration: Configuration, *, lifecycle: Lifecycle, clock: Clock) -> FastAPI:
    """The service as an ASGI application. Nothing is opened before its lifespan begins."""
    service = _Service(configuration, lifecycle=lifecycle, clock=clock)
    app = FastAPI(
        title="didomi-dataverse",
        version=__version__,
        summary="Receives Didomi's webhooks and keeps Dataverse's Contact table in step.",
        lifespan=service.lifespan,
        # A redirect would turn a POST that we could have stored into one that the sender may drop (didomi.md
        # 1.5, rule 7).
        redirect_slashes=False,
    )
    settings = configuration.settings
    add_routes(
        app,
        ingest=service.receive,
        authenticator=build_authenticator(
            settings.didomi.auth, fetch=fetch_with(service.identity_provider), monotonic=clock.monotonic
        ),
        policy=reading_policy(configuration),
        clock=clock,
        max_body_bytes=settings.server.max_body_bytes,
        metrics=service.metrics,
    )
    app.include_router(
        build_health_router(
            lifecycle=lifecycle, check_store=service.check_store, paces=service.paces, clock=clock
        )
    )
    app.add_api_route("/metrics", service.metrics_page, methods=["GET"], tags=["probes"])
    return app


class _Service:
    """The parts that live from start to stop, opened in the order of the path and closed in reverse."""

    def __init__(self, configuration: Configuration, *, lifecycle: Lifecycle, clock: Clock) -> None:
        self._configuration = configuration
        self._settings = configuration.settings
        self._lifecycle = lifecycle
        self._clock = clock
        self.metrics = Metrics()
        self.identity_provider = httpx.AsyncClient(timeout=10, follow_redirects=False)
        self._ledger: Ledger
        self._commits: GroupCommit
        self._senders: tuple[Sender, ...]
        self._worker: DeliveryWorker

    @asynccontextmanager
    async def lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        """Open everything, deliver in the background, and at the end settle what is in flight."""
        settings = self._settings
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.identity_provider.aclose)
            self._ledger = await open_ledger_for_serving(settings, clock=self._clock)
            stack.push_async_callback(self._ledger.close)
            self._commits = GroupCommit(self._ledger.inbox.ingest)
            stack.push_async_callback(self._commits.close)
            await self._ledger.maintenance.retarget(target_fingerprint(settings), now=self._clock.now())
            remapped = await self._ledger.maintenance.remap(
                mapping_fingerprint(self._configuration), now=self._clock.now()
            )
            clients = open_clients(settings.dataverse, clock=self._clock)
            for client in clients:
                stack.push_async_callback(client.aclose)
            tenure = self._tenure()
            # Before the first claim: a claim of somebody who is known to be at work is never taken over.
            await tenure.join()
            if isinstance(tenure, ReplicaMember):
                beating = asyncio.create_task(tenure.run(), name="presence")
                stack.push_async_callback(_end, beating)
            self._senders = await self._build_senders(clients, tenure)
            self._worker = DeliveryWorker(ledger=self._ledger.queue, senders=self._senders, clock=self._clock)
            janitor = RetentionCleaner(
                ledger=self._ledger.maintenance,
                keep_notifications=settings.store.retention.notifications,
                keep_attempts=settings.store.retention.attempts,
                clock=self._clock,
            )
            stop = asyncio.Event()
            background = [
                asyncio.create_task(self._worker.run(stop), name="delivery"),
                asyncio.create_task(janitor.run(stop), name="janitor"),
            ]
            self._lifecycle.started.set()
            log.info(
                "service_started", version=__version__, replica=tenure.holder, contacts_to_remap=remapped
            )
            try:
                yield
            finally:
                self._lifecycle.is_draining = True
                await self._commits.close()
                stop.set()
                await _finish(background, within=settings.server.shutdown_grace)
                if self._worker.is_idle:
                    await _leave(tenure)
                log.info("service_stopped")

    async def receive(self, readings: Sequence[InterpretedNotification]) -> Sequence[Ingested]:
        """Stores the readings durably, then wakes the sender. Raises StoreUnavailableError."""
        recorded = await self._commits.submit(readings)
        self._worker.wake()
        return recorded

    async def check_store(self) -> None:
        """Raises StoreError when nothing could be committed now."""
        await self._ledger.maintenance.probe()

    def paces(self) -> list[RateLimitState]:
        """What the senders are doing, in the order of the configuration."""
        return [sender.rate_limit for sender in self._senders]

    async def metrics_page(self) -> Response:
        """Prometheus' text format. A store that is down takes none of what is known without it away."""
        try:
            counts = await self._ledger.reader.count_contacts()
        except StoreError:
            self.metrics.store_failed()
        else:
            waited = 0.0
            if counts.oldest_due_at is not None:
                waited = max(0.0, (self._clock.now() - counts.oldest_due_at).total_seconds())
            self.metrics.contacts(counts.by_state, waited)
        return Response(self.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    def _tenure(self) -> SingleProcess | ReplicaMember:
        if not self._ledger.is_shared:
            return SingleProcess(self._ledger.replicas, clock=self._clock)
        return ReplicaMember(
            self._ledger.replicas, clock=self._clock, takeover_after=self._settings.store.takeover_after
        )

    async def _build_senders(
        self, clients: Sequence[DataverseClient], tenure: Membership
    ) -> tuple[Sender, ...]:
        hash_key = await self._ledger.maintenance.identifier_hash_key()
        return build_senders(
            self._configuration,
            clients,
            ledger=self._ledger,
            membership=tenure,
            runtime=Runtime(
                clock=self._clock,
                draw_jitter=random.random,
                listener=self.metrics,
                pseudonym=lambda key: identifier_hash(hash_key, key),
            ),
            rate_limit=initial_rate_limit(self._settings.dataverse),
        )


async def _leave(tenure: Membership) -> None:
    """Tells the others, so that nobody waits for us. If the store fails, they find out by themselves."""
    try:
        await tenure.leave()
    except StoreError:
        log.exception("store_failed", doing="leave")


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _finish(background: Sequence[asyncio.Task[None]], *, within: timedelta) -> None:
    """Waits for the background work to settle what is in flight, and no longer than allowed. What is cut off
    is repeated after its lease ends: every write is conditional and idempotent.
    """
    _, late = await asyncio.wait(background, timeout=within.total_seconds())
    for task in late:
        task.cancel()
    if late:
        log.warning("shutdown_cut_short", tasks=sorted(task.get_name() for task in late))
        await asyncio.gather(*late, return_exceptions=True)
