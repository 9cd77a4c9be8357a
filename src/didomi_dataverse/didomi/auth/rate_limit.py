"""How often one address may fail at the token endpoint before it has to wait."""

import ipaddress
import math
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import timedelta

from didomi_dataverse.didomi.auth.ip_allowlist import Address

RateLimitKey = Address | ipaddress.IPv6Network | None


@dataclass(slots=True, kw_only=True)
class LoginRateLimiter:
    """A bucket of `burst` failures for each address that fills up again by one every `recovery`.

    Its memory is bounded: the address that failed longest ago is forgotten first. `now` is in seconds of a
    clock that never goes back.
    """

    burst: int = 10
    recovery: timedelta = timedelta(seconds=6)
    max_addresses: int = 10_000
    # Per address: the time at which its bucket will be full again. One number is the whole state.
    _full_at: OrderedDict[RateLimitKey, float] = field(default_factory=OrderedDict)

    def wait_seconds(self, address: Address | None, now: float) -> int:
        """Whole seconds until this address may try again; 0 when it may now."""
        step = self.recovery.total_seconds()
        free_at = self._full_at.get(_rate_limit_key(address), now) - (self.burst - 1) * step
        # Rounded up: a caller who comes back when told must not be refused again.
        return max(0, math.ceil(free_at - now))

    def failed(self, address: Address | None, now: float) -> None:
        """Take one from the bucket."""
        key = _rate_limit_key(address)
        self._full_at[key] = max(self._full_at.pop(key, now), now) + self.recovery.total_seconds()
        if len(self._full_at) > self.max_addresses:
            self._full_at.popitem(last=False)


def _rate_limit_key(address: Address | None) -> RateLimitKey:
    """One subscriber usually owns a whole /64, so that is what counts as one address in IPv6."""
    if isinstance(address, ipaddress.IPv6Address):
        return ipaddress.IPv6Network((address, 64), strict=False)
    return address
