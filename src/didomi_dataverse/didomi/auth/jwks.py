"""Verifies tokens of the customer's own identity provider against the keys that it publishes (RFC 7517)."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import httpx
import jwt
import structlog

from didomi_dataverse.didomi.auth.key_set import (
    Keys,
    find_key,
    is_stale,
    may_fetch,
    parse_key_set,
    read_key_id,
)
from didomi_dataverse.didomi.auth.token_claims import DEFAULT_LEEWAY, decode_token, verify_times
from didomi_dataverse.errors import CredentialsError, KeysUnavailableError

_ACCEPT = {"Accept": "application/json"}
_MAX_KEY_SET_BYTES = 1_048_576

Fetch = Callable[[str], Awaitable[bytes]]
"""Returns the body behind a URL. Raises KeysUnavailableError when it cannot be fetched."""


class JwksVerifier:
    """Verifies tokens against keys that are fetched when needed and kept while the provider is down.

    `monotonic` gives seconds of a clock that never goes back.
    """

    def __init__(
        self, *, issuer: str, audience: str, jwks_url: str, fetch: Fetch, monotonic: Callable[[], float]
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._jwks_url = jwks_url
        self._fetch = fetch
        self._monotonic = monotonic
        self._keys: Keys = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._lock = asyncio.Lock()
        self._log = structlog.get_logger(__name__)

    async def verify(self, token: str, now: datetime) -> datetime:
        """Until when the token is good, aware UTC.

        Raises CredentialsError unless the provider signed it for us and it is good at `now`, and
        KeysUnavailableError when no key was ever fetched and none can be fetched now.
        """
        key = await self._get_key(read_key_id(token))
        try:
            claims = decode_token(
                token,
                key,
                algorithms=(key.algorithm_name,),
                audience=self._audience,
                issuer=self._issuer,
            )
        except jwt.InvalidTokenError:
            raise CredentialsError("The token's signature, issuer or audience is wrong.") from None
        return verify_times(claims, now=now, leeway=DEFAULT_LEEWAY)

    async def _get_key(self, key_id: str | None) -> jwt.PyJWK:
        key = find_key(self._keys, key_id)
        # A token whose key is known does not wait for a fetch that another token has started.
        if key is None or (self._is_stale() and not self._lock.locked()):
            await self._refetch()
            key = find_key(self._keys, key_id)
        if key is None:
            if self._fetched_at is None:
                raise KeysUnavailableError("The identity provider's keys could not be fetched yet.")
            raise CredentialsError("The token's key is not among those that the identity provider publishes.")
        return key

    def _is_stale(self) -> bool:
        return is_stale(fetched_at=self._fetched_at, now=self._monotonic())

    async def _refetch(self) -> None:
        """Fetch, but not again within the interval: invented key ids must not become a flood."""
        async with self._lock:
            now = self._monotonic()
            if not may_fetch(fetched_at=self._fetched_at, tried_at=self._tried_at, now=now):
                return
            self._tried_at = now
            try:
                keys = parse_key_set(await self._fetch(self._jwks_url))
            except KeysUnavailableError as error:
                # The keys known so far stay good: an outage of the provider is not ours.
                self._log.warning("keys_unavailable", detail=str(error))
                return
            self._keys = keys
            self._fetched_at = now


def fetch_with(client: httpx.AsyncClient) -> Fetch:
    """Fetch over HTTP. The client's time-outs and trusted authorities apply; redirects are not followed."""

    async def fetch(url: str) -> bytes:
        body = bytearray()
        try:
            async with client.stream("GET", url, headers=_ACCEPT, follow_redirects=False) as response:
                if response.status_code != httpx.codes.OK:
                    raise KeysUnavailableError(f"The identity provider answers {response.status_code}.")
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _MAX_KEY_SET_BYTES:
                        raise KeysUnavailableError("The identity provider's answer is too large.")
        except httpx.HTTPError as error:
            raise KeysUnavailableError(
                f"The identity provider cannot be reached: {type(error).__name__}."
            ) from None
        return bytes(body)

    return fetch
