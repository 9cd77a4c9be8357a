"""May this caller call? What the request's address and headers alone decide (didomi.md 1.8, 1.9)."""

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from didomi_dataverse.errors import CredentialsError

MAX_CREDENTIAL_CHARACTERS = 8_192

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressList:
    """Who may call, by address, and which proxies are believed about whom they speak for.

    An empty `allowed` allows everybody; `trusted_proxies` still tell callers apart then.
    """

    allowed: tuple[Network, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()

    def client(self, peer: str | None, forwarded_for: Sequence[str]) -> Address | None:
        """The caller's address; None when it cannot be told.

        `peer` is the other end of the connection. X-Forwarded-For is only read when that is a trusted proxy,
        and then from the right: what stands further left was written by whoever wanted to.
        """
        address = parsed_address(peer) if peer else None
        if address is None or not _is_in(address, self.trusted_proxies):
            return address
        hops = [hop.strip() for value in forwarded_for for hop in value.split(",") if hop.strip()]
        for hop in reversed(hops):
            address = parsed_address(hop)
            if address is None or not _is_in(address, self.trusted_proxies):
                return address
        return address

    def allows(self, client: Address | None) -> bool:
        """Whether this address may call."""
        if not self.allowed:
            return True
        return client is not None and _is_in(client, self.allowed)


@lru_cache(maxsize=256)  # nearly all that is asked for is the same few
def parsed_address(written: str) -> Address | None:
    """An IP address as proxies write it: with a port, in brackets, or IPv4 spelt as IPv6. Else None."""
    text = written.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
