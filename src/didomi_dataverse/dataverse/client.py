"""The only user of httpx: one `$batch` out, one reply for each of its requests back.

Nothing is decided here, with one exception: a call that is refused for its token is repeated once with a new
one.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import httpx

from didomi_dataverse import __version__
from didomi_dataverse.clock import Clock
from didomi_dataverse.dataverse.batch import decode_batch, encode_batch, is_multipart
from didomi_dataverse.dataverse.error_body import read_answer
from didomi_dataverse.dataverse.key import normal_guid
from didomi_dataverse.dataverse.reply import Answered, Exchange, Reply, Unknown
from didomi_dataverse.dataverse.token import ClientSecret, TokenCache, open_application
from didomi_dataverse.dataverse.write import LookUp, Write
from didomi_dataverse.errors import DataverseError, ReplyMalformedError

# dataverse.md 1.3.
_HEADERS: Final = {
    "Accept": "application/json",
    "OData-MaxVersion": "4.0",
    "OData-Version": "4.0",
    "User-Agent": f"didomi-dataverse/{__version__}",
}
# Entra answers in a second or not at all.
_TOKEN_READ_S: Final = 30.0
# What a call may take beyond connecting and waiting for its answer: fetching a token, sending and reading
# bodies.
_ALLOWANCE: Final = timedelta(seconds=20)
# Load balancers close idle connections after minutes; one closed under us would be an unknown outcome.
_KEEP_IDLE_S: Final = 30.0


class CallFailedError(DataverseError):
    """A call other than a `$batch` came to nothing. `reply` says what was answered, or that nothing was."""

    def __init__(self, message: str, reply: Answered | Unknown) -> None:
        super().__init__(message)
        self.reply = reply


@dataclass(frozen=True, slots=True, kw_only=True)
class WhoAmI:
    """Whom Dataverse takes us for (dataverse.md 7). GUIDs in lower case."""

    user_id: str
    business_unit_id: str
    organization_id: str
    parallel_hint: int | None = None


class BearerAuth(httpx.Auth):
    """Puts the token on a request, and repeats it once with a new token when it is answered 401.

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
        self._auth = BearerAuth(token)
        self._api_path = api_path.rstrip("/")
        self._clock = clock
        self._new_guid = new_guid
        self.longest_call = longest_call
        """No call takes longer, its token included: then it is given up and its outcome is unknown."""

    async def send(self, requests: Sequence[Write | LookUp]) -> Exchange:
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
        began_s = self._clock.monotonic()
        answer = await self._call("POST", "$batch", headers=headers, content=body)
        duration = timedelta(seconds=self._clock.monotonic() - began_s)
        if isinstance(answer, Unknown):
            return Exchange(replies=(answer,) * len(requests), duration=duration)
        return Exchange(
            replies=self._replies(answer, requests),
            duration=duration,
            parallel_hint=_parallel_hint(answer.headers),
        )

    async def who_am_i(self) -> WhoAmI:
        """Asks Dataverse who we are: the cheapest proof that address, token and application user are right.

        CallFailedError when the answer is a refusal or does not come, ReplyMalformedError when it is not an
        answer of the Web API; TokenRefusedError and TokenUnavailableError as in `send`.
        """
        # dataverse.md 1.3: the literal word "null" keeps caches out of plain reads.
        answer = await self._call("GET", "WhoAmI", headers={"If-None-Match": "null"})
        if isinstance(answer, Unknown):
            raise CallFailedError(f"WhoAmI was not answered ({answer.cause}).", answer)
        if answer.status_code != 200:
            refusal = self._whole_call(answer)
            raise CallFailedError(
                f"WhoAmI was answered {refusal.status} {refusal.code}".strip() + ".", refusal
            )
        try:
            document = json.loads(answer.content)
            guids = [normal_guid(document[name]) for name in ("UserId", "BusinessUnitId", "OrganizationId")]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            guids = []
        match guids:
            case [str() as user_id, str() as business_unit_id, str() as organization_id]:
                return WhoAmI(
                    user_id=user_id,
                    business_unit_id=business_unit_id,
                    organization_id=organization_id,
                    parallel_hint=_parallel_hint(answer.headers),
                )
            case _:
                pass
        raise ReplyMalformedError(
            "WhoAmI was answered by something else than Dataverse. Check `dataverse.url`."
        )

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
            return Unknown("deadline")
        except httpx.RequestError as failure:
            return unknown_after(failure)

    def _replies(self, answer: httpx.Response, requests: Sequence[Write | LookUp]) -> tuple[Reply, ...]:
        content_type = answer.headers.get("Content-Type", "")
        if not is_multipart(content_type):
            return (self._whole_call(answer),) * len(requests)
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
            return (Unknown("malformed"),) * len(requests)

    def _whole_call(self, answer: httpx.Response) -> Answered:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        now = self._clock.now()
        return read_answer(answer.status_code, headers, answer.content, now=now, whole_call=True)


