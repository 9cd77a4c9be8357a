"""Calls of the Web API over HTTP: a call goes out, and one reply for each of its requests comes back.

The client decides nothing, with one exception: it repeats a call once with a new token when the old one was
refused.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import timedelta
from typing import assert_never
from uuid import UUID, uuid4

import httpx

from didomi_dataverse.clock import Clock
from didomi_dataverse.dataverse.auth.token_cache import TokenCache
from didomi_dataverse.dataverse.batch_body import decode_batch, encode_batch, is_multipart
from didomi_dataverse.dataverse.bulk_body import availability_query, bulk_path, is_success, read_availability
from didomi_dataverse.dataverse.calls import (
    AvailabilityCall,
    BatchCall,
    BulkCall,
    Call,
    Exchange,
    SingleCall,
)
from didomi_dataverse.dataverse.encode import ASK_FOR_NAMES, add_rows, encode_request
from didomi_dataverse.dataverse.errors.classify import classify
from didomi_dataverse.dataverse.errors.parse import is_web_api_error, read_answer
from didomi_dataverse.dataverse.replies import Answer, Answered, Unknown, UnknownCause
from didomi_dataverse.dataverse.requests import Request, Write, condition_of
from didomi_dataverse.dataverse.tls import find_tls_error
from didomi_dataverse.errors import ReplyMalformedError


class DataverseClient:
    """Makes calls as one application user. Any number of calls may run at once."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        token: TokenCache,
        *,
        api_path: str,
        clock: Clock,
        longest_call: timedelta,
        new_guid: Callable[[], UUID] = uuid4,
    ) -> None:
        """`http` has the environment's URL as base; it is closed with the client.

        `api_path` is `/api/data/v9.2`, or what an on-premises server has instead (dataverse.md 1.2).
        """
        self._http = http
        self._token = token
        self._auth = _BearerAuth(token)
        self._api_path = api_path.rstrip("/")
        self._clock = clock
        self._new_guid = new_guid
        self.longest_call = longest_call
        """The most time that a call takes, fetching a token included: after that it is given up, and its
        outcome is unknown."""

    async def send(self, call: Call) -> Exchange:
        """Makes the call and reads a reply for each of its requests.

        Failures on the way are replies, too: `Unknown` when the connection failed or the answer cannot be
        read, `Answered(whole_call=True)` for each request when the call as a whole was answered (throttled,
        refused, a gateway's page).

        Raises TokenRefusedError or TokenUnavailableError when there is no token to call with; then nothing
        was sent. Raises ValueError for requests that cannot be encoded (`encode.encode_request`).
        """
        match call:
            case BatchCall():
                return await self._send_batch(call)
            case SingleCall():
                return await self._send_single(call)
            case BulkCall():
                return await self._send_bulk(call)
            case AvailabilityCall():
                return await self._query_availability(call)
            case _:
                assert_never(call)

    async def aclose(self) -> None:
        """Closes all connections. Calls under way fail."""
        await self._http.aclose()
        await self._token.aclose()

    async def _send_batch(self, call: BatchCall) -> Exchange:
        boundary = f"batch_{self._new_guid().hex}"
        body = encode_batch(call.requests, boundary=boundary, api_path=self._api_path)
        headers = {
            "Content-Type": f'multipart/mixed; boundary="{boundary}"',
            "Prefer": "odata.continue-on-error",
        }
        response, duration = await self._measure("POST", "$batch", headers=headers, content=body)
        answers = (
            (response,) * len(call.requests)
            if isinstance(response, Unknown)
            else self._read_batch(response, call.requests)
        )
        return _exchange(call, answers, response, duration)

    async def _send_single(self, call: SingleCall) -> Exchange:
        """An answer that is not an error of the Web API (a gateway's, a throttle) counts as the whole
        call's.
        """
        encoded = encode_request(call.request)
        response, duration = await self._measure(
            encoded.method, encoded.path, headers=dict(encoded.headers), content=encoded.content or None
        )
        answer: Answer = (
            response if isinstance(response, Unknown) else self._read_single(response, call.request)
        )
        return _exchange(call, (answer,), response, duration)

    async def _send_bulk(self, call: BulkCall) -> Exchange:
        """Anything but a success is the whole call's answer: the message is all or nothing."""
        # dataverse.md 5.1: annotations hold the symbolic name.
        headers = {"Content-Type": "application/json", ASK_FOR_NAMES[0]: ASK_FOR_NAMES[1]}
        path = bulk_path(call.message)
        response, duration = await self._measure("POST", path, headers=headers, content=call.body)
        answer: Answer
        if isinstance(response, Unknown):
            answer = response
        else:
            is_done = is_success(call.message, response.status_code, response.content)
            answer = self._read(response, whole_call=not is_done)
        return _exchange(call, (answer,) * len(call.writes), response, duration)

    async def _query_availability(self, call: AvailabilityCall) -> Exchange:
        response, duration = await self._measure("GET", availability_query(call.message), headers={})
        if isinstance(response, Unknown):
            return _exchange(call, (response,), response, duration)
        is_available = read_availability(response.content) if response.status_code == 200 else None
        answer = self._read(response, whole_call=is_available is None)
        return _exchange(call, (answer,), response, duration, is_available=is_available)

    async def _measure(
        self, method: str, path: str, *, headers: Mapping[str, str], content: bytes | None = None
    ) -> tuple[httpx.Response | Unknown, timedelta]:
        """What the HTTP request came to, and how long it took."""
        began_s = self._clock.monotonic()
        response = await self._request(method, path, headers=headers, content=content)
        return response, timedelta(seconds=self._clock.monotonic() - began_s)

    async def _request(
        self, method: str, path: str, *, headers: Mapping[str, str], content: bytes | None
    ) -> httpx.Response | Unknown:
        headers = {**headers, "x-ms-client-request-id": str(self._new_guid())}
        try:
            async with asyncio.timeout(self.longest_call.total_seconds()):
                return await self._http.request(
                    method, f"{self._api_path}/{path}", headers=headers, content=content, auth=self._auth
                )
        except TimeoutError:
            return Unknown(UnknownCause.DEADLINE)
        except httpx.RequestError as failure:
            return _unknown_after(failure)

    def _read_batch(self, response: httpx.Response, requests: Sequence[Request]) -> tuple[Answer, ...]:
        content_type = response.headers.get("Content-Type", "")
        if not is_multipart(content_type):
            return (self._read(response, whole_call=True),) * len(requests)
        try:
            return decode_batch(
                content_type,
                response.content,
                requests,
                now=self._clock.now(),
                request_id=response.headers.get("x-ms-service-request-id", ""),
            )
        except ReplyMalformedError:
            # Everything may have been carried out. All writes are conditional, so asking again does no harm.
            return (Unknown(UnknownCause.MALFORMED),) * len(requests)

    def _read_single(self, response: httpx.Response, request: Request) -> Answer:
        answered = self._read(response, whole_call=not _is_about(response, request))
        return answered if answered.whole_call else add_rows(answered, request, response.content)

    def _read(self, response: httpx.Response, *, whole_call: bool) -> Answered:
        headers = {name.lower(): value for name, value in response.headers.items()}
        now = self._clock.now()
        return read_answer(response.status_code, headers, response.content, now=now, whole_call=whole_call)


