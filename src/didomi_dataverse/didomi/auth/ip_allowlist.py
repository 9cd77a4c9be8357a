"""Which network addresses may call, and which proxies are believed (didomi.md 1.9)."""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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
