"""One limit of the service protection as far as we know it: what we used of it, and what it seems to hold.

Dataverse counts per user and per web server over a sliding window (dataverse.md 4.1). How many servers there
are and who else uses the user is not told, so what a window holds for us is learnt from the throttles: when
one comes, what we used in the window is what it held. What a single server states is the measure until a
whole window was watched, because nobody knows what a process before this one used.
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
FIRST_CALLS = 4
"""So many calls may begin at once when a pause is over."""
DEEPEST_FALL = 0.7
"""What is left of the belief at most after one throttle: an odd answer must not bring us to a halt."""
LEAST = 0.05
"""The part of what one server states that is believed in any case."""
GROWTH = (0.01, 0.25)
"""How much more is believed after a window without a throttle: this first, twice as much each time, at most
that."""
GUESS_GROWTH = 0.08
"""The first of them where what a server states was all that there was to go by."""
NEWEST_COST = 1 / 8
"""How much the cost of the newest call weighs in the usual cost of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlidingWindow:
    """`stated` is what one server says that a window holds, `holds` what it seems to hold for us, None before
    the first throttle. `used` are amounts by piece of the window (pieces counted since 1970), watched since
    `since`. `credit` is what may go out now, as of `credited_at`; below zero where a call cost more than was
    thought. `unit` is what a call usually costs: it is spent when one begins, and put right when it ends.
    """

    window: timedelta
    stated: float
    unit: float
    used: tuple[tuple[int, float], ...] = ()
    since: datetime | None = None
    holds: float | None = None
    credit: float = 0.0
    credited_at: datetime | None = None
    growth: float = GROWTH[0]


def begun(budget: SlidingWindow, now: datetime) -> SlidingWindow:
    """A call begins."""
    return _spend(replace(budget, since=budget.since or now), budget.unit, now)


def ended(budget: SlidingWindow, cost: float, now: datetime) -> SlidingWindow:
    """A call that had begun ends; now it is known what it cost."""
    spent = _spend(budget, cost - budget.unit, now)
    weight = NEWEST_COST if budget.unit else 1
    return replace(spent, unit=budget.unit + (cost - budget.unit) * weight)


def refused(budget: SlidingWindow, now: datetime) -> SlidingWindow:
    """A call that had begun was not admitted: it cost nothing."""
    return _spend(budget, -budget.unit, now)


def in_window(budget: SlidingWindow, now: datetime) -> float:
    """What was used in the window that ends now. The piece that it cuts counts for its part."""
    instant = now.timestamp()
    cut = _piece(budget, instant) - BUCKETS
    left = 1 - instant % _piece_seconds(budget) / _piece_seconds(budget)
    total = sum(amount * (left if number == cut else 1) for number, amount in budget.used if number >= cut)
    return max(total, 0.0)


def restated(budget: SlidingWindow, stated: float, window: timedelta, now: datetime) -> SlidingWindow:
    """A server said what its window holds and how long it is."""
    if window == budget.window:
        return replace(budget, stated=stated)
    recounted = SlidingWindow(window=window, stated=stated, unit=budget.unit, since=budget.since)
    first = (budget.since or now).timestamp()
    for number, amount in budget.used:
        # When in its piece it was used is not known: all the time that there were calls.
        starts_at = max(number * _piece_seconds(budget), first)
        ends_at = min((number + 1) * _piece_seconds(budget), now.timestamp())
        pieces = range(_piece(recounted, starts_at), _piece(recounted, ends_at) + 1)
        used = tuple((piece, amount / len(pieces)) for piece in pieces)
        recounted = replace(recounted, used=recounted.used + used)
    return recounted


def after_throttle(budget: SlidingWindow, now: datetime, *, again: bool = False) -> SlidingWindow:
    """The limit was met: what was used in the window is what it holds. `again`: by another call of those that
    met it together, which can only have been counted in error itself.
    """
    is_watched = budget.since is not None and now - budget.since >= budget.window
    if not is_watched:
        least = budget.stated
    elif again:
        least = (budget.holds or budget.stated) - budget.unit
    else:
        least = (budget.holds or budget.stated) * DEEPEST_FALL
    met = min(in_window(budget, now), budget.holds or math.inf)
    growth = GROWTH[0] if is_watched or met >= least else GUESS_GROWTH
    return replace(budget, holds=max(met, least, LEAST * budget.stated), growth=growth)


