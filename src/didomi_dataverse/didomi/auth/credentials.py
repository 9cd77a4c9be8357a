"""Comparing secrets, and reading credentials from a request's headers (didomi.md 1.8, 1.9)."""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from didomi_dataverse.errors import CredentialsError

MAX_CREDENTIAL_CHARACTERS = 8_192
"""Of a secret or token. Too small refuses tokens with many claims; too large lets a caller make us hash
megabytes before it is known.
"""


def is_one_of(presented: bytes, accepted: Iterable[bytes]) -> bool:
    """Whether it is one of the accepted secrets, in constant time.

    The time depends neither on where the secrets differ nor on which of them matches nor on their lengths.

    >>> is_one_of(b"new", [b"old", b"new"]), is_one_of(b"ne", [b"old", b"new"])
    (True, False)
    """
    matches = False
    digest = hashlib.sha256(presented).digest()
    for secret in accepted:
        matches |= hmac.compare_digest(digest, hashlib.sha256(secret).digest())
    return matches


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticHeader:
    """A fixed secret in a request header."""

    name: str
    """The header's name, in any case."""
    values: tuple[str, ...] = field(repr=False)
    """The accepted secrets: two while the customer changes from one to the other."""

    def accepts(self, presented: Sequence[str]) -> bool:
        """Whether these values of the header authenticate the caller. A repeated header never does."""
        if len(presented) != 1 or len(presented[0]) > MAX_CREDENTIAL_CHARACTERS:
            return False
        # Servers decode headers as Latin-1, whatever their bytes mean.
        return is_one_of(presented[0].encode("latin-1", "replace"), (value.encode() for value in self.values))


def parse_bearer_token(authorization: Sequence[str]) -> str | None:
    """The token of the Authorization header; None when there is no such header (RFC 6750, 2.1).

    Raises CredentialsError when there is something else: another scheme, two headers, a token too long or
    with characters that no token has.

    >>> parse_bearer_token(["Bearer abc.def"])
    'abc.def'
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
