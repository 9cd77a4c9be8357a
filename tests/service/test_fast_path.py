"""What is answered in front of the framework, and what is left to it."""

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from starlette.routing import Route

from didomi_dataverse.didomi.http.fast_path import FastPath


async def _plain(request: Request) -> Response:
    return Response((await request.body()).decode() + " plainly")


async def _framed() -> str:
    return "by the framework"


def _app() -> FastAPI:
    app = FastAPI()
    app.add_api_route("/hook", _framed, methods=["POST"])
    app.add_api_route("/page", _framed, methods=["GET", "POST"])
    app.add_middleware(FastPath, routes=[*app.routes, Route("/hook", _plain, methods=["POST"])])
    return app


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        pytest.param("POST", "/hook", 200, "body plainly", id="a plain route"),
        pytest.param("GET", "/hook", 405, None, id="another method"),
        pytest.param("POST", "/page", 200, '"by the framework"', id="a route of the framework"),
        pytest.param("POST", "/nowhere", 404, None, id="no route"),
    ],
)
async def test_only_a_post_to_a_plain_route_passes_the_framework_by(
    method: str, path: str, status: int, text: str | None
) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(_app()), base_url="http://service") as http:
        answer = await http.request(method, path, content=b"body")
    assert answer.status_code == status
    assert text is None or answer.text == text