def unknown_after(failure: httpx.RequestError) -> Unknown:
    """What is known after a failed call: its cause, and whether anything can have reached the server.

    The causes: `connect_timeout`, `connect_failed`, `tls_failed`, `proxy_failed`, `pool_timeout` (nothing
    left us), `write_failed`, `read_timeout`, `cut`, `garbled`; besides `deadline` and `malformed`, from
    elsewhere.
    """
    match failure:
        case httpx.ConnectTimeout():
            return Unknown("connect_timeout", sent=False)
        case httpx.ConnectError():
            return Unknown("tls_failed" if _is_tls(failure) else "connect_failed", sent=False)
        case httpx.ProxyError():
            # Everything goes over https, so a proxy is only ever asked for a tunnel.
            return Unknown("proxy_failed", sent=False)
        case httpx.PoolTimeout():
            return Unknown("pool_timeout", sent=False)
        case httpx.WriteTimeout() | httpx.WriteError():
            return Unknown("write_failed")
        case httpx.ReadTimeout():
            return Unknown("read_timeout")
        case httpx.DecodingError():
            return Unknown("garbled")
        case _:
            return Unknown("cut")


def _is_tls(failure: BaseException | None) -> bool:
    while failure is not None:
        if isinstance(failure, ssl.SSLError):
            return True
        failure = failure.__cause__ or failure.__context__
    return False


def _parallel_hint(headers: httpx.Headers) -> int | None:
    # dataverse.md 4.1. Nonsense is as good as nothing.
    text = headers.get("x-ms-dop-hint", "").strip()
    return int(text) if len(text) < 6 and text.isascii() and text.isdecimal() and int(text) > 0 else None


def open_client(
    *,
    url: str,
    tenant_id: str,
    client_id: str,
    client_secret: str,
    authority: str | None,
    api_path: str,
    ca_bundle: Path | None,
    connect_timeout: timedelta,
    read_timeout: timedelta,
    max_parallel: int,
    clock: Clock,
) -> DataverseClient:
    """A client that has not spoken to anybody yet. Close it with `aclose`.

    `url` is the environment's (`https://acme.crm4.dynamics.com`). `authority` as in `token.open_application`.
    `ca_bundle` is a file of certificates that replaces the trusted ones, which else are those of
    `SSL_CERT_FILE` or the ones that come with Python's certifi. `read_timeout` is the longest silence while
    waiting for an answer: below 120 s, long batches are given up that the server still carries out
    (dataverse.md 3.5). `max_parallel` is the number of connections. Proxies are those of the environment
    (`HTTPS_PROXY`, `NO_PROXY`). Certificates and proxies hold for Microsoft Entra and Dataverse alike.
    OSError when the bundle cannot be read.
    """
    base = url.rstrip("/")
    connect_s, read_s = connect_timeout.total_seconds(), read_timeout.total_seconds()
    trusted = (
        httpx.create_ssl_context() if ca_bundle is None else ssl.create_default_context(cafile=str(ca_bundle))
    )
    http = httpx.AsyncClient(
        base_url=base,
        headers=_HEADERS,
        verify=trusted,
        # dataverse.md 4.1: an affinity cookie would tie all calls to one of the environment's servers, and so
        # to that server's limits. A jar that accepts cookies from nobody.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=httpx.Timeout(connect=connect_s, read=read_s, write=read_s, pool=read_s),
        limits=httpx.Limits(
            max_connections=max_parallel,
            max_keepalive_connections=max_parallel,
            keepalive_expiry=_KEEP_IDLE_S,
        ),
        # A redirect means a wrong address; following it would carry the token to another host.
        follow_redirects=False,
        http2=False,
    )
    # MSAL blocks, so it has connections of its own; certificates and proxies are the same.
    token_http = httpx.Client(
        verify=trusted, timeout=httpx.Timeout(min(read_s, _TOKEN_READ_S), connect=connect_s)
    )
    application = partial(
        open_application,
        tenant_id=tenant_id,
        client_id=client_id,
        credential=ClientSecret(client_secret),
        authority=authority,
        http=token_http,
    )
    # dataverse.md 10: the scope is the environment's URL without a slash at its end.
    token = TokenCache(application, scope=f"{base}/.default", clock=clock, http=token_http)
    return DataverseClient(
        http,
        token,
        api_path=api_path,
        clock=clock,
        longest_call=connect_timeout + read_timeout + _ALLOWANCE,
    )