def paused(budget: SlidingWindow, until: datetime) -> SlidingWindow:
    """Nothing goes out until then, and nothing is saved up meanwhile: after the first few calls, all go out
    as evenly as before.
    """
    credit = FIRST_CALLS * budget.unit if budget.credit >= 0 else budget.credit
    return replace(budget, credit=credit, credited_at=until)


def after_calm(budget: SlidingWindow, now: datetime) -> SlidingWindow:
    """A window went by without a throttle: try a little more, if what is believed was needed at all."""
    if budget.holds is None or in_window(budget, now) < 0.8 * SHARE * budget.holds:
        return budget
    if budget.holds < budget.stated:
        # It was somebody else's use that was met. That passes, and nobody tells when.
        return replace(budget, holds=min(budget.holds * (1 + GROWTH[1]), budget.stated))
    grown = budget.holds * (1 + budget.growth)
    return replace(budget, holds=grown, growth=min(2 * budget.growth, GROWTH[1]))


def wait(budget: SlidingWindow, now: datetime) -> timedelta:
    """How long until one more call fits; nothing where no limit was met yet."""
    if budget.holds is None:
        return timedelta()
    missing = budget.unit - _credit(budget, now)
    pause = timedelta(seconds=max(missing, 0.0) / _per_second(budget))
    used = in_window(budget, now)
    if used and used + budget.unit > budget.holds:
        # The window is full whatever the credit says: look again when a piece of it has left.
        pause = max(pause, budget.window / BUCKETS)
    # Not less than a timer can tell.
    return timedelta() if pause < timedelta(milliseconds=1) else pause


def interval(budget: SlidingWindow) -> timedelta:
    """From one call to the next; nothing where no limit was met yet."""
    return timedelta() if budget.holds is None else timedelta(seconds=budget.unit / _per_second(budget))


def room(budget: SlidingWindow, now: datetime) -> float:
    """The part of the window that is free, 0 to 1. Everything where no limit was met yet."""
    if budget.holds is None:
        return 1.0
    return min(max(1 - in_window(budget, now) / budget.holds, 0.0), 1.0)


def _spend(budget: SlidingWindow, amount: float, now: datetime) -> SlidingWindow:
    piece = _piece(budget, now.timestamp())
    used = [entry for entry in budget.used if entry[0] >= piece - BUCKETS]
    if used and used[-1][0] >= piece:
        used[-1] = (used[-1][0], used[-1][1] + amount)
    else:
        used.append((piece, amount))
    spent = replace(budget, used=tuple(used))
    if budget.holds is None:
        return spent
    # Of a pause that still lasts, the end stays where it is.
    credited_at = max(now, budget.credited_at or now)
    # No debt outlasts the window that it is for.
    credit = max(_credit(budget, now) - amount, -SHARE * budget.holds)
    return replace(spent, credit=credit, credited_at=credited_at)


def _credit(budget: SlidingWindow, now: datetime) -> float:
    waited = 0.0 if budget.credited_at is None else (now - budget.credited_at).total_seconds()
    # Some calls at least: what becomes free while one call is being made ready must not be lost.
    most = max(BURST * (budget.holds or 0.0), FIRST_CALLS * budget.unit)
    return min(budget.credit + max(waited, 0.0) * _per_second(budget), most)


def _per_second(budget: SlidingWindow) -> float:
    return SHARE * (budget.holds or 0.0) / budget.window.total_seconds()


def _piece_seconds(budget: SlidingWindow) -> float:
    return budget.window.total_seconds() / BUCKETS


def _piece(budget: SlidingWindow, instant: float) -> int:
    return math.floor(instant / _piece_seconds(budget))
