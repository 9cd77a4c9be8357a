"""The client's wire, seen from httpx: what goes out byte for byte, and what each way of failing becomes."""

import asyncio
from datetime import timedelta
from email.utils import format_datetime

import httpx
import pytest
import respx
from tests.clocks import FrozenClock

from didomi_dataverse.dataverse.auth.token_cache import TokenCache
from didomi_dataverse.dataverse.calls import BatchCall
from didomi_dataverse.dataverse.client import DataverseClient
from didomi_dataverse.dataverse.replies import Answer, Answered, NotAttempted, Unknown
from didomi_dataverse.dataverse.replies import UnknownCause as Cause
from didomi_dataverse.dataverse.requests import AlternateKey, Condition, LookUp, RowId, Write
from didomi_dataverse.errors import TokenRefusedError, TokenUnavailableError

from .fakes import ORG, FakeEntra, answers

GUID = "6f1c2d3e-0000-4000-8000-00000000abcd"

WRITE = Write(AlternateKey("new_didomikey", "u-42"), Condition.UPDATE_ONLY, {"donotemail": False})
OTHER = Write(RowId(GUID), Condition.UPDATE_ONLY, {"donotemail": True})
LOOK_UP = LookUp("emailaddress1", "a+b@acme.example")


def multipart(*parts: str, status: int = 200, **headers: str) -> httpx.Response:
    """An answer as in dataverse.md 3.2."""
    head = "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    body = "".join(f"--batchresponse_1f\r\n{head}{part}" for part in parts) + "--batchresponse_1f--\r\n"
    content_type = "multipart/mixed; boundary=batchresponse_1f"
    return httpx.Response(
        status,
        headers={
            "Content-Type": content_type,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        },
        content=body.encode(),
    )


DONE = "HTTP/1.1 204 No Content\r\nOData-Version: 4.0\r\n\r\n\r\n"
GONE = (
    "HTTP/1.1 404 Not Found\r\nContent-Type: application/json; odata.metadata=minimal\r\n\r\n"
    '{"error":{"code":"0x80060891","message":"no such row"}}\r\n'
)
FOUND = f'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{{"value":[{{"contactid":"{GUID}"}}]}}\r\n'


async def test_a_batch_goes_out_as_documented(api: respx.MockRouter, client: DataverseClient) -> None:
    """dataverse.md 1.3 and 3.1."""
    route = api.post("/$batch").mock(return_value=multipart(DONE, FOUND))

    await client.send(BatchCall([WRITE, LOOK_UP]))

    request = route.calls.last.request
    assert request.url.raw_path == b"/api/data/v9.2/$batch"
    sent = {name: value for name, value in request.headers.items() if name not in {"host", "connection"}}
    assert sent.pop("user-agent").startswith("didomi-dataverse/")
    assert sent.pop("accept-encoding")
    assert sent == {
        "authorization": "Bearer token-1",
        "accept": "application/json",
        "odata-maxversion": "4.0",
        "odata-version": "4.0",
        "content-type": 'multipart/mixed; boundary="batch_00000000000000000000000000000001"',
        "content-length": str(len(request.content)),
        "prefer": "odata.continue-on-error",
        "x-ms-client-request-id": "00000000-0000-0000-0000-000000000001",
    }
    assert request.content == (
        b"--batch_00000000000000000000000000000001\r\n"
        b"Content-Type: application/http\r\n"
        b"Content-Transfer-Encoding: binary\r\n"
        b"Content-ID: 1\r\n"
        b"\r\n"
        b"PATCH /api/data/v9.2/contacts(new_didomikey='u-42') HTTP/1.1\r\n"
        b"Content-Type: application/json; type=entry\r\n"
        b"If-Match: *\r\n"
        b'Prefer: odata.include-annotations="*"\r\n'
        b"\r\n"
        b'{"donotemail":false}\r\n'
        b"--batch_00000000000000000000000000000001\r\n"
        b"Content-Type: application/http\r\n"
        b"Content-Transfer-Encoding: binary\r\n"
        b"Content-ID: 2\r\n"
        b"\r\n"
        b"GET /api/data/v9.2/contacts?$select=contactid"
        b"&$filter=emailaddress1%20eq%20'a%2Bb%40acme.example'&$top=2 HTTP/1.1\r\n"
        b"Accept: application/json\r\n"
        b'Prefer: odata.include-annotations="*"\r\n'
        b"\r\n"
        b"\r\n"
        b"--batch_00000000000000000000000000000001--\r\n"
    )


async def test_each_request_gets_its_reply(
    api: respx.MockRouter, client: DataverseClient, clock: FrozenClock
) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        clock.advance(timedelta(milliseconds=250))
        return multipart(DONE, FOUND, GONE, x_ms_dop_hint="4")

    api.post("/$batch").mock(side_effect=answer)

    exchange = await client.send(BatchCall([WRITE, LOOK_UP, OTHER, WRITE]))

    assert answers(exchange) == (
        Answered(status=204),
        Answered(status=200, row_ids=(GUID,)),
        Answered(status=404, code="0x80060891", message="no such row"),
        NotAttempted(),
    )
    assert exchange.duration == timedelta(milliseconds=250)
    assert exchange.parallel_hint == 4


