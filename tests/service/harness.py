"""The whole path in one process: a real ledger on SQLite, the real client over TLS, the sandbox at its end.

Time stands still and nothing runs by itself: a test says when something arrives, when the sender works, and
how late it is.
"""

import asyncio
import json
import shutil
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from dataverse_sandbox import SandboxServer
from didomi_dataverse.admin.explain import interpret_body
from didomi_dataverse.dataverse.calls import CallKind, Exchange
from didomi_dataverse.dataverse.requests import Request
from didomi_dataverse.delivery.membership import SingleProcess
from didomi_dataverse.delivery.outcome import Conclusion
from didomi_dataverse.delivery.rate_limit.limiter import LONGEST_WAIT
from didomi_dataverse.delivery.rate_limit.state import RateLimitState
from didomi_dataverse.delivery.sender import Runtime, Sender
from didomi_dataverse.delivery.settle import outcome_word
from didomi_dataverse.delivery.worker import DeliveryWorker
from didomi_dataverse.demo.sandbox_config import write_config
from didomi_dataverse.ledger.delivery_state import Claim, Contact
from didomi_dataverse.ledger.ingest import Ingested
from didomi_dataverse.ledger.ledger import Ledger
from didomi_dataverse.mapping.apply import Finding
from didomi_dataverse.observability.metrics import Metrics
from didomi_dataverse.wiring.configuration import Configuration, load_configuration
from didomi_dataverse.wiring.delivery import build_senders, open_clients
from didomi_dataverse.wiring.ledger import open_ledger_for_serving
from didomi_dataverse.wiring.policies import mapping_fingerprint, target_fingerprint
from didomi_sandbox.bodies import Body, event, event_created, person, purpose
from tests.clocks import FrozenClock

Row = dict[str, Any]


@dataclass(slots=True)
class Heard:
    """What the sender told its listener."""

    outcomes: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    exchanges: list[Sequence[Request]] = field(default_factory=list)
    kinds: list[CallKind] = field(default_factory=list)
    metrics: Metrics = field(default_factory=Metrics)

    def on_call(self, exchange: Exchange) -> None:
        call = exchange.call
        self.exchanges.append(call.requests)
        self.kinds.append(call.kind)
        self.metrics.on_call(exchange)
        if call.kind is not CallKind.METADATA:
            assert len(exchange.replies) == len(call.requests)

    def on_outcome(self, claim: Claim, conclusion: Conclusion) -> None:
        self.outcomes.append(outcome_word(conclusion))
        self.metrics.on_outcome(claim, conclusion)

    def on_findings(self, findings: Sequence[Finding]) -> None:
        self.findings += findings

    def on_rate_limit_change(self, user: str, state: RateLimitState) -> None:
        """Tests read the sender's rate limit itself, or what the metrics say of it."""
        self.metrics.on_rate_limit_change(user, state)


