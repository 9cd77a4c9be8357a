"""The two POST routes in an application of their own, with a store in memory."""

import asyncio
from collections.abc import AsyncIterator, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import structlog
from fastapi import FastAPI
from structlog.testing import LogCapture

from didomi_dataverse.didomi.auth.access_tokens import create_issuer
from didomi_dataverse.didomi.auth.authenticator import WebhookAuthenticator
from didomi_dataverse.didomi.http.routes import add_routes
from didomi_dataverse.didomi.interpret import InterpretationPolicy
from didomi_dataverse.didomi.interpreted import Disposition, InterpretedNotification, Reason
from didomi_dataverse.errors import StoreError
from tests.clocks import FrozenClock

CLIENT_ID = "didomi"
SECRET = "a-secret-of-the-client"
MAX_BODY_BYTES = 4_096


Headers = dict[str, str] | list[tuple[str, str]] | None


@dataclass(frozen=True)
class Result:
    disposition: Disposition
    reason: Reason | None
    duplicate: bool


@dataclass
class Store:
    """Keeps every notification by its digest; `fails_with` makes calls fail."""

    notifications: list[InterpretedNotification] = field(default_factory=list)
    calls: int = 0
    fails_with: StoreError | None = None

    async def ingest(self, notifications: Sequence[InterpretedNotification]) -> Sequence[Result]:
        self.calls += 1
        if self.fails_with is not None:
            raise self.fails_with
        results = []
        for interpreted in notifications:
            duplicate = any(known.digest == interpreted.digest for known in self.notifications)
            if not duplicate:
                self.notifications.append(interpreted)
            results.append(Result(interpreted.disposition, interpreted.reason, duplicate))
        return results


@dataclass
class Tally:
    """Counts in place of the metrics."""

    notifications: list[tuple[str, str, str]] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)

    def count_notification(self, kind: str, disposition: str, reason: str) -> None:
        self.notifications.append((kind, disposition, reason))

    def count_refusal(self, status: int) -> None:
        self.refusals.append(status)


@dataclass
class Chunks:
    """A body that comes in pieces, and knows how many of them were read."""

    pieces: list[bytes]
    taken: int = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            self.taken += 1
            yield piece


@dataclass
class Receiver:
    """A running application and everything around it."""

    authenticator: WebhookAuthenticator = field(
        default_factory=lambda: WebhookAuthenticator(allow_anonymous=True)
    )
    clock: FrozenClock = field(default_factory=FrozenClock)
    store: Store = field(default_factory=Store)
    tally: Tally = field(default_factory=Tally)
    policy: Any = field(default_factory=lambda: InterpretationPolicy(organization_id="acme"))
    body_timeout: timedelta = timedelta(seconds=30)

    def app(self) -> FastAPI:
        app = FastAPI(redirect_slashes=False)
        add_routes(
            app,
            ingest=self.store.ingest,
            authenticator=self.authenticator,
            policy=self.policy,
            clock=self.clock,
            max_body_bytes=MAX_BODY_BYTES,
            body_timeout=self.body_timeout,
            metrics=self.tally,
        )
        return app

    def client(self, *, peer: str = "35.159.1.63", app: FastAPI | None = None) -> httpx.AsyncClient:
        """A client that seems to call from `peer`."""
        transport = httpx.ASGITransport(app or self.app(), client=(peer, 4711))
        return httpx.AsyncClient(transport=transport, base_url="http://service.example.com")

    async def post(
        self,
        content: bytes | str | Chunks,
        *,
        path: str = "/webhooks/didomi",
        headers: Headers = None,
        peer: str = "35.159.1.63",
    ) -> httpx.Response:
        async with self.client(peer=peer) as client:
            return await client.post(path, content=content, headers=headers)


def with_token_endpoint() -> Receiver:
    issuer = create_issuer(client_id=CLIENT_ID, client_secrets=[SECRET])
    return Receiver(authenticator=WebhookAuthenticator(access_tokens=issuer))


async def call_asgi(
    app: FastAPI, scope: dict[str, Any], *messages: dict[str, Any]
) -> list[MutableMapping[str, Any]]:
    """One request at the ASGI level: after the last message, nothing more comes."""
    waiting = list(messages)
    answers: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        answers.append(message)

    base = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/webhooks/didomi",
        "raw_path": b"/webhooks/didomi",
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "client": ("35.159.1.63", 4711),
        "server": ("service.example.com", 80),
    }
    await app({**base, **scope}, receive, send)
    return answers


@contextmanager
def capture_log() -> Iterator[list[Any]]:
    """Everything that is logged meanwhile."""
    capture = LogCapture()
    before = structlog.get_config()
    structlog.configure(processors=[capture], cache_logger_on_first_use=False)
    try:
        yield capture.entries
    finally:
        structlog.configure(**before)
