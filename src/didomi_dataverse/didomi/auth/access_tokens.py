"""Access tokens that this service issues itself: signed, not stored.

Every replica accepts them, and a restart loses none. The signing key is derived from the client secret. A
token therefore expires with the secret it was issued for, and no key has to be configured, stored or shared
(didomi.md 1.8).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import jwt
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from didomi_dataverse.didomi.auth.credentials import is_one_of
from didomi_dataverse.didomi.auth.token_claims import DEFAULT_LEEWAY, decode_token, verify_times
from didomi_dataverse.errors import CredentialsError

ISSUER = "didomi-dataverse"
AUDIENCE = "didomi-dataverse/webhooks/didomi"
ALGORITHM = "HS256"
DEFAULT_LIFETIME = timedelta(hours=24)
"""How long a token is good. Too small: Didomi, which may not notice the expiry, loses notifications after
five minutes (didomi.md 1.8). Too large: a stolen token stays good until the secret changes.
"""


@dataclass(frozen=True, slots=True)
class AccessTokenIssuer:
    """Issues and verifies the tokens of one client."""

    client_id: str
    secrets: tuple[bytes, ...] = field(repr=False)
    """The client's accepted secrets: two while it changes from one to the other."""
    keys: tuple[bytes, ...] = field(repr=False)
    """The signing key of each secret, in the order of `secrets`."""
    lifetime: timedelta
    """How long a token is good."""
    leeway: timedelta
    """How long it is accepted beyond that, for clocks that disagree."""

    def find_signing_key(self, client_id: bytes, secret: bytes) -> bytes | None:
        """The signing key for these credentials; None when they are wrong. Constant time in both."""
        is_known = is_one_of(client_id, (self.client_id.encode(),))
        found: bytes | None = None
        for accepted, key in zip(self.secrets, self.keys, strict=True):
            if is_one_of(secret, (accepted,)) and is_known:
                found = key
        return found

    def issue(self, key: bytes, now: datetime) -> str:
        """A token signed with `key`, good from `now` for `lifetime`."""
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": self.client_id,
            "iat": int(now.timestamp()),
            "exp": int((now + self.lifetime).timestamp()),
        }
        return jwt.encode(claims, key, algorithm=ALGORITHM)

    def verify(self, token: str, now: datetime) -> datetime:
        """Until when the token is good, aware UTC.

        Raises CredentialsError unless this service issued it, for this client, and it is good at `now`.
        """
        for key in self.keys:
            try:
                claims = decode_token(token, key, algorithms=(ALGORITHM,), audience=AUDIENCE, issuer=ISSUER)
            except jwt.InvalidSignatureError:
                continue
            except jwt.InvalidTokenError:
                raise CredentialsError("The token is not one that this service issued.") from None
            if claims.get("sub") != self.client_id:
                raise CredentialsError("The token was issued to another client.")
            return verify_times(claims, now=now, leeway=self.leeway)
        raise CredentialsError("The token is not one that this service issued, or its secret is retired.")


def create_issuer(
    *,
    client_id: str,
    client_secrets: Iterable[str],
    lifetime: timedelta = DEFAULT_LIFETIME,
    leeway: timedelta = DEFAULT_LEEWAY,
) -> AccessTokenIssuer:
    """An issuer for a client with one secret, or two while it changes from one to the other."""
    secrets = tuple(secret.encode() for secret in client_secrets)
    keys = tuple(_derive_key(secret, client_id) for secret in secrets)
    return AccessTokenIssuer(client_id, secrets, keys, lifetime, leeway)


def _derive_key(secret: bytes, client_id: str) -> bytes:
    """A key that does not lead back to the secret, and serves this purpose and client only."""
    purpose = b"didomi-dataverse access token 1\x00" + client_id.encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(secret)
