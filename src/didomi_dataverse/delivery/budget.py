"""One limit of the service protection as far as we know it: what we used of it, and what it seems to hold.

Dataverse counts per user and per web server over a sliding window (dataverse.md 4.1). How many servers there
are and who else uses the user is not told, so what a window holds is learnt from the throttles themselves:
when one comes, what we used in the window is what it held for us.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

BUCKETS = 60
"""Into how many pieces the window is cut for counting."""
SHARE = 0.97
"""The part of what a window holds that is used: going closer meets the limit by mere jitter."""
BURST = 0.03
"""The part of a window that may go out at once after a quiet moment."""
DEEPEST_FALL = 0.7
"""What is left of the belief at most after one throttle: an odd answer must not bring us to a halt."""
GROWTH = (0.01, 0.25)
"""How much more is believed after a window without a throttle: this first, twice as much each time, at most
that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """`used` are amounts by piece of the window (pieces counted since 1970). `holds` is what a window
    seems to hold, None before the first throttle. `least` is believed in any case. `credit` is what may go
    out now, as of `credited_at`; below zero where more was used than was known beforehand.
    """

    window: timedelta
    least: float
    used: tuple[tuple[int, float], ...] = ()
    holds: float | None = None
    credit: float = 0.0
    credited_at: datetime | None = None
    growth: float = GROWTH[0]


def spend(budget: Budget, amount: float, now: datetime) -> Budget:
    """So much was used just now; less than nothing takes it back."""
    piece = _piece(budget, now)
    used = [entry for entry in budget.used if entry[0] >= piece - BUCKETS]
    if used and used[-1][0] >= piece:
        used[-1] = (used[-1][0], used[-1][1] + amount)
    else:
        used.append((piece, amount))
    spent = replace(budget, used=tuple(used))
    if budget.holds is None:
        return spent
    return replace(spent, credit=_credit(budget, now) - amount, credited_at=now)


def in_window(budget: Budget, now: datetime) -> float:
    """What was used in the window that ends now. The piece that it cuts counts for its part."""
    place = now.timestamp() / (budget.window.total_seconds() / BUCKETS)
    piece = math.floor(place)
    cut = piece - BUCKETS
    total = 0.0
    for number, amount in budget.used:
        if number > cut:
            total += amount
        elif number == cut:
            total += amount * (1 - (place - piece))
    return max(total, 0.0)


def after_throttle(budget: Budget, now: datetime) -> Budget:
    """The limit was met: what was used in the window is what it holds."""
    holds = max(in_window(budget, now), budget.least)
    if budget.holds is not None:
        # A second throttle of one burst may only correct downwards.
        holds = max(min(holds, budget.holds), budget.holds * DEEPEST_FALL, budget.least)
    return replace(budget, holds=holds, credit=0.0, credited_at=now, growth=GROWTH[0])


def after_calm(budget: Budget, now: datetime) -> Budget:
    """A window went by without a throttle: try a little more, if what is believed was needed at all."""
    if budget.holds is None or in_window(budget, now) < 0.8 * SHARE * budget.holds:
        return budget
    grown = budget.holds * (1 + budget.growth)
    return replace(budget, holds=grown, growth=min(2 * budget.growth, GROWTH[1]))


def wait(budget: Budget, now: datetime) -> timedelta:
    """How long until one more call fits; nothing where no limit was met yet."""
    if budget.holds is None:
        return timedelta()
    # One call, or some time: how much of it the call takes shows later.
    missing = 1.0 - _credit(budget, now)
    pause = timedelta(seconds=max(missing, 0.0) / _per_second(budget))
    if in_window(budget, now) >= budget.holds:
        # The window is full whatever the credit says: look again when a piece of it has left.
        pause = max(pause, budget.window / BUCKETS)
    # Not less than a timer can tell.
    return timedelta() if pause < timedelta(milliseconds=1) else pause


def room(budget: Budget, now: datetime) -> float:
    """The part of the window that is free, 0 to 1. Everything where no limit was met yet."""
    if budget.holds is None:
        return 1.0
    return min(max(1 - in_window(budget, now) / budget.holds, 0.0), 1.0)


def _cap(budget: Budget) -> float:
    # Two at least: what becomes free while one call is being made ready must not be lost.
    return max(BURST * (budget.holds or 0.0), 2.0)


def _credit(budget: Budget, now: datetime) -> float:
    waited = 0.0 if budget.credited_at is None else (now - budget.credited_at).total_seconds()
    return min(budget.credit + max(waited, 0.0) * _per_second(budget), _cap(budget))


def _per_second(budget: Budget) -> float:
    return SHARE * (budget.holds or 0.0) / budget.window.total_seconds()


def _piece(budget: Budget, now: datetime) -> int:
    return math.floor(now.timestamp() / (budget.window.total_seconds() / BUCKETS))
