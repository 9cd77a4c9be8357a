"""The two POST routes that Didomi calls. Each is registered once, here: path, endpoint and description.

They are answered in front of FastAPI's router, which does for every request what these routes do not need: it
matches routes in order, reads parameters, keeps dependencies and uploads open. That costs more than parsing a
notification (docs/decisions/0031-what-receiving-costs.md has the figures). All other paths are FastAPI's.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from didomi_dataverse.clock import Clock
from didomi_dataverse.didomi.auth.authenticator import WebhookAuthenticator
from didomi_dataverse.didomi.auth.rate_limit import LoginRateLimiter
from didomi_dataverse.didomi.http.openapi import TOKEN_OPERATION, WEBHOOK_OPERATION, Operation
from didomi_dataverse.didomi.http.token_endpoint import TOKEN_PATH, TokenEndpoint
from didomi_dataverse.didomi.http.webhook import WEBHOOK_PATH, Ingest, WebhookEndpoint, WebhookMetrics
from didomi_dataverse.didomi.interpret import InterpretationPolicy

DEFAULT_BODY_TIMEOUT = timedelta(seconds=30)
"""How long a caller may take to send a body. Too small: slow networks lose notifications. Too large: slow
callers hold connections open.
"""


@dataclass(frozen=True, slots=True)
class PostRoute:
    """One path that answers POST and no other method."""

    path: str
    endpoint: Callable[[Request], Awaitable[Response]]
    operation: Operation
    """Its description in the OpenAPI document."""


def add_routes(
    app: FastAPI,
    *,
    ingest: Ingest,
    authenticator: WebhookAuthenticator,
    policy: InterpretationPolicy,
    clock: Clock,
    max_body_bytes: int,
    body_timeout: timedelta = DEFAULT_BODY_TIMEOUT,
    metrics: WebhookMetrics | None = None,
) -> None:
    """Add the webhook to an application, and the token endpoint if the authenticator issues tokens.

    `ingest` stores notifications durably; `metrics` counts them, None to count nothing.
    """
    webhook = WebhookEndpoint(
        ingest=ingest,
        authenticator=authenticator,
        policy=policy,
        clock=clock,
        max_body_bytes=max_body_bytes,
        body_timeout=body_timeout,
        metrics=metrics,
    )
    routes = [PostRoute(WEBHOOK_PATH, webhook.answer, WEBHOOK_OPERATION)]
    if authenticator.access_tokens is not None:
        token_endpoint = TokenEndpoint(
            issuer=authenticator.access_tokens,
            authenticator=authenticator,
            clock=clock,
            rate_limiter=LoginRateLimiter(),
            body_timeout=body_timeout,
        )
        routes.append(PostRoute(TOKEN_PATH, token_endpoint.answer, TOKEN_OPERATION))
    add_post_routes(app, routes)


def add_post_routes(app: FastAPI, routes: Sequence[PostRoute]) -> None:
    """Put routes in front of an application's router, and first in its OpenAPI document."""
    app.add_middleware(PostRouter, routes=routes)
    described = {route.path: {"post": route.operation} for route in routes}
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()  # FastAPI keeps it, so that this may run again on the same document
        document["paths"] = described | document["paths"] | described  # first, and ours where both have one
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # the extension that FastAPI documents


class PostRouter:
    """ASGI middleware: dispatches the paths of its routes, and hands every other request to the application.

    An exception of an endpoint is answered 500 by the application's outermost layer, as everywhere else.
    """

    def __init__(self, app: ASGIApp, *, routes: Iterable[PostRoute]) -> None:
        self._app = app
        # With and without a slash at the end, which is a common slip in a console. Nothing is redirected: a
        # redirect may not be followed, and the notification would be lost (didomi.md 1.5, rule 7).
        self._endpoints = {
            path: route.endpoint for route in routes for path in (route.path, f"{route.path}/")
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI defines it."""
        endpoint = self._endpoints.get(scope["path"]) if scope["type"] == "http" else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        if scope["method"] == "POST":
            response = await endpoint(Request(scope, receive))
        else:
            response = JSONResponse({"detail": "Method Not Allowed"}, 405, {"Allow": "POST"})
        await response(scope, receive, send)
