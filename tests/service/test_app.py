"""The application as `serve` runs it: probes, metrics, and what they say of the sender."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from didomi_dataverse.delivery.outcome import AlertReason
from didomi_dataverse.delivery.rate_limit.state import RateLimitState, apply_throttle, raise_alert
from didomi_dataverse.errors import StoreError, StoreUnavailableError
from didomi_dataverse.ledger.queries import LedgerReader
from didomi_dataverse.observability.health import Lifecycle, build_health_router
from didomi_dataverse.service.app import build_app
from didomi_dataverse.wiring.configuration import load_configuration
from didomi_dataverse.wiring.ledger import open_ledger_for_serving
from tests.clocks import FrozenClock

CONFIG = """
store: {{ url: "sqlite:///{folder}/ledger.db" }}
didomi: {{ auth: {{ header: {{ name: X-Webhook-Secret, value: a-long-enough-secret }} }} }}
dataverse: {{ url: "https://localhost:9", authority: "https://localhost:9", tenant_id: t, client_id: c,
             client_secret: another-long-secret, connect_timeout: 100ms }}
contact: {{ match: {{ alternate_key: new_didomikey }} }}
mapping: {{ gdpr: {{ purposes: {{ newsletter: new_newsletter }} }} }}
"""
SECRET = {"X-Webhook-Secret": "a-long-enough-secret"}


@asynccontextmanager
async def application(folder: Path, lifecycle: Lifecycle) -> AsyncIterator[httpx.AsyncClient]:
    """The application between its start and its end; nothing listens where Dataverse should be."""
    path = folder / "config.yaml"
    path.write_text(CONFIG.format(folder=folder))
    app = build_app(load_configuration(path, {}), lifecycle=lifecycle, clock=FrozenClock())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client,
    ):
        yield client


async def test_it_is_ready_although_dataverse_is_down(tmp_path: Path) -> None:
    async with application(tmp_path, Lifecycle()) as client:
        for probe in ("/livez", "/startupz", "/readyz"):
            assert (await client.get(probe)).status_code == 200
        body = {"type": "what.ever"}
        assert (await client.post("/webhooks/didomi", json=body, headers=SECRET)).status_code == 202


async def test_metrics_count_notifications_by_what_became_of_them(tmp_path: Path) -> None:
    async with application(tmp_path, Lifecycle()) as client:
        for _ in range(2):
            await client.post("/webhooks/didomi", content=json.dumps({"type": "x.y"}), headers=SECRET)
        await client.post("/webhooks/didomi", content=b"no", headers=SECRET)
        await client.post("/webhooks/didomi", content=b"{}")
        page = (await client.get("/metrics")).text
    stored = (
        'didomi_dataverse_notifications_total{disposition="parked",reason="unknown_type",type="other"} 1.0'
    )
    assert stored in page
    assert 'disposition="duplicate"' in page
    assert 'didomi_dataverse_webhook_refusals_total{status="400"} 1.0' in page
    assert 'didomi_dataverse_webhook_refusals_total{status="401"} 1.0' in page
    assert 'didomi_dataverse_contacts{state="due"} 0.0' in page


async def test_metrics_are_told_while_the_store_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_: LedgerReader) -> None:
        raise StoreUnavailableError("The server is gone.")

    async with application(tmp_path, Lifecycle()) as client:
        assert "didomi_dataverse_store_up 1.0" in (await client.get("/metrics")).text
        monkeypatch.setattr(LedgerReader, "count_contacts", fails)
        await client.post("/webhooks/didomi", content=b"{}")
        page = await client.get("/metrics")
    assert page.status_code == 200
    assert "didomi_dataverse_store_up 0.0" in page.text
    assert 'didomi_dataverse_webhook_refusals_total{status="401"} 1.0' in page.text


async def test_it_says_that_it_drains(tmp_path: Path) -> None:
    lifecycle = Lifecycle()
    async with application(tmp_path, lifecycle) as client:
        lifecycle.is_draining = True
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "draining")
        assert (await client.get("/livez")).status_code == 200


async def test_a_second_process_on_the_same_store_does_not_start(tmp_path: Path) -> None:
    async with application(tmp_path, Lifecycle()):
        with pytest.raises(StoreError, match=r"ledger\.db"):
            async with application(tmp_path, Lifecycle()):
                pass


async def test_a_ledger_that_is_handed_in_is_not_opened_again_and_stays_open(tmp_path: Path) -> None:
    """Opening it twice would be refused, as another process is."""
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.format(folder=tmp_path))
    configuration, clock = load_configuration(path, {}), FrozenClock()
    ledger = await open_ledger_for_serving(configuration.settings, clock=clock)
    app = build_app(configuration, lifecycle=Lifecycle(), clock=clock, ledger=ledger)

    async with app.router.lifespan_context(app):
        pass

    await ledger.maintenance.probe()
    await ledger.close()


async def is_well() -> None:
    """A store without any trouble."""


async def is_full() -> None:
    raise StoreUnavailableError("The disk is full.")


async def stalls() -> None:
    await asyncio.Event().wait()


def probes(
    rate_limit: RateLimitState, clock: FrozenClock, *, check_store: Callable[[], Awaitable[None]] = is_well
) -> httpx.AsyncClient:
    """The health routes alone, over a sender with this rate limit."""
    lifecycle = Lifecycle()
    lifecycle.started.set()
    app = FastAPI()
    app.include_router(
        build_health_router(
            lifecycle=lifecycle,
            check_store=check_store,
            rate_limits=lambda: [rate_limit],
            clock=clock,
            store_answers_within=timedelta(milliseconds=50),
        )
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service")


START = RateLimitState.initial(max_parallel=4, max_rows=50)


async def test_readyz_tells_what_a_person_must_do() -> None:
    clock = FrozenClock()
    stopped = raise_alert(START, AlertReason.REFUSED, "Give the role.", now=clock.now())
    async with probes(stopped, clock) as client:
        answer = await client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["sender"]["state"] == "stopped"
    assert answer.json()["sender"]["what_to_do"] == "Give the role."


async def test_readyz_tells_of_a_pause() -> None:
    clock = FrozenClock()
    paused = apply_throttle(START, retry_after=timedelta(minutes=1), now=clock.now(), jitter=0.0)
    async with probes(paused, clock) as client:
        assert (await client.get("/readyz")).json()["sender"]["state"] == "paused"


@pytest.mark.parametrize(
    ("check_store", "cause"),
    [
        pytest.param(is_full, "The disk is full.", id="full"),
        pytest.param(stalls, "The store did not answer within 0.05 s", id="stalling"),
    ],
)
async def test_readyz_fails_with_the_store_and_says_why(
    check_store: Callable[[], Awaitable[None]], cause: str
) -> None:
    async with probes(START, FrozenClock(), check_store=check_store) as client:
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["store"].startswith(cause)
