"""Who may call: every configured way is accepted, and addresses are checked in addition (config.example.yaml,
`didomi.auth`).
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from starlette.datastructures import Headers
from starlette.requests import Request

from didomi_dataverse.didomi.auth.access_tokens import AccessTokenIssuer
from didomi_dataverse.didomi.auth.credentials import StaticHeader, bearer_token
from didomi_dataverse.didomi.auth.ip_allowlist import Address, AddressList
from didomi_dataverse.didomi.auth.jwks import JwksVerifier
from didomi_dataverse.errors import AddressRefusedError, CredentialsError

MAX_KNOWN_TOKENS = 1_000
MAX_KNOWN_FOR = timedelta(minutes=5)  # a key that the identity provider withdraws stays good no longer


class AuthMethod(StrEnum):
    """How a caller proved who it is. Stored with every notification."""

    OWN_TOKEN = "oauth"  # noqa: S105 - a name
    CUSTOMER_TOKEN = "jwt"  # noqa: S105 - a name
    HEADER = "header"
    ANONYMOUS = "anonymous"


@dataclass(slots=True)
class _KnownTokens:
    """Tokens that were found good a moment ago, as hashes, for a few minutes at most.

    Didomi sends one token with every notification, and checking it takes a good part of a notification's
    time.
    """

    _known: dict[bytes, tuple[AuthMethod, datetime]] = field(default_factory=dict, repr=False)

    def way_of(self, token: str, now: datetime) -> AuthMethod | None:
        known = self._known.get(_hash(token))
        return known[0] if known is not None and now < known[1] else None

    def remember(self, token: str, way: AuthMethod, *, good_until: datetime, now: datetime) -> None:
        if len(self._known) >= MAX_KNOWN_TOKENS:
            self._known.clear()
        self._known[_hash(token)] = (way, min(good_until, now + MAX_KNOWN_FOR))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAuthenticator:
    """Lets callers in. A way that is None is not configured."""

    own_tokens: AccessTokenIssuer | None = None
    customer_tokens: JwksVerifier | None = None
    header: StaticHeader | None = None
    addresses: AddressList = field(default_factory=AddressList)
    anonymous: bool = False
    _known_tokens: _KnownTokens = field(default_factory=_KnownTokens, init=False)

    def check_address(self, *, peer: str | None, headers: Headers) -> Address | None:
        """The caller's address. Raises AddressRefusedError when it is not on the list."""
        client = self.addresses.client(peer, headers.getlist("x-forwarded-for"))
        if not self.addresses.allows(client):
            raise AddressRefusedError(
                "The caller's address is not on didomi.auth.allowed_addresses; "
                "behind a proxy, set didomi.auth.trusted_proxies."
            )
        return client

    async def authenticate(self, *, headers: Headers, now: datetime) -> AuthMethod:
        """How this caller proved who it is.

        Raises CredentialsError when it did not, KeysUnavailableError when that cannot be told now.
        """
        if self.header is not None and self.header.accepts(headers.getlist(self.header.name)):
            return AuthMethod.HEADER
        if self.anonymous:
            return AuthMethod.ANONYMOUS
        token = bearer_token(headers.getlist("authorization"))
        if token is None:
            raise CredentialsError("No credentials.")
        way = self._known_tokens.way_of(token, now)
        if way is None:
            way, good_until = await self._checked(token, now)
            self._known_tokens.remember(token, way, good_until=good_until, now=now)
        return way

    async def _checked(self, token: str, now: datetime) -> tuple[AuthMethod, datetime]:
        """Which of the configured ways the token is good for, and until when."""
        if self.own_tokens is not None:
            try:
                return AuthMethod.OWN_TOKEN, self.own_tokens.check(token, now)
            except CredentialsError:
                if self.customer_tokens is None:
                    raise
        if self.customer_tokens is None:
            raise CredentialsError("Tokens are not accepted here.")
        return AuthMethod.CUSTOMER_TOKEN, await self.customer_tokens.check(token, now)


def peer_of(request: Request) -> str | None:
    """The other end of the connection. The server must not have replaced it by what a header says."""
    return None if request.client is None else request.client.host