def _exchange(
    call: Call,
    answers: Sequence[Answer],
    response: httpx.Response | Unknown,
    duration: timedelta,
    *,
    is_available: bool | None = None,
) -> Exchange:
    """The one place where answers are classified."""
    # An availability call carries no request, but gets an answer.
    conditions = [condition_of(request) for request in call.requests] or [None]
    return Exchange(
        call=call,
        replies=tuple(map(classify, answers, conditions)),
        duration=duration,
        parallel_hint=None if isinstance(response, Unknown) else _parallel_hint(response.headers),
        is_available=is_available,
    )


def _is_about(response: httpx.Response, request: Request) -> bool:
    """Whether the answer is about this one request, rather than about who asks, how often, or through
    what.
    """
    status = response.status_code
    if status >= 400:
        return status not in {401, 429} and is_web_api_error(response.content)
    return status == 204 if isinstance(request, Write) else status == 200


class _BearerAuth(httpx.Auth):
    """Puts the token on a request, and repeats the request once with a new token when the answer is 401.

    The format of Dataverse's challenge is not documented, so the status alone decides (dataverse.md 5.1).
    """

    def __init__(self, token: TokenCache) -> None:
        self._token = token

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        token = await self._token.bearer()
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401 and await self._token.renew(token):
            request.headers["Authorization"] = f"Bearer {await self._token.bearer()}"
            yield request


def _unknown_after(failure: httpx.RequestError) -> Unknown:
    """What is known after a failed call: the cause, and whether anything can have reached the server."""
    match failure:
        case httpx.ConnectTimeout():
            return Unknown(UnknownCause.CONNECT_TIMEOUT, sent=False)
        case httpx.ConnectError():
            is_tls = find_tls_error(failure) is not None
            return Unknown(UnknownCause.TLS_FAILED if is_tls else UnknownCause.CONNECT_FAILED, sent=False)
        case httpx.ProxyError():
            # Every call is https, so a proxy is only ever asked for a tunnel.
            return Unknown(UnknownCause.PROXY_FAILED, sent=False)
        case httpx.PoolTimeout():
            return Unknown(UnknownCause.POOL_TIMEOUT, sent=False)
        case httpx.WriteTimeout() | httpx.WriteError():
            return Unknown(UnknownCause.WRITE_FAILED)
        case httpx.ReadTimeout():
            return Unknown(UnknownCause.READ_TIMEOUT)
        case httpx.DecodingError():
            return Unknown(UnknownCause.GARBLED)
        case _:
            return Unknown(UnknownCause.CUT)


def _parallel_hint(headers: httpx.Headers) -> int | None:
    """The value of `x-ms-dop-hint` (dataverse.md 4.1); None when it is missing or not a positive number."""
    text = headers.get("x-ms-dop-hint", "").strip()
    return int(text) if len(text) < 6 and text.isascii() and text.isdecimal() and int(text) > 0 else None
