"""May this caller call? What the request's address and headers alone decide (didomi.md 1.8, 1.9)."""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from didomi_dataverse.errors import CredentialsError

MAX_CREDENTIAL_CHARACTERS = 8_192


def is_one_of(presented: bytes, accepted: Iterable[bytes]) -> bool:
    """Whether it is one of the accepted secrets, in a time that depends neither on where they differ nor on
    which of them it is, nor on their lengths.
    """
    found = False
    digest = hashlib.sha256(presented).digest()
    for secret in accepted:
        found |= hmac.compare_digest(digest, hashlib.sha256(secret).digest())
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticHeader:
    """A fixed secret in a request header. Two values are accepted while the customer changes it."""

    name: str
    values: tuple[str, ...] = field(repr=False)

    def accepts(self, presented: Sequence[str]) -> bool:
        """Whether the header's values of a request prove the caller. A repeated header proves nothing."""
        if len(presented) != 1 or len(presented[0]) > MAX_CREDENTIAL_CHARACTERS:
            return False
        # Servers hand headers over as Latin-1, whatever the bytes meant.
        return is_one_of(presented[0].encode("latin-1", "replace"), (value.encode() for value in self.values))


def bearer_token(authorization: Sequence[str]) -> str | None:
    """The token of an Authorization header; None when there is none (RFC 6750, 2.1).

    Raises CredentialsError when there is something else: another scheme, two headers, a token too long or
    with characters that no token has.
    """
    if not authorization:
        return None
    if len(authorization) > 1:
        raise CredentialsError("More than one Authorization header.")
    scheme, _, token = authorization[0].strip().partition(" ")
    if scheme.lower() != "bearer":
        raise CredentialsError("The Authorization header's scheme is not Bearer.")
    token = token.strip()
    if len(token) > MAX_CREDENTIAL_CHARACTERS:
        raise CredentialsError(f"The token is longer than {MAX_CREDENTIAL_CHARACTERS} characters.")
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise CredentialsError("The Authorization header holds no token.")
    return token
