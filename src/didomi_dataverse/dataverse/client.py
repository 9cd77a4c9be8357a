"""Calls of the Web API: requests out, one reply for each of them back.

Nothing is decided here, with one exception: a call that is refused for its token is repeated once with a new
one.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import httpx

from didomi_dataverse.clock import Clock
from didomi_dataverse.dataverse.auth.token_cache import TokenCache
from didomi_dataverse.dataverse.batch import decode_batch, encode_batch, is_multipart
from didomi_dataverse.dataverse.bulk import (
    BulkMessage,
    availability_query,
    bulk_path,
    is_available,
    is_success,
)
from didomi_dataverse.dataverse.encode import ASK_FOR_NAMES, add_rows, encode_request
from didomi_dataverse.dataverse.errors.parse import is_web_api_error, read_answer
from didomi_dataverse.dataverse.replies import (
    Answered,
    CallKind,
    Exchange,
    Reply,
    Unknown,
    UnknownCause,
)
from didomi_dataverse.dataverse.requests import Request, Write
from didomi_dataverse.dataverse.tls import find_tls_error
from didomi_dataverse.errors import ReplyMalformedError


class DataverseClient:
    """Sends requests as one `$batch` and reads one reply for each. Any number of calls may run at once."""

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
        """`http` has the environment's URL as base, and is closed with the client.

        `api_path` is `/api/data/v9.2`, or what an on-premises server has instead (dataverse.md 1.2).
        """
        self._http = http
        self._token = token
        self._auth = _BearerAuth(token)
        self._api_path = api_path.rstrip("/")
        self._clock = clock
        self._new_guid = new_guid
        self.longest_call = longest_call
        """No call takes longer, its token included: then it is given up and its outcome is unknown."""

    async def send(self, requests: Sequence[Request]) -> Exchange:
        """One `$batch` with continue-on-error, and a reply for each request in their order.

        Whatever happens on the way is a reply too: `Unknown` when the connection failed or the answer cannot
        be read, `Answered(whole_call=True)` for each request when the call as a whole was answered
        (throttled, refused, a gateway's page). Raises TokenRefusedError or TokenUnavailableError when there
        is no token to call with; then nothing was sent. ValueError for requests that cannot be encoded
        (`batch.encode_batch`).
        """
        boundary = f"batch_{self._new_guid().hex}"
        body = encode_batch(requests, boundary=boundary, api_path=self._api_path)
        headers = {
            "Content-Type": f'multipart/mixed; boundary="{boundary}"',
            "Prefer": "odata.continue-on-error",
        }
        answer, duration = await self._timed("POST", "$batch", headers=headers, content=body)
        if isinstance(answer, Unknown):
            return Exchange(replies=(answer,) * len(requests), duration=duration)
        return Exchange(
            replies=self._replies(answer, requests),
            duration=duration,
            parallel_hint=_parallel_hint(answer.headers),
        )

    async def send_one(self, request: Request) -> Exchange:
        """The request as a call of its own. Otherwise as `send`; an answer that is not an error of the Web
        API (a gateway's, a throttle) counts as the whole call's.
        """
        form = encode_request(request)
        answer, duration = await self._timed(
            form.method, form.path, headers=dict(form.headers), content=form.content or None
        )
        if isinstance(answer, Unknown):
            return Exchange(replies=(answer,), duration=duration, kind=CallKind.SINGLE)
        reply: Reply = self._read(answer, whole_call=not _is_own_answer(answer, request))
        if isinstance(reply, Answered) and not reply.whole_call:
            reply = add_rows(reply, request, answer.content)
        hint = _parallel_hint(answer.headers)
        return Exchange(replies=(reply,), duration=duration, parallel_hint=hint, kind=CallKind.SINGLE)

    async def send_bulk(self, message: BulkMessage, writes: Sequence[Write], body: bytes) -> Exchange:
        """One bulk message with the targets of `body`. All are carried out, or none (dataverse.md 3.4):
        anything but a success is the whole call's answer. Otherwise as `send`.
        """
        # dataverse.md 5.1: annotations hold the symbolic name.
        headers = {"Content-Type": "application/json", ASK_FOR_NAMES[0]: ASK_FOR_NAMES[1]}
        kind = CallKind(message.value)
        answer, duration = await self._timed("POST", bulk_path(message), headers=headers, content=body)
        if isinstance(answer, Unknown):
            return Exchange(replies=(answer,) * len(writes), duration=duration, kind=kind)
        reply = self._read(answer, whole_call=not is_success(message, answer.status_code, answer.content))
        hint = _parallel_hint(answer.headers)
        return Exchange(replies=(reply,) * len(writes), duration=duration, parallel_hint=hint, kind=kind)

    async def ask_for(self, message: BulkMessage) -> tuple[bool | None, Exchange]:
        """Whether the Contact table has this message; None when the environment does not say. The exchange
        carries one reply and no rows.
        """
        answer, duration = await self._timed("GET", availability_query(message), headers={})
        if isinstance(answer, Unknown):
            return None, Exchange(replies=(answer,), duration=duration, kind=CallKind.METADATA)
        has = None if answer.status_code != 200 else is_available(answer.content)
        reply = self._read(answer, whole_call=has is None)
        hint = _parallel_hint(answer.headers)
        return has, Exchange(replies=(reply,), duration=duration, parallel_hint=hint, kind=CallKind.METADATA)

    async def aclose(self) -> None:
        """Closes all connections. Calls under way fail."""
        await self._http.aclose()
        await self._token.aclose()

    async def _call(
        self, method: str, path: str, *, headers: Mapping[str, str], content: bytes | None = None
    ) -> httpx.Response | Unknown:
        identified = {**headers, "x-ms-client-request-id": str(self._new_guid())}
        try:
            async with asyncio.timeout(self.longest_call.total_seconds()):
                return await self._http.request(
                    method, f"{self._api_path}/{path}", headers=identified, content=content, auth=self._auth
                )
        except TimeoutError:
            return Unknown(UnknownCause.DEADLINE)
        except httpx.RequestError as failure:
            return _unknown_after(failure)

    def _replies(self, answer: httpx.Response, requests: Sequence[Request]) -> tuple[Reply, ...]:
        content_type = answer.headers.get("Content-Type", "")
        if not is_multipart(content_type):
            return (self._read(answer, whole_call=True),) * len(requests)
        try:
            return decode_batch(
                content_type,
                answer.content,
                requests,
                now=self._clock.now(),
                request_id=answer.headers.get("x-ms-service-request-id", ""),
            )
        except ReplyMalformedError:
            # Everything may have been carried out. All writes are conditional, so asking again does no harm.
            return (Unknown(UnknownCause.MALFORMED),) * len(requests)

    async def _timed(
        self, method: str, path: str, *, headers: Mapping[str, str], content: bytes | None = None
    ) -> tuple[httpx.Response | Unknown, timedelta]:
        began_s = self._clock.monotonic()
        answer = await self._call(method, path, headers=headers, content=content)
        return answer, timedelta(seconds=self._clock.monotonic() - began_s)

    def _read(self, answer: httpx.Response, *, whole_call: bool) -> Answered:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        now = self._clock.now()
        return read_answer(answer.status_code, headers, answer.content, now=now, whole_call=whole_call)


def _is_own_answer(answer: httpx.Response, request: Request) -> bool:
    """Is it about this one request, rather than about who asks, how often, or through what?"""
    status = answer.status_code
    if status >= 400:
        return status not in {401, 429} and is_web_api_error(answer.content)
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
