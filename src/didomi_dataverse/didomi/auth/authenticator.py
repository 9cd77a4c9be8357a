"""Who may call. Every configured method is accepted, and addresses are checked in addition
(config.example.yaml, `didomi.auth`).

No I/O here: a token of the identity provider is verified by a function that is handed in.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from didomi_dataverse.didomi.auth.access_tokens import AccessTokenIssuer
from didomi_dataverse.didomi.auth.credentials import StaticHeader, parse_bearer_token
from didomi_dataverse.didomi.auth.ip_allowlist import IpAddress, IpAllowlist
from didomi_dataverse.errors import AddressRefusedError, CredentialsError

MAX_REMEMBERED_TOKENS = 1_000
"""Too small: every token of a busy service is verified again. Too large: memory that callers can fill."""

MAX_REMEMBERED_FOR = timedelta(minutes=5)
"""Too small: verifying costs a good part of a notification's time. Too large: a key that the identity
provider withdraws stays good for that long.
"""

GetHeader = Callable[[str], Sequence[str]]
"""All values of a request header by its name, in any case; empty when the request has none."""

VerifyToken = Callable[[str, datetime], Awaitable[datetime]]
"""Returns until when a token is good. Raises CredentialsError or KeysUnavailableError."""


class AuthMethod(StrEnum):
    """How a caller was authenticated. The value is the configuration's word; it is stored and shown."""

    OAUTH = "oauth"  # an access token that this service issued
    JWT = "jwt"  # a token of the customer's identity provider
    HEADER = "header"
    ANONYMOUS = "anonymous"


@dataclass(slots=True)
class _VerifiedTokens:
    """Tokens that were verified a short time ago, as hashes.

    Didomi sends one token with every notification, and verifying it takes a good part of a notification's
    time.
    """

    _methods: dict[bytes, tuple[AuthMethod, datetime]] = field(default_factory=dict, repr=False)

    def find_method(self, token: str, now: datetime) -> AuthMethod | None:
        known = self._methods.get(_hash(token))
        return known[0] if known is not None and now < known[1] else None

    def remember(self, token: str, method: AuthMethod, *, good_until: datetime, now: datetime) -> None:
        if len(self._methods) >= MAX_REMEMBERED_TOKENS:
            self._methods.clear()
        self._methods[_hash(token)] = (method, min(good_until, now + MAX_REMEMBERED_FOR))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAuthenticator:
    """Authenticates callers by the configured methods. A method that is None is not configured."""

    access_tokens: AccessTokenIssuer | None = None
    """Issues and verifies our own tokens (`didomi.auth.oauth`)."""
    verify_jwt: VerifyToken | None = None
    """Verifies tokens of the customer's identity provider (`didomi.auth.jwt`)."""
    static_header: StaticHeader | None = None
    """A fixed secret in a header (`didomi.auth.header`)."""
    ip_allowlist: IpAllowlist = field(default_factory=IpAllowlist)
    """Checked in addition to the methods."""
    allow_anonymous: bool = False
    """Whether a caller without credentials is accepted."""
    _verified_tokens: _VerifiedTokens = field(default_factory=_VerifiedTokens, init=False)

    def check_address(self, *, peer: str | None, get_header: GetHeader) -> IpAddress | None:
        """The caller's address; None when it cannot be determined, but every address may call.

        Raises AddressRefusedError when it is not on the list.
        """
        client = self.ip_allowlist.find_client(peer, get_header("x-forwarded-for"))
        if not self.ip_allowlist.is_allowed(client):
            raise AddressRefusedError(
                "The caller's address is not on didomi.auth.allowed_addresses; "
                "behind a proxy, set didomi.auth.trusted_proxies."
            )
        return client

    async def authenticate(self, *, get_header: GetHeader, now: datetime) -> AuthMethod:
        """The method that authenticates the caller.

        Raises CredentialsError when no method does, KeysUnavailableError when that cannot be decided now.
        """
        if self.static_header is not None and self.static_header.accepts(get_header(self.static_header.name)):
            return AuthMethod.HEADER
        if self.allow_anonymous:
            return AuthMethod.ANONYMOUS
        token = parse_bearer_token(get_header("authorization"))
        if token is None:
            raise CredentialsError("No credentials.")
        method = self._verified_tokens.find_method(token, now)
        if method is None:
            method, good_until = await self._verify(token, now)
            self._verified_tokens.remember(token, method, good_until=good_until, now=now)
        return method

    async def _verify(self, token: str, now: datetime) -> tuple[AuthMethod, datetime]:
        """Which of the configured methods accepts the token, and until when."""
        if self.access_tokens is not None:
            try:
                return AuthMethod.OAUTH, self.access_tokens.verify(token, now)
            except CredentialsError:
                if self.verify_jwt is None:
                    raise
        if self.verify_jwt is None:
            raise CredentialsError("Tokens are not accepted here.")
        return AuthMethod.JWT, await self.verify_jwt(token, now)
