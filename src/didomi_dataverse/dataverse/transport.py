"""What httpx is to us: the token on its way out, and what a failed call says about its outcome."""

import ssl
from collections.abc import AsyncGenerator

import httpx

from didomi_dataverse.dataverse.auth.token_cache import TokenCache
from didomi_dataverse.dataverse.replies import Unknown


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


def hint_of(headers: httpx.Headers) -> int | None:
    """`x-ms-dop-hint` (dataverse.md 4.1). Nonsense is as good as nothing."""
    text = headers.get("x-ms-dop-hint", "").strip()
    return int(text) if len(text) < 6 and text.isascii() and text.isdecimal() and int(text) > 0 else None
