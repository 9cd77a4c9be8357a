"""Routes that need nothing of the framework, answered before it looks at them.

Finding a route, reading parameters and the layers for what these routes do not have (dependencies, uploads,
exceptions that mean an answer) take longer than reading a notification does.
"""

from collections.abc import Awaitable, Callable, Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send


class FastPath:
    """ASGI middleware: a POST to one of the plain routes goes straight to its endpoint, and everything
    else to the application. An endpoint's own failure is answered 500 by the layer outside, as ever.
    """

    def __init__(self, app: ASGIApp, *, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._endpoints: dict[str, Callable[[Request], Awaitable[Response]]] = {
            route.path: route.endpoint for route in routes if type(route) is Route
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI says."""
        endpoint = None
        if scope["type"] == "http" and scope["method"] == "POST":
            endpoint = self._endpoints.get(scope["path"])
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        response = await endpoint(Request(scope, receive))
        await response(scope, receive, send)