async def test_a_part_without_an_id_has_the_call_s(api: respx.MockRouter, client: DataverseClient) -> None:
    """Support asks for it, also for a row that was written."""
    own = DONE.replace("204 No Content\r\n", "204 No Content\r\nREQ_ID: own\r\n")
    api.post("/$batch").mock(return_value=multipart(DONE, own, x_ms_service_request_id="call"))

    exchange = await client.send(BatchCall([WRITE, OTHER]))

    assert answers(exchange) == (
        Answered(status=204, request_id="call"),
        Answered(status=204, request_id="own"),
    )


async def test_a_failure_s_status_on_the_whole_does_not_hide_the_parts(
    api: respx.MockRouter, client: DataverseClient
) -> None:
    """dataverse.md 3.2: without continue-on-error it has the first failure's status and is multipart."""
    api.post("/$batch").mock(return_value=multipart(DONE, GONE, status=404))

    exchange = await client.send(BatchCall([WRITE, OTHER, WRITE]))

    assert [type(reply) for reply in answers(exchange)] == [Answered, Answered, NotAttempted]
    assert answers(exchange)[0] == Answered(status=204)


@pytest.mark.parametrize(
    ("hint", "parallel_hint"),
    [("52", 52), ("0", None), ("-3", None), ("many", None), ("", None), ("9" * 400, None)],
)
async def test_a_hint_that_is_no_number_is_no_hint(
    api: respx.MockRouter, client: DataverseClient, hint: str, parallel_hint: int | None
) -> None:
    api.post("/$batch").mock(return_value=multipart(DONE, x_ms_dop_hint=hint))

    assert (await client.send(BatchCall([WRITE]))).parallel_hint == parallel_hint


async def test_silence_is_borne_as_long_as_configured(client: DataverseClient) -> None:
    timeout = client._http.timeout

    assert (timeout.connect, timeout.read) == (10.0, 120.0)
    assert client.longest_call > timedelta(seconds=130)


async def test_cookies_are_never_sent_back(api: respx.MockRouter, client: DataverseClient) -> None:
    """dataverse.md 4.1: an affinity cookie pins a client to one server and its limits."""
    answer = multipart(DONE, Set_Cookie="ARRAffinity=9f; Path=/; HttpOnly; Domain=acme.crm4.dynamics.com")
    route = api.post("/$batch").mock(return_value=answer)

    for _ in range(2):
        await client.send(BatchCall([WRITE]))

    assert ["cookie" in call.request.headers for call in route.calls] == [False, False]
    assert len(client._http.cookies.jar) == 0


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        pytest.param(
            httpx.Response(
                429,
                headers={"Retry-After": "11", "x-ms-service-request-id": "5c0e"},
                json={"error": {"code": "-2147015902", "message": "Number of requests exceeded"}},
            ),
            Answered(
                status=429,
                code="0x80072322",
                message="Number of requests exceeded",
                retry_after=timedelta(seconds=11),
                request_id="5c0e",
                whole_call=True,
            ),
            id="throttled",
        ),
        pytest.param(
            httpx.Response(400, json={"error": {"code": "0x80048d19", "message": "Stream was not readable"}}),
            Answered(status=400, code="0x80048d19", message="Stream was not readable", whole_call=True),
            id="malformed",
        ),
        pytest.param(
            httpx.Response(502, html="<html><title>Bad Gateway</title></html>"),
            Answered(status=502, message="a page instead of an answer: Bad Gateway", whole_call=True),
            id="gateway's page",
        ),
        pytest.param(httpx.Response(500), Answered(status=500, whole_call=True), id="empty"),
        pytest.param(
            httpx.Response(302, headers={"Location": "https://login.acme.example/"}),
            Answered(status=302, whole_call=True),
            id="redirect, not followed",
        ),
        pytest.param(
            httpx.Response(200, html="<html><title>Sign in</title></html>"),
            Answered(status=200, message="a page instead of an answer: Sign in", whole_call=True),
            id="a page with status 200",
        ),
        pytest.param(
            httpx.Response(200, headers={"Content-Type": "multipart/mixed; boundary=x"}, content=b"nonsense"),
            Unknown(Cause.MALFORMED),
            id="parts that cannot be told apart",
        ),
        pytest.param(
            multipart(DONE, DONE, DONE),
            Unknown(Cause.MALFORMED),
            id="more parts than there were requests",
        ),
        pytest.param(
            httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip")),
            Unknown(Cause.GARBLED),
            id="encoding that does not fit",
        ),
    ],
)
async def test_an_answer_to_the_call_as_a_whole_stands_for_every_request(
    api: respx.MockRouter, client: DataverseClient, answer: httpx.Response, reply: Answer
) -> None:
    api.post("/$batch").mock(return_value=answer)

    assert answers(await client.send(BatchCall([WRITE, OTHER]))) == (reply, reply)


