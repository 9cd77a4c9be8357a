"""One limit of the service protection: what was used of it, and how much of it there seems to be.

Dataverse counts per application user and per web server over a sliding window (dataverse.md 4.1). It does not
tell how many servers there are, nor what else uses the application user. So the capacity that a window has
for this sender is learnt from the throttles: when one comes, the capacity is what was used in the window.
Until a whole window was watched, the figure that a single server advertises is the least that is assumed,
because what the process before this one used is not known.

Calls are then spread evenly by a token bucket, which refills at just under the capacity. Amounts are calls
for one limit and seconds of run time for the other.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

SLOTS: Final = 60
"""Into how many slots a window is cut for counting. Too small: what was used leaves the window in large
steps. Too large: more to store and to add up for each call."""

TARGET_SHARE: Final = 0.97
"""The share of the capacity that is used. Too small: some of it is wasted. Too large: jitter alone meets the
limit."""

BURST_SHARE: Final = 0.03
"""The share of the capacity that may be used at once after a quiet moment. Too small: tokens are lost while a
call is prepared. Too large: a burst meets the limit."""

BURST_CALLS: Final = 4
"""How many calls may begin at once when a pause is over, and the least that the bucket holds. Too small:
tokens that become free while a call is prepared are lost. Too large: a pause ends in a storm."""

MIN_KEPT_SHARE: Final = 0.7
"""The share of the capacity that one throttle leaves at least. Too small: one odd answer nearly stops the
sender. Too large: many throttles are met before a smaller capacity is learnt."""

MIN_CAPACITY_SHARE: Final = 0.05
"""The share of what one server advertises that is the least capacity assumed. Too small: the sender may come
to a halt. Too large: it meets the limit again and again where something else uses it up."""

GROWTH: Final = (0.01, 0.25)
"""(First, maximum) growth of the capacity after a quiet window, as a share of it; doubles each time. Too
small: free capacity is found late. Too large: each probe costs throttles."""

GUESS_GROWTH: Final = 0.08
"""The first growth where the capacity is only what one server advertises. Too small: the capacity of several
servers is found late. Too large: each probe costs throttles."""

COST_WEIGHT: Final = 1 / 8
"""The weight of the newest call in the usual cost of one. Too small: the cost is learnt late. Too large: one
odd call changes the spacing of all others."""

_SHORTEST_WAIT: Final = timedelta(milliseconds=1)
"""Shorter waits are none: a timer cannot tell them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlidingWindow:
    """What is known of one limit. All amounts are calls, or all are seconds of run time."""

    length: timedelta
    """How long the window is."""

    advertised: float
    """What one web server says that it admits in a window."""

    usual_cost: float
    """What a call usually costs. It is charged when a call begins, and corrected when the call ends."""

    used: tuple[tuple[int, float], ...] = ()
    """What was used in each slot of the window, oldest first. Slots are numbered from 1970."""

    watched_since: datetime | None = None
    """When the first call was counted; None before it."""

    capacity: float | None = None
    """How much a window seems to admit for this sender; None before the first throttle, and then there is no
    limit."""

    tokens: float = 0.0
    """What may be used now, as of `refilled_at`. Negative where a call cost more than usual."""

    refilled_at: datetime | None = None
    """When `tokens` was true; in the future for a pause. None before the first throttle."""

    growth: float = GROWTH[0]
    """How much the capacity grows after the next quiet window, as a share of it."""


def start_call(window: SlidingWindow, now: datetime) -> SlidingWindow:
    """Charges the usual cost for a call that begins."""
    return _spend(replace(window, watched_since=window.watched_since or now), window.usual_cost, now)


def finish_call(window: SlidingWindow, cost: float, now: datetime) -> SlidingWindow:
    """Corrects the charge for a call that ends, and learns what a call usually costs."""
    spent = _spend(window, cost - window.usual_cost, now)
    weight = COST_WEIGHT if window.usual_cost else 1
    return replace(spent, usual_cost=window.usual_cost + (cost - window.usual_cost) * weight)


def refund_call(window: SlidingWindow, now: datetime) -> SlidingWindow:
    """Takes the charge back for a call that was not admitted."""
    return _spend(window, -window.usual_cost, now)


def usage(window: SlidingWindow, now: datetime) -> float:
    """What was used in the window that ends now. The slot that the window cuts counts in part."""
    instant = now.timestamp()
    cut = _slot(window, instant) - SLOTS
    left = 1 - instant % _slot_seconds(window) / _slot_seconds(window)
    total = sum(amount * (left if slot == cut else 1) for slot, amount in window.used if slot >= cut)
    return max(total, 0.0)


