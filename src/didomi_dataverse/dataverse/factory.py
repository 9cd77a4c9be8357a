"""Creates the client of an environment: connections, certificates, token."""

import ssl
from datetime import timedelta
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Final

import httpx

from didomi_dataverse import __version__
from didomi_dataverse.clock import Clock
from didomi_dataverse.dataverse.auth.credentials import (
    Application,
    Credential,
    ManagedIdentity,
    managed_identity_http,
    open_application,
)
from didomi_dataverse.dataverse.auth.token_cache import TokenCache, authority_url
from didomi_dataverse.dataverse.client import DataverseClient

# dataverse.md 1.3: every call has these.
_HEADERS: Final = {
    "Accept": "application/json",
    "OData-MaxVersion": "4.0",
    "OData-Version": "4.0",
    "User-Agent": f"didomi-dataverse/{__version__}",
}
_TOKEN_READ_S: Final = 30.0
"""The longest silence of Microsoft Entra, in seconds: it answers in a second or not at all. Too small: a slow
answer is missed. Too large: calls wait for a token that does not come."""

_ALLOWANCE: Final = timedelta(seconds=20)
"""What a call may take beyond connecting and waiting for its answer: fetching a token, sending and reading
bodies. Too small: calls are given up whose answer arrives. Too large: leases are longer."""

_KEEP_IDLE_S: Final = 30.0
"""How long an idle connection is kept, in seconds. Too small: more handshakes. Too large: load balancers
close it first, after minutes, and the outcome of a call that was just sent is unknown."""


def create_client(
    *,
    url: str,
    tenant_id: str,
    client_id: str,
    credential: Credential,
    authority: str | None,
    api_path: str,
    ca_bundle: Path | None,
    connect_timeout: timedelta,
    read_timeout: timedelta,
    max_parallel: int,
    clock: Clock,
) -> DataverseClient:
    """A client that has made no call yet. Close it with `aclose`.

    `url` is the environment's (`https://acme.crm4.dynamics.com`). `authority` as in
    `token_cache.authority_url`. `ca_bundle` is a file of certificates that replaces the trusted ones; without
    it they are those of `SSL_CERT_FILE`, or the ones that come with Python's certifi. `read_timeout` is the
    longest silence while waiting for an answer: below 120 s, long batches are given up that the server still
    carries out (dataverse.md 3.5). `max_parallel` is the number of connections. Proxies are those of the
    environment variables (`HTTPS_PROXY`, `NO_PROXY`). Certificates and proxies apply to Microsoft Entra and
    Dataverse alike.

    Raises OSError when the bundle cannot be read.
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
        # Reject all cookies. dataverse.md 4.1: an affinity cookie would tie all calls to one of the
        # environment's servers, and so to that server's limits.
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
    token_timeout = httpx.Timeout(min(read_s, _TOKEN_READ_S), connect=connect_s)
    token_http = (
        managed_identity_http(timeout=token_timeout)
        if isinstance(credential, ManagedIdentity)
        else httpx.Client(verify=trusted, timeout=token_timeout)
    )
    application = partial(
        _open_application,
        tenant_id=tenant_id,
        client_id=client_id,
        credential=credential,
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


def _open_application(
    *, tenant_id: str, client_id: str, credential: Credential, authority: str | None, http: httpx.Client
) -> Application:
    url = authority_url(authority, tenant_id)
    return open_application(client_id=client_id, credential=credential, authority=url, http=http)