@dataclass(slots=True)
class Harness:
    """Everything a test needs its hands on."""

    sandbox: SandboxServer
    configuration: Configuration
    ledger: Ledger
    senders: tuple[Sender, ...]
    worker: DeliveryWorker
    clock: FrozenClock
    heard: Heard
    http: httpx.AsyncClient

    @property
    def sender(self) -> Sender:
        """The sender of the first application user, in most tests the only one."""
        return self.senders[0]

    async def receive(self, *bodies: Body) -> list[Ingested]:
        """Takes notifications in, one commit for all."""
        readings = [
            reading
            for body in bodies
            for reading in interpret_body(self.configuration, json.dumps(body).encode(), now=self.clock.now())
        ]
        return await self.ledger.inbox.ingest(readings)

    async def deliver(self) -> list[str]:
        """Lets the sender work until nothing is due now. Returns the outcomes, in order."""
        before = begin = len(self.heard.outcomes)
        while not self.is_paused() and await self.worker.run_once():
            if set(self.heard.outcomes[begin:]) == {"postponed"} and not self.is_paused():
                # It keeps its distance from the last call, and time does not pass by itself.
                self.clock.advance(LONGEST_WAIT)
            begin = len(self.heard.outcomes)
        return self.heard.outcomes[before:]

    def is_paused(self) -> bool:
        """Must every sender wait?"""
        return all(sender.rate_limit.is_paused(self.clock.now()) for sender in self.senders)

    async def after(self, pause: timedelta) -> list[str]:
        """As `deliver`, some time later."""
        self.clock.advance(pause)
        return await self.deliver()

    async def contact(self, key: str) -> Contact:
        """What the ledger knows of a contact that it must know."""
        found = await self.ledger.reader.contact(key)
        assert found is not None
        return found

    async def control(self, method: str, what: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """The sandbox's control routes."""
        answer = await self.http.request(method, f"{self.sandbox.url}/_sandbox/{what}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def put_rows(self, *rows: Mapping[str, object]) -> None:
        """Replaces the Contact table."""
        await self.control("PUT", "contacts", list(rows))

    async def put_faults(self, *faults: Mapping[str, object]) -> None:
        """Replaces the faults to come."""
        await self.control("PUT", "faults", list(faults))

    async def rows(self) -> list[Row]:
        rows: list[Row] = await self.control("GET", "contacts")
        return rows

    async def row(self, key: str, *, column: str = "new_didomikey") -> Row:
        """The one row with this value."""
        found = [row for row in await self.rows() if row[column] == key]
        assert len(found) == 1
        return found[0]

    async def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = await self.control("GET", "stats")
        return stats


@asynccontextmanager
async def open_house(
    sandbox: SandboxServer,
    folder: Path,
    *,
    change: Callable[[str], str] = lambda text: text,
    clock: FrozenClock | None = None,
    max_rows: int | None = None,
    mode: str = "batch",
) -> AsyncIterator[Harness]:
    """A house on the configuration that the sandbox writes, after `change` has edited its text.

    Opened twice on one folder it finds what it stored before, as after a restart.
    """
    clock = clock or FrozenClock()
    shutil.copy(sandbox.ca_bundle, folder)
    path = write_config(folder, sandbox.url, sandbox.identity, service_port=8080)
    text = path.read_text()
    path.write_text(change(text.replace("dataverse:\n", f"dataverse:\n  bulk: {mode}\n", 1)))
    configuration = load_configuration(path, {})
    settings = configuration.settings
    ledger = await open_ledger_for_serving(settings, clock=clock)
    await ledger.maintenance.retarget(target_fingerprint(settings), now=clock.now())
    await ledger.maintenance.remap(mapping_fingerprint(configuration), now=clock.now())
    clients = open_clients(settings.dataverse, clock=clock)
    heard = Heard()
    senders = build_senders(
        configuration,
        clients,
        ledger=ledger,
        membership=SingleProcess(ledger.replicas, clock=clock),
        runtime=Runtime(
            clock=clock,
            draw_jitter=lambda: 0.0,
            listener=heard,
            pseudonym=lambda key: f"hash-of-{len(key)}",
            sleep=_advance_by(clock),
        ),
        rate_limit=RateLimitState.initial(max_parallel=4, max_rows=max_rows or settings.dataverse.batch_rows),
    )
    worker = DeliveryWorker(ledger=ledger.queue, senders=senders, clock=clock)
    async with httpx.AsyncClient(verify=tls_context(sandbox)) as http:
        try:
            yield Harness(sandbox, configuration, ledger, senders, worker, clock, heard, http)
        finally:
            for client in clients:
                await client.aclose()
            await ledger.close()


def _advance_by(clock: FrozenClock) -> Callable[[float], Awaitable[None]]:
    async def pass_by(seconds: float) -> None:
        clock.advance(timedelta(seconds=seconds))

    return pass_by


def tls_context(sandbox: SandboxServer) -> ssl.SSLContext:
    """Trusts the sandbox's own certificate authority and no other."""
    return ssl.create_default_context(cafile=str(sandbox.ca_bundle))


def says(
    key: str | None,
    *,
    minute: int,
    event_id: str | None = None,
    device: str = "phone",
    channels: Mapping[str, bool | None] | None = None,
    **purposes: bool | None,
) -> Body:
    clock = FrozenClock()
    made_at = clock.now() - timedelta(hours=1) + timedelta(minutes=minute)
    who = person(key, didomi_user_id=device)
    chosen = [purpose(name, enabled) for name, enabled in purposes.items()]
    return event_created(
        event(event_id or f"{key}-{minute}", who, chosen, created_at=made_at, channels=channels)
    )


def replaced(*pairs: tuple[str, str]) -> Callable[[str], str]:
    """An edit of the configuration text. Each old text must be there."""

    def change(text: str) -> str:
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        return text

    return change


class DyingLedger:
    """The ledger of a process that is killed before it can settle."""

    async def settle(self, *_: object, **__: object) -> None:
        raise asyncio.CancelledError
