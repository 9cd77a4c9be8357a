"""The whole application in this process, on a store of its own, with two ways to be let in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from didomi_dataverse.observability.health import Lifecycle
from didomi_dataverse.service.app import build_app
from didomi_dataverse.wiring.configuration import load_configuration
from tests.clocks import FrozenClock

CONFIG = """
store: {{ url: "sqlite:///{folder}/ledger.db" }}
didomi:
  organization_id: acme
  auth:
    header: {{ name: X-Webhook-Secret, value: a-long-enough-secret }}
    oauth: {{ client_id: didomi, client_secret: another-long-secret }}
dataverse: {{ url: "https://localhost:9", authority: "https://localhost:9", tenant_id: t, client_id: c,
             client_secret: another-long-secret, connect_timeout: 100ms }}
contact: {{ match: {{ alternate_key: new_didomikey }} }}
mapping: {{ gdpr: {{ purposes: {{ newsletter: new_newsletter }} }} }}
"""
LET_IN = {"X-Webhook-Secret": "a-long-enough-secret"}


@asynccontextmanager
async def open_app(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the running application. Nothing listens where Dataverse should be."""
    path = folder / "config.yaml"
    path.write_text(CONFIG.format(folder=folder))
    app = build_app(load_configuration(path, {}), lifecycle=Lifecycle(), clock=FrozenClock())
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        yield client