async def test_a_date_to_come_back_at_is_counted_from_now(
    api: respx.MockRouter, client: DataverseClient, clock: FrozenClock
) -> None:
    at = format_datetime(clock.now() + timedelta(seconds=90), usegmt=True)
    api.post("/$batch").mock(return_value=httpx.Response(503, headers={"Retry-After": at}))

    (reply,) = answers(await client.send(BatchCall([WRITE])))

    assert isinstance(reply, Answered)
    assert reply.retry_after == timedelta(seconds=90)


@pytest.mark.parametrize(
    ("failure", "reply"),
    [
        pytest.param(
            httpx.ConnectTimeout("x"),
            Unknown(Cause.CONNECT_TIMEOUT, sent=False),
            id="connect time-out",
        ),
        pytest.param(httpx.ConnectError("x"), Unknown(Cause.CONNECT_FAILED, sent=False), id="connect"),
        pytest.param(httpx.ProxyError("x"), Unknown(Cause.PROXY_FAILED, sent=False), id="proxy"),
        pytest.param(
            httpx.PoolTimeout("x"), Unknown(Cause.POOL_TIMEOUT, sent=False), id="no connection free"
        ),
        pytest.param(httpx.WriteTimeout("x"), Unknown(Cause.WRITE_FAILED), id="write time-out"),
        pytest.param(httpx.WriteError("x"), Unknown(Cause.WRITE_FAILED), id="write"),
        pytest.param(httpx.ReadTimeout("x"), Unknown(Cause.READ_TIMEOUT), id="read time-out"),
        pytest.param(httpx.ReadError("x"), Unknown(Cause.CUT), id="read"),
        pytest.param(httpx.RemoteProtocolError("x"), Unknown(Cause.CUT), id="disconnected"),
    ],
)
async def test_a_failure_on_the_way_is_unknown_and_says_whether_anything_was_sent(
    api: respx.MockRouter, client: DataverseClient, failure: httpx.TransportError, reply: Unknown
) -> None:
    api.post("/$batch").mock(side_effect=failure)

    assert answers(await client.send(BatchCall([WRITE, OTHER]))) == (reply, reply)


async def test_a_call_without_end_is_given_up(
    api: respx.MockRouter, entra: FakeEntra, clock: FrozenClock
) -> None:
    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    api.post("/$batch").mock(side_effect=never)
    client = DataverseClient(
        httpx.AsyncClient(base_url=ORG),
        TokenCache(entra.opener(), scope="s", clock=clock),
        api_path="/api/data/v9.2",
        clock=clock,
        longest_call=timedelta(milliseconds=20),
    )
    try:
        assert answers(await client.send(BatchCall([WRITE]))) == (Unknown(Cause.DEADLINE),)
    finally:
        await client.aclose()


# --- The token ---


async def test_a_call_refused_for_its_token_is_repeated_once_with_a_new_one(
    api: respx.MockRouter, client: DataverseClient
) -> None:
    route = api.post("/$batch").mock(side_effect=[httpx.Response(401), multipart(DONE)])

    exchange = await client.send(BatchCall([WRITE]))

    assert answers(exchange) == (Answered(status=204),)
    first, second = (call.request for call in route.calls)
    assert (first.headers["Authorization"], second.headers["Authorization"]) == (
        "Bearer token-1",
        "Bearer token-2",
    )
    assert first.content == second.content


async def test_a_second_refusal_is_the_answer(api: respx.MockRouter, client: DataverseClient) -> None:
    route = api.post("/$batch").mock(return_value=httpx.Response(401))

    exchange = await client.send(BatchCall([WRITE, OTHER]))

    assert answers(exchange) == (Answered(status=401, whole_call=True),) * 2
    assert route.call_count == 2


async def test_within_a_minute_a_refused_token_is_not_renewed_again(
    api: respx.MockRouter, client: DataverseClient, clock: FrozenClock, entra: FakeEntra
) -> None:
    route = api.post("/$batch").mock(return_value=httpx.Response(401))

    await client.send(BatchCall([WRITE]))
    await client.send(BatchCall([WRITE]))
    assert (route.call_count, len(entra.asked)) == (3, 2)
    clock.advance(timedelta(minutes=1))
    await client.send(BatchCall([WRITE]))

    assert (route.call_count, len(entra.asked)) == (5, 3)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param({"error": "invalid_client", "error_codes": [7000215]}, TokenRefusedError, id="refused"),
        pytest.param(ConnectionError("no route"), TokenUnavailableError, id="unreachable"),
    ],
)
async def test_without_a_token_nothing_is_sent(
    api: respx.MockRouter,
    clock: FrozenClock,
    answer: dict[str, object] | Exception,
    error: type[Exception],
) -> None:
    route = api.post("/$batch")
    client = DataverseClient(
        httpx.AsyncClient(base_url=ORG),
        TokenCache(FakeEntra(answer).opener(), scope="s", clock=clock),
        api_path="/api/data/v9.2",
        clock=clock,
        longest_call=timedelta(minutes=2),
    )
    try:
        with pytest.raises(error):
            await client.send(BatchCall([WRITE]))
    finally:
        await client.aclose()

    assert route.call_count == 0
