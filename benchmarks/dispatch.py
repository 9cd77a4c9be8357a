"""What it costs to find the endpoint of a POST: FastAPI's router, a plain route in it, or our own table.

python benchmarks/dispatch.py --requests 3000 --rounds 15

One process, no sockets and no store: the application is called as a server calls it. The three take turns in
each round, and the medians of the processor time are compared.
"""

import argparse
import asyncio
import logging
import statistics
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import stand
import structlog
from fastapi import FastAPI, Request, Response
from starlette.routing import Route

from didomi_dataverse.clock import SystemClock
from didomi_dataverse.didomi.auth.authenticator import WebhookAuthenticator
from didomi_dataverse.didomi.auth.credentials import StaticHeader
from didomi_dataverse.didomi.http.openapi import WEBHOOK_OPERATION
from didomi_dataverse.didomi.http.routes import PostRoute, add_post_routes
from didomi_dataverse.didomi.http.webhook import WEBHOOK_PATH, WebhookEndpoint
from didomi_dataverse.didomi.interpret import InterpretationPolicy
from didomi_dataverse.didomi.interpreted import Disposition, InterpretedNotification

Endpoint = Callable[[Request], Awaitable[Response]]

SECRET = "a-long-enough-secret"  # noqa: S105 - made up


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store would say of a notification."""

    disposition: Disposition
    reason: None = None
    duplicate: bool = False


async def keep_nothing(notifications: Sequence[InterpretedNotification]) -> list[Stored]:
    """Acknowledges what it does not store."""
    return [Stored(each.disposition) for each in notifications]


async def answer_nothing(_: Request) -> Response:
    """The least that an endpoint can do."""
    return Response(status_code=202)


def with_router(endpoint: Endpoint) -> FastAPI:
    """As FastAPI is used: the request is a parameter of the endpoint."""
    app = FastAPI(redirect_slashes=False)

    async def route(request: Request) -> Response:
        return await endpoint(request)

    app.add_api_route(WEBHOOK_PATH, route, methods=["POST"])
    return app


def with_plain_route(endpoint: Endpoint) -> FastAPI:
    """In FastAPI's router, but without its parameters."""
    app = FastAPI(redirect_slashes=False)
    app.router.routes.append(Route(WEBHOOK_PATH, endpoint, methods=["POST"]))
    return app


def in_front(endpoint: Endpoint) -> FastAPI:
    """As the service does it."""
    app = FastAPI(redirect_slashes=False)
    add_post_routes(app, [PostRoute(WEBHOOK_PATH, endpoint, WEBHOOK_OPERATION)])
    return app


WAYS = {"FastAPI's router": with_router, "a plain route in it": with_plain_route, "in front of it": in_front}


async def run(app: FastAPI, bodies: Sequence[bytes]) -> float:
    """The processor time of one request, in microseconds."""
    started_at = time.process_time()
    for body in bodies:
        answers: list[int] = []

        async def receive(body: bytes = body) -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: MutableMapping[str, Any], answers: list[int] = answers) -> None:
            if message["type"] == "http.response.start":
                answers.append(message["status"])

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": WEBHOOK_PATH,
            "raw_path": WEBHOOK_PATH.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"x-webhook-secret", SECRET.encode()),
            ],
            "client": ("127.0.0.1", 4711),
            "server": ("127.0.0.1", 8080),
        }
        await app(scope, receive, send)
        assert answers == [202]
    return 1e6 * (time.process_time() - started_at) / len(bodies)


async def compare(endpoint: Endpoint, bodies: Sequence[bytes], rounds: int) -> dict[str, float]:
    """The median of each way."""
    apps = {name: build(endpoint) for name, build in WAYS.items()}
    took: dict[str, list[float]] = {name: [] for name in apps}
    for _ in range(rounds):
        for name, app in apps.items():
            took[name].append(await run(app, bodies))
    return {name: statistics.median(times) for name, times in took.items()}


def main() -> None:
    """Prints one line for each endpoint."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=15)
    wanted = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    webhook = WebhookEndpoint(
        ingest=keep_nothing,
        authenticator=WebhookAuthenticator(
            static_header=StaticHeader(name="X-Webhook-Secret", values=(SECRET,))
        ),
        policy=InterpretationPolicy(),
        clock=SystemClock(),
        max_body_bytes=1_048_576,
        body_timeout=timedelta(seconds=30),
        metrics=None,
    )
    bodies = [stand.body(number, f"p-{number}") for number in range(wanted.requests)]
    print(stand.machine())
    print("endpoint | " + " | ".join(f"{name}, µs" for name in WAYS) + " | router / in front")
    for name, endpoint in (("answers only", answer_nothing), ("the webhook, no store", webhook.answer)):
        took = asyncio.run(compare(endpoint, bodies, wanted.rounds))
        router, _, ours = took.values()
        cells = [f"{microseconds:.0f}" for microseconds in took.values()]
        print(" | ".join([name, *cells, f"{router / ours:.2f}"]), flush=True)


if __name__ == "__main__":
    main()
