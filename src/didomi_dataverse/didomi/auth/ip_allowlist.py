"""Which network addresses may call, and which proxies are believed (didomi.md 1.9)."""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class IpAllowlist:
    """Who may call, by address."""

    allowed: tuple[IpNetwork, ...] = ()
    """The networks that may call. Empty allows every address."""
    trusted_proxies: tuple[IpNetwork, ...] = ()
    """The proxies whose X-Forwarded-For is believed. They tell callers apart even when all may call."""

    def find_client(self, peer: str | None, forwarded_for: Sequence[str]) -> IpAddress | None:
        """The caller's address; None when it cannot be determined.

        `peer` is the other end of the connection, `forwarded_for` the values of X-Forwarded-For. They count
        only when the peer is a trusted proxy, and then from the right: what stands further left may have
        been written by the caller.
        """
        address = parse_address(peer) if peer else None
        if address is None or not _is_in(address, self.trusted_proxies):
            return address
        hops = [hop.strip() for value in forwarded_for for hop in value.split(",") if hop.strip()]
        for hop in reversed(hops):
            address = parse_address(hop)
            if address is None or not _is_in(address, self.trusted_proxies):
                return address
        return address

    def is_allowed(self, client: IpAddress | None) -> bool:
        """Whether this address may call. An unknown address may only when every address may."""
        if not self.allowed:
            return True
        return client is not None and _is_in(client, self.allowed)


@lru_cache(maxsize=256)  # nearly all requests come from the same few addresses
def parse_address(written: str) -> IpAddress | None:
    """An IP address as proxies write it: with a port, in brackets, or IPv4 spelt as IPv6. Else None.

    >>> str(parse_address("[2001:db8::1]:4711")), str(parse_address("::ffff:192.0.2.1"))
    ('2001:db8::1', '192.0.2.1')
    >>> parse_address("unknown")
    """
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


def _is_in(address: IpAddress, networks: Iterable[IpNetwork]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
