"""Which requests are answered in front of FastAPI's router, and which are left to it."""

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from didomi_dataverse.didomi.http.routes import PostRoute, add_post_routes


async def _echo(request: Request) -> Response:
    return Response((await request.body()).decode() + " in front")


async def _fail(request: Request) -> Response:
    raise RuntimeError(request.url.path)


async def _framed() -> str:
    return "by the framework"


def _app() -> FastAPI:
    app = FastAPI(redirect_slashes=False)
    app.add_api_route("/page", _framed, methods=["POST"])
    app.add_api_route("/hook", _framed, methods=["POST"])
    operation = {"summary": "Echo", "responses": {"200": {"description": "The body."}}}
    add_post_routes(app, [PostRoute("/hook", _echo, operation), PostRoute("/fail", _fail, {})])
    return app


async def _request(method: str, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(_app(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        return await http.request(method, path, content=b"body")


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        pytest.param("POST", "/hook", 200, "body in front", id="a route of ours"),
        pytest.param("POST", "/hook/", 200, "body in front", id="with a slash at its end"),
        pytest.param("POST", "/hook?x=1", 200, "body in front", id="with a query"),
        pytest.param("POST", "/hook//", 404, None, id="with two slashes"),
        pytest.param("POST", "/page", 200, '"by the framework"', id="a route of the framework"),
        pytest.param("POST", "/page/", 404, None, id="which does not take a slash"),
        pytest.param("POST", "/nowhere", 404, None, id="no route"),
        pytest.param("POST", "/fail", 500, "Internal Server Error", id="an endpoint that fails"),
    ],
)
async def test_only_the_paths_of_our_routes_are_answered_in_front_of_the_framework(
    method: str, path: str, status: int, text: str | None
) -> None:
    answer = await _request(method, path)

    assert answer.status_code == status
    assert text is None or answer.text == text


@pytest.mark.parametrize("path", ["/hook", "/hook/"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_another_method_is_answered_as_the_framework_answers_it(method: str, path: str) -> None:
    ours, theirs = await _request(method, path), await _request("DELETE", "/page")

    assert (ours.status_code, ours.headers["allow"]) == (405, "POST")
    assert theirs.status_code == 405
    assert ours.headers["content-type"] == theirs.headers["content-type"]
    assert ours.headers["content-length"] == theirs.headers["content-length"]
    assert method == "HEAD" or ours.content == theirs.content


def test_the_description_of_our_routes_comes_first_and_once() -> None:
    app = _app()

    paths = app.openapi()["paths"]

    assert list(paths) == ["/hook", "/fail", "/page"]
    assert paths["/hook"] == {"post": {"summary": "Echo", "responses": {"200": {"description": "The body."}}}}
    assert app.openapi()["paths"] == paths
