"""How often a login from one address may fail before that address has to wait."""

import ipaddress
import math
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import timedelta

from didomi_dataverse.didomi.auth.ip_allowlist import IpAddress

RateLimitKey = IpAddress | ipaddress.IPv6Network | None


@dataclass(slots=True, kw_only=True)
class LoginRateLimiter:
    """A token bucket of failures for each address. `now` is in seconds of a clock that never goes back.

    Its memory is bounded: the address whose last failure is the oldest is forgotten first.
    """

    burst: int = 10
    """Failures that an address may have before it must wait. Too small: a console with an old secret locks
    itself out at once. Too large: more guesses.
    """
    recovery: timedelta = timedelta(seconds=6)
    """The time after which one failure is forgotten: the pace of guesses in the long run."""
    max_addresses: int = 10_000
    """Addresses remembered. Too small: a caller with many addresses makes us forget its own failures."""
    # Per address: the time at which its bucket will be full again. One number is the whole state.
    _full_at: OrderedDict[RateLimitKey, float] = field(default_factory=OrderedDict)

    def wait_seconds(self, address: IpAddress | None, now: float) -> int:
        """Whole seconds until this address may try again; 0 when it may now."""
        step = self.recovery.total_seconds()
        free_at = self._full_at.get(_rate_limit_key(address), now) - (self.burst - 1) * step
        # Rounded up: a caller that comes back when told must not be refused again.
        return max(0, math.ceil(free_at - now))

    def record_failure(self, address: IpAddress | None, now: float) -> None:
        """Take one failure from the address's bucket."""
        key = _rate_limit_key(address)
        self._full_at[key] = max(self._full_at.pop(key, now), now) + self.recovery.total_seconds()
        if len(self._full_at) > self.max_addresses:
            self._full_at.popitem(last=False)


def _rate_limit_key(address: IpAddress | None) -> RateLimitKey:
    """One subscriber usually owns a whole /64, so that is what counts as one address in IPv6."""
    if isinstance(address, ipaddress.IPv6Address):
        return ipaddress.IPv6Network((address, 64), strict=False)
    return address
