"""Our own access tokens: signed, not stored; every replica accepts them, and a restart loses none.

The signing key is derived from the client secret. A token therefore dies with the secret it was issued for,
and nothing else has to be configured, stored or shared (didomi.md 1.8).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from didomi_dataverse.didomi.auth.credentials import is_one_of
from didomi_dataverse.errors import CredentialsError

ISSUER = "didomi-dataverse"
AUDIENCE = "didomi-dataverse/webhooks/didomi"
ALGORITHM = "HS256"
DEFAULT_LIFETIME = timedelta(hours=24)
# An expiry that Didomi does not notice costs notifications after five minutes (didomi.md 1.8).
_MAX_AHEAD_SECONDS = 86_400
_MAX_MOMENT = 1e15  # far beyond any calendar, and neither infinite nor too large for arithmetic
DEFAULT_LEEWAY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class AccessTokenIssuer:
    """Issues and checks the tokens of one client. `keys` belong to the client's secrets, in their order."""

    client_id: str
    secrets: tuple[bytes, ...] = field(repr=False)
    keys: tuple[bytes, ...] = field(repr=False)
    lifetime: timedelta
    leeway: timedelta

    def key_for(self, client_id: bytes, secret: bytes) -> bytes | None:
        """The signing key that these credentials earn, or None. Constant time in both."""
        is_known = is_one_of(client_id, (self.client_id.encode(),))
        earned: bytes | None = None
        for accepted, key in zip(self.secrets, self.keys, strict=True):
            if is_one_of(secret, (accepted,)) and is_known:
                earned = key
        return earned

    def issue(self, key: bytes, now: datetime) -> str:
        """A token for the holder of a secret, good from `now` for `lifetime`."""
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": self.client_id,
            "iat": int(now.timestamp()),
            "exp": int((now + self.lifetime).timestamp()),
        }
        return jwt.encode(claims, key, algorithm=ALGORITHM)

    def check(self, token: str, now: datetime) -> datetime:
        """Until when the token is good.

        Raises CredentialsError unless it is ours, for this client, and good at `now`.
        """
        for key in self.keys:
            try:
                claims = decoded(token, key, algorithms=(ALGORITHM,), audience=AUDIENCE, issuer=ISSUER)
            except jwt.InvalidSignatureError:
                continue
            except jwt.InvalidTokenError:
                raise CredentialsError("The token is not one that this service issued.") from None
            if claims.get("sub") != self.client_id:
                raise CredentialsError("The token was issued to another client.")
            return check_times(claims, now=now, leeway=self.leeway)
        raise CredentialsError("The token is not one that this service issued, or its secret is retired.")


def create_issuer(
    *,
    client_id: str,
    client_secrets: Iterable[str],
    lifetime: timedelta = DEFAULT_LIFETIME,
    leeway: timedelta = DEFAULT_LEEWAY,
) -> AccessTokenIssuer:
    """Tokens for a client with one secret, or two while it changes from one to the other."""
    secrets = tuple(secret.encode() for secret in client_secrets)
    keys = tuple(_derived(secret, client_id) for secret in secrets)
    return AccessTokenIssuer(client_id, secrets, keys, lifetime, leeway)


def _derived(secret: bytes, client_id: str) -> bytes:
    """A key that does not lead back to the secret, and serves this purpose and client only."""
    purpose = b"didomi-dataverse access token 1\x00" + client_id.encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(secret)


def decoded(
    token: str,
    key: Any,  # noqa: ANN401 - what the library takes: bytes or one of its own keys
    *,
    algorithms: tuple[str, ...],
    audience: str,
    issuer: str,
) -> dict[str, Any]:
    """The claims of a token whose signature, issuer and audience are right; `check_times` sees to its times.

    Raises jwt.InvalidTokenError.
    """
    try:
        return jwt.decode(
            token,
            key,
            algorithms=list(algorithms),
            audience=audience,
            issuer=issuer,
            # The library would compare the times with the machine's clock; here, now is an argument.
            options={
                "require": ["exp", "iss", "aud"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
    except RecursionError:
        # Anybody can send a token that is nested deeper than Python can read; old versions let this through.
        raise jwt.DecodeError("nested too deep") from None


def check_times(claims: dict[str, Any], *, now: datetime, leeway: timedelta) -> datetime:
    """Until when the claims hold. Raises CredentialsError unless they do at `now`, give or take `leeway`."""
    moment = now.timestamp()
    margin = leeway.total_seconds()
    expires_at, not_before = _moment(claims.get("exp")), _moment(claims.get("nbf", 0))
    if moment >= expires_at + margin:
        raise CredentialsError("The token has expired.")
    if moment < not_before - margin:
        raise CredentialsError("The token is not valid yet.")
    # No further than a day ahead: a token may claim an end that no calendar holds.
    return now + timedelta(seconds=min(expires_at + margin - moment, _MAX_AHEAD_SECONDS))


def _moment(claim: object) -> float:
    """A NumericDate of RFC 7519, 2: seconds since 1970."""
    if isinstance(claim, bool) or not isinstance(claim, int | float) or not abs(claim) < _MAX_MOMENT:
        raise CredentialsError("The token's times cannot be read.")
    return float(claim)
