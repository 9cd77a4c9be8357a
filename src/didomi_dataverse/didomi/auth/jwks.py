"""Tokens of the customer's own identity provider, checked against the keys that it publishes (RFC 7517)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

import httpx
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from didomi_dataverse.didomi.auth.access_tokens import check_times, decoded
from didomi_dataverse.errors import CredentialsError, KeysUnavailableError

# Fixed, and asymmetric only: a list that a token could choose from would let it be signed with a public key.
ALGORITHMS = ("RS256", "ES256")
LEEWAY = timedelta(minutes=5)
REFETCH_INTERVAL = timedelta(minutes=1)
RETRY_INTERVAL = timedelta(seconds=5)  # while there is no key at all, and nobody can be let in
MAX_KEY_AGE = timedelta(hours=1)
_ACCEPT = {"Accept": "application/json"}
_MAX_ANSWER_BYTES = 1_048_576
_MIN_RSA_BITS = 2_048

Fetch = Callable[[str], Awaitable[bytes]]
"""The body behind a URL. Raises KeysUnavailableError when there is none to be had."""


class JwksVerifier:
    """Checks tokens against keys that are fetched when needed and kept while the provider is down.

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
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._lock = asyncio.Lock()
        self._log = structlog.get_logger(__name__)

    async def check(self, token: str, now: datetime) -> datetime:
        """Until when the token is good.

        Raises CredentialsError unless the provider signed it for us and it is good at `now`, and
        KeysUnavailableError when no key was ever fetched and none can be fetched now.
        """
        key = await self._key_of(token)
        try:
            claims = decoded(
                token,
                key,
                algorithms=(key.algorithm_name,),
                audience=self._audience,
                issuer=self._issuer,
            )
        except jwt.InvalidTokenError:
            raise CredentialsError("The token's signature, issuer or audience is wrong.") from None
        return check_times(claims, now=now, leeway=LEEWAY)

    async def _key_of(self, token: str) -> jwt.PyJWK:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.InvalidTokenError, RecursionError):
            raise CredentialsError("The token is not a JWT.") from None
        if header.get("alg") not in ALGORITHMS:
            raise CredentialsError(f"The token is not signed with one of {', '.join(ALGORITHMS)}.")
        key_id = header.get("kid")
        found = self._known(key_id)
        # Whoever has a key does not wait for somebody else's fetch.
        if found is None or (self._is_stale() and not self._lock.locked()):
            await self._refetch()
            found = self._known(key_id)
        if found is None:
            if self._fetched_at is None:
                raise KeysUnavailableError("The identity provider's keys could not be fetched yet.")
            raise CredentialsError("The token's key is not among those that the identity provider publishes.")
        return found

    def _known(self, key_id: str | None) -> jwt.PyJWK | None:
        """The key by its id. A token without one can only mean the only key (RFC 7515, 4.1.4)."""
        if key_id is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(key_id)

    def _is_stale(self) -> bool:
        """A key that the provider has withdrawn must go, even though tokens name it."""
        return self._monotonic() - (self._fetched_at or 0.0) > MAX_KEY_AGE.total_seconds()

    async def _refetch(self) -> None:
        """Fetch, but not again within the interval: invented key ids must not become a flood."""
        async with self._lock:
            now = self._monotonic()
            interval = RETRY_INTERVAL if self._fetched_at is None else REFETCH_INTERVAL
            if self._tried_at is not None and now - self._tried_at < interval.total_seconds():
                return
            self._tried_at = now
            try:
                keys = keys_of(await self._fetch(self._jwks_url))
            except KeysUnavailableError as error:
                # The keys known so far stay good: an outage of the provider is not ours.
                self._log.warning("keys_unavailable", detail=str(error))
                return
            self._keys = keys
            self._fetched_at = now


def keys_of(answer: bytes) -> dict[str, jwt.PyJWK]:
    """The usable signing keys of a JWK set, by id. Keys that we cannot use are left out.

    Raises KeysUnavailableError when it is no key set, or holds no usable key.
    """
    try:
        found = jwt.PyJWKSet.from_json(answer.decode()).keys
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        raise KeysUnavailableError("The identity provider's answer is not a usable key set.") from None
    keys: dict[str, jwt.PyJWK] = {}
    for key in found:
        is_for_signing = key.public_key_use in (None, "sig")
        if is_for_signing and key.algorithm_name in ALGORITHMS and _is_strong(key):
            keys[key.key_id or ""] = key
    if not keys:
        raise KeysUnavailableError(f"The identity provider publishes no key for {' or '.join(ALGORITHMS)}.")
    return keys


def _is_strong(key: jwt.PyJWK) -> bool:
    """RSA from 2,048 bits (RFC 7518, 3.3); the curve of ES256 has one strength."""
    return not isinstance(key.key, RSAPublicKey) or key.key.key_size >= _MIN_RSA_BITS


def fetch_with(client: httpx.AsyncClient) -> Fetch:
    """Fetch over HTTP. The client's time-outs and trusted authorities apply; redirects are not followed."""

    async def fetch(url: str) -> bytes:
        body = bytearray()
        try:
            async with client.stream("GET", url, headers=_ACCEPT, follow_redirects=False) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise KeysUnavailableError(f"The identity provider answers {answer.status_code}.")
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > _MAX_ANSWER_BYTES:
                        raise KeysUnavailableError("The identity provider's answer is too large.")
        except httpx.HTTPError as error:
            raise KeysUnavailableError(
                f"The identity provider cannot be reached: {type(error).__name__}."
            ) from None
        return bytes(body)

    return fetch