def adopt_advertised(
    window: SlidingWindow, advertised: float, length: timedelta, now: datetime
) -> SlidingWindow:
    """Takes over what a server said of its window. What was used is counted again in the slots of the new
    one.
    """
    if length == window.length:
        return replace(window, advertised=advertised)
    recounted = SlidingWindow(
        length=length,
        advertised=advertised,
        usual_cost=window.usual_cost,
        watched_since=window.watched_since,
    )
    first = (window.watched_since or now).timestamp()
    for slot, amount in window.used:
        # When within its slot it was used is not known. It is spread over the time in which there were calls.
        starts_at = max(slot * _slot_seconds(window), first)
        ends_at = min((slot + 1) * _slot_seconds(window), now.timestamp())
        slots = range(_slot(recounted, starts_at), _slot(recounted, ends_at) + 1)
        used = tuple((number, amount / len(slots)) for number in slots)
        recounted = replace(recounted, used=recounted.used + used)
    return recounted


def learn_throttle(window: SlidingWindow, now: datetime, *, again: bool = False) -> SlidingWindow:
    """Learns from a throttle: what was used in the window is its capacity.

    `again`: the throttle met another of the calls that met it together. Only that call itself can have been
    counted too much.
    """
    is_watched = window.watched_since is not None and now - window.watched_since >= window.length
    if not is_watched:
        least = window.advertised
    elif again:
        least = (window.capacity or window.advertised) - window.usual_cost
    else:
        least = (window.capacity or window.advertised) * MIN_KEPT_SHARE
    met = min(usage(window, now), window.capacity or math.inf)
    growth = GROWTH[0] if is_watched or met >= least else GUESS_GROWTH
    capacity = max(met, least, MIN_CAPACITY_SHARE * window.advertised)
    return replace(window, capacity=capacity, growth=growth)


def learn_quiet(window: SlidingWindow, now: datetime) -> SlidingWindow:
    """Learns from a window without a throttle: tries a little more, if the capacity was needed at all."""
    if window.capacity is None or usage(window, now) < 0.8 * TARGET_SHARE * window.capacity:
        return window
    if window.capacity < window.advertised:
        # Something else used the limit up. That passes, without a sign.
        return replace(window, capacity=min(window.capacity * (1 + GROWTH[1]), window.advertised))
    grown = window.capacity * (1 + window.growth)
    return replace(window, capacity=grown, growth=min(2 * window.growth, GROWTH[1]))


def pause(window: SlidingWindow, until: datetime) -> SlidingWindow:
    """Stops the refill until then: after the first few calls, all go out as evenly as before."""
    tokens = BURST_CALLS * window.usual_cost if window.tokens >= 0 else window.tokens
    return replace(window, tokens=tokens, refilled_at=until)


def wait_before_call(window: SlidingWindow, now: datetime) -> timedelta:
    """How long until one more call fits. Zero before the first throttle."""
    if window.capacity is None:
        return timedelta()
    missing = window.usual_cost - _available(window, now)
    wait = timedelta(seconds=max(missing, 0.0) / _refill_rate(window))
    used = usage(window, now)
    if used and used + window.usual_cost > window.capacity:
        # The window is full, whatever the bucket holds: look again when a slot has left it.
        wait = max(wait, window.length / SLOTS)
    return timedelta() if wait < _SHORTEST_WAIT else wait


def interval(window: SlidingWindow) -> timedelta:
    """From one call to the next. Zero before the first throttle."""
    if window.capacity is None:
        return timedelta()
    return timedelta(seconds=window.usual_cost / _refill_rate(window))


def free_share(window: SlidingWindow, now: datetime) -> float:
    """The share of the capacity that is free, 0 to 1. All of it before the first throttle."""
    if window.capacity is None:
        return 1.0
    return min(max(1 - usage(window, now) / window.capacity, 0.0), 1.0)


def _spend(window: SlidingWindow, amount: float, now: datetime) -> SlidingWindow:
    slot = _slot(window, now.timestamp())
    used = [entry for entry in window.used if entry[0] >= slot - SLOTS]
    if used and used[-1][0] >= slot:
        used[-1] = (used[-1][0], used[-1][1] + amount)
    else:
        used.append((slot, amount))
    spent = replace(window, used=tuple(used))
    if window.capacity is None:
        return spent
    # The end of a pause that still lasts stays where it is.
    refilled_at = max(now, window.refilled_at or now)
    # No debt outlasts the window that it is for.
    tokens = max(_available(window, now) - amount, -TARGET_SHARE * window.capacity)
    return replace(spent, tokens=tokens, refilled_at=refilled_at)


def _available(window: SlidingWindow, now: datetime) -> float:
    """The tokens in the bucket now."""
    elapsed = 0.0 if window.refilled_at is None else (now - window.refilled_at).total_seconds()
    most = max(BURST_SHARE * (window.capacity or 0.0), BURST_CALLS * window.usual_cost)
    return min(window.tokens + max(elapsed, 0.0) * _refill_rate(window), most)


def _refill_rate(window: SlidingWindow) -> float:
    """Tokens per second."""
    return TARGET_SHARE * (window.capacity or 0.0) / window.length.total_seconds()


def _slot_seconds(window: SlidingWindow) -> float:
    return window.length.total_seconds() / SLOTS


def _slot(window: SlidingWindow, instant: float) -> int:
    """The slot that holds an instant, given in seconds since 1970."""
    return math.floor(instant / _slot_seconds(window))
