"""The state of a rate limiter, as one frozen value: calls at the same time, rows per call, calls over time,
pauses and alerts.

Each event that the limiter learns from (a success, a throttle, a failure, an alert) makes a new state.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from didomi_dataverse.dataverse.errors.throttle import AdvertisedLimit, LimitKind
from didomi_dataverse.delivery.outcome import AlertReason
from didomi_dataverse.delivery.rate_limit import window as windows
from didomi_dataverse.delivery.rate_limit.window import SlidingWindow

FIRST_FAILURE_PAUSE: Final = timedelta(seconds=1)
"""The pause after the first failed call; doubles with each one in a row. Too small: a server in trouble gets
no rest. Too large: a short disturbance delays delivery."""

LONGEST_FAILURE_PAUSE: Final = timedelta(seconds=30)
"""The longest pause after failed calls. Too small: an outage fills the log. Too large: the end of an outage
is noticed late."""

ALERT_PAUSE: Final = timedelta(seconds=30)
"""How often a stopped sender asks, with one call, whether the cause is gone. Too small: useless calls. Too
large: delivery resumes late."""

SHORTEST_THROTTLE_PAUSE: Final = timedelta(seconds=1)
"""The shortest pause after a throttle, whatever the server asks for. Too small: the next call is throttled,
too, and may lengthen the throttle. Too large: capacity is wasted."""

SUCCESSES_PER_STEP: Final = 10
"""Successful calls in a row after which one more call may run at the same time. Too small: a storm after a
restart. Too large: the sender is slow for long."""

TARGET_CALL_DURATION: Final = timedelta(seconds=4)
"""How long a call may take. Rows per call stop growing above it, and halve above twice as much. Too small:
many small calls. Too large: calls repeat more when they break, and come close to the time limits of plug-ins
(dataverse.md 3.5)."""

PROBE_AFTER: Final = (20, 1_280)
"""(Initial, maximum) successful calls required before probing above the last known limit of calls at once;
doubles after each throttle for concurrency. Too small: each probe costs throttles. Too large: a limit that
was met through other users of the server stays too low for long."""

CLAIM_OVERHEAD: Final = timedelta(seconds=0.1)
"""What claiming and settling take on top of a call. Too small: a slot is idle between two calls. Too large:
more contacts are held than can be sent."""

MAX_HELD: Final = timedelta(seconds=2)
"""How long contacts may be held that are sent one by one. Too small: a claim for every few calls. Too large:
a withdrawal that arrives meanwhile waits behind them."""

QUIET_CALLS: Final = 250
"""Calls without a throttle after which more is tried. Too small: throttles found by trying are a large share
of the calls. Too large: free capacity is found late."""

WINDOW: Final = timedelta(seconds=300)
"""The length of the windows, until a throttle states another (dataverse.md 4.1)."""

CALLS_PER_WINDOW: Final = 6_000
"""Calls that one web server admits in a window, until a throttle states another figure (dataverse.md 4.1)."""

SECONDS_PER_WINDOW: Final = 1_200
"""Seconds of run time that one web server admits in a window, until a throttle states another figure
(dataverse.md 4.1)."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Why the sender is stopped."""

    reason: AlertReason
    """The kind of cause."""

    advice: str
    """What a person must do, in whole sentences, without data."""

    since: datetime
    """When it stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitState:
    """How fast one application user may go."""

    max_parallel: int
    """The operator's bound of calls at once."""

    max_rows: int
    """The operator's bound of rows per call."""

    parallel: int
    """Calls that may run at the same time now."""

    parallel_ceiling: int
    """The most calls at once that were not too many so far."""

    rows: int
    """Contacts per call now."""

    rows_threshold: int
    """Below it the rows per call double, above it they grow one by one: a larger call was too large once."""

    calls: SlidingWindow
    """The limit on calls over time."""

    seconds: SlidingWindow
    """The limit on seconds of run time over time."""

    probe_after: int = PROBE_AFTER[0]
    """Successful calls required before one more call at once than the ceiling is tried."""

    successes: int = 0
    """Successful calls in a row since the last step."""

    failures: int = 0
    """Failed calls in a row."""

    quiet_calls: int = 0
    """Calls since the last throttle."""

    quiet_since: datetime | None = None
    """When the last throttle, or the first call, was; None before it."""

    paused_until: datetime | None = None
    """No call begins before then; None if there was no pause yet."""

    alert: Alert | None = None
    """Why the sender is stopped; None while it is not."""

    @classmethod
    def initial(cls, *, max_parallel: int, max_rows: int) -> "RateLimitState":
        """The state at start: half the calls at once, so that a fleet of replicas that restarts is no
        storm.
        """
        return cls(
            max_parallel=max_parallel,
            max_rows=max_rows,
            parallel=max(1, max_parallel // 2),
            parallel_ceiling=max_parallel,
            rows=max_rows,
            rows_threshold=max_rows,
            calls=SlidingWindow(length=WINDOW, advertised=CALLS_PER_WINDOW, usual_cost=1.0),
            seconds=SlidingWindow(length=WINDOW, advertised=SECONDS_PER_WINDOW, usual_cost=0.0),
        )

    def is_paused(self, now: datetime) -> bool:
        """Whether a pause lasts now."""
        return self.paused_until is not None and now < self.paused_until


def wait_before_call(state: RateLimitState, now: datetime) -> timedelta:
    """How long until a call may begin, as far as the limits are known."""
    wait = max(windows.wait_before_call(state.calls, now), windows.wait_before_call(state.seconds, now))
    if state.paused_until is not None:
        wait = max(wait, state.paused_until - now)
    return wait


def interval(state: RateLimitState) -> timedelta:
    """From one call to the next, as far as the limits are known; zero before the first throttle."""
    return max(windows.interval(state.calls), windows.interval(state.seconds))


def headroom(state: RateLimitState, *, running: int, now: datetime) -> float:
    """How much more this user could take now, 0 (nothing) to 1. `running` is its number of open calls."""
    if running >= state.parallel or wait_before_call(state, now):
        return 0.0
    free = 1 - running / state.max_parallel
    return free * min(windows.free_share(state.calls, now), windows.free_share(state.seconds, now))


def start_call(state: RateLimitState, now: datetime) -> RateLimitState:
    """Charges both limits with a call that begins."""
    calls, seconds = windows.start_call(state.calls, now), windows.start_call(state.seconds, now)
    return replace(state, calls=calls, seconds=seconds)


def finish_call(state: RateLimitState, *, duration: timedelta, now: datetime) -> RateLimitState:
    """Corrects the run time of a call that was admitted: a `$batch` or bulk message counts its whole duration
    (dataverse.md 4.1).
    """
    return replace(state, seconds=windows.finish_call(state.seconds, duration.total_seconds(), now))


def refund_call(state: RateLimitState, now: datetime) -> RateLimitState:
    """Takes the charges back for a call that a limit refused: it does not count."""
    calls, seconds = windows.refund_call(state.calls, now), windows.refund_call(state.seconds, now)
    return replace(state, calls=calls, seconds=seconds)


def apply_success(
    state: RateLimitState,
    *,
    parallel_hint: int | None,
    now: datetime,
    rows: int = 1,
    duration: timedelta = timedelta(),
    is_single: bool = False,
) -> RateLimitState:
    """A call was carried out, whatever became of single rows: speed up step by step, forget failures.

    `parallel_hint` is the server's own recommendation, never exceeded (dataverse.md 4.1). `is_single`: the
    rows of a claim are sent one by one.
    """
    hint = state.max_parallel if parallel_hint is None else max(1, parallel_hint)
    ceiling = min(state.parallel_ceiling, hint, _useful_parallel(state))
    successes = state.successes + 1
    parallel = min(state.parallel, ceiling)
    # Calls that are spaced evenly are no storm, so as many as are useful may come back at once.
    step = 1 if interval(state) else SUCCESSES_PER_STEP
    if successes >= step and parallel < ceiling:
        parallel, successes = parallel + 1, 0
    parallel_ceiling = state.parallel_ceiling
    if successes >= state.probe_after and parallel == parallel_ceiling < state.max_parallel:
        parallel_ceiling += 1
    state = _resize_for_singles(state) if is_single else _resize(state, rows, duration)
    return replace(
        _count_quiet_call(state, now),
        parallel=parallel,
        parallel_ceiling=parallel_ceiling,
        successes=successes,
        failures=0,
    )


def apply_throttle(
    state: RateLimitState,
    *,
    retry_after: timedelta | None,
    now: datetime,
    jitter: float,
    limit: LimitKind = LimitKind.UNNAMED,
    advertised: AdvertisedLimit | None = None,
) -> RateLimitState:
    """429: the whole sender waits as long as it was told to, and a little longer (dataverse.md 4.1, 5.2
    "wait").

    It halves the calls at once, so that no storm follows the pause, and learns the capacity of the limit that
    was met. `jitter` in [0, 1).
    """
    wait = max(retry_after or SHORTEST_THROTTLE_PAUSE, SHORTEST_THROTTLE_PAUSE)
    wait += min(wait / 10, timedelta(seconds=1)) * jitter
    until = _latest(state.paused_until, now + wait)
    state = _learn_throttle(state, limit, advertised, now)
    return replace(
        state,
        calls=windows.pause(state.calls, until),
        seconds=windows.pause(state.seconds, until),
        # Once for all the calls that met the same throttle.
        parallel=state.parallel if state.is_paused(now) else max(1, state.parallel // 2),
        successes=0,
        quiet_calls=0,
        quiet_since=now,
        paused_until=until,
    )


def apply_failure(
    state: RateLimitState, *, retry_after: timedelta | None, now: datetime, jitter: float
) -> RateLimitState:
    """A call failed as a whole (unreachable, gateway, time-out): pause 1 s, 2 s, 4 s ... up to 30 s, and
    halve the rows per call, so that a row which makes calls fail ends up alone in one. `jitter` in [0, 1).
    """
    doubled = FIRST_FAILURE_PAUSE * (1 << min(state.failures, 10))
    wait = retry_after or min(doubled, LONGEST_FAILURE_PAUSE) * (1 - jitter / 4)
    return replace(
        state,
        rows=max(1, state.rows // 2),
        parallel=max(1, state.parallel // 2),
        successes=0,
        failures=state.failures + 1,
        paused_until=_latest(state.paused_until, now + wait),
    )


def reduce_rows(state: RateLimitState, *, rows: int) -> RateLimitState:
    """A call of so many rows was refused for its size, or ran out of time: half as many next time."""
    smaller = max(1, min(state.rows, rows) // 2)
    return replace(state, rows=smaller, rows_threshold=smaller, successes=0)


def raise_alert(state: RateLimitState, reason: AlertReason, advice: str, *, now: datetime) -> RateLimitState:
    """Only a person can end this. Every 30 s one call asks whether the cause is gone, so nothing has to be
    restarted.

    The call carries as many rows as before: where the refusal is those rows' own, a row beside them shows it
    by being written.
    """
    since = state.alert.since if state.alert is not None and state.alert.reason is reason else now
    return replace(
        state,
        alert=Alert(reason, advice, since),
        parallel=1,
        successes=0,
        paused_until=_latest(state.paused_until, now + ALERT_PAUSE),
    )


def clear_alert(state: RateLimitState) -> RateLimitState:
    """The cause of the alert is gone."""
    return replace(state, alert=None)


def _useful_parallel(state: RateLimitState) -> int:
    """Twice as many calls at once as the known limit needs when each takes as long as usual. More would only
    wait for permits with contacts in hand.
    """
    one = interval(state)
    busy = timedelta(seconds=state.seconds.usual_cost) + CLAIM_OVERHEAD
    return state.max_parallel if not one else 1 + int(2 * busy / one)


def _resize_for_singles(state: RateLimitState) -> RateLimitState:
    """As many rows as are sent one by one in a short time: others may be more urgent after it."""
    each = max(state.seconds.usual_cost, interval(state).total_seconds() * state.parallel, 0.001)
    return replace(state, rows=max(1, min(state.max_rows, int(MAX_HELD.total_seconds() / each))))


def _resize(state: RateLimitState, rows: int, duration: timedelta) -> RateLimitState:
    """The rows per call, by how long this one took."""
    if duration > 2 * TARGET_CALL_DURATION and rows > 1:
        smaller = max(1, min(state.rows, rows) // 2)
        return replace(state, rows=smaller, rows_threshold=smaller)
    if duration > TARGET_CALL_DURATION:
        return state
    is_below = state.rows < state.rows_threshold
    grown = min(state.rows * 2, state.rows_threshold) if is_below else state.rows + 1
    grown = min(grown, state.max_rows)
    return replace(state, rows=grown, rows_threshold=max(state.rows_threshold, grown))


def _count_quiet_call(state: RateLimitState, now: datetime) -> RateLimitState:
    """Counts a call without a throttle, and tries more after a quiet window."""
    if state.is_paused(now):
        # The call began before the throttle, so it shows nothing of the time after it.
        return state
    since = state.quiet_since or now
    quiet_calls = state.quiet_calls + 1
    if quiet_calls < QUIET_CALLS or now - since < min(state.calls.length, state.seconds.length):
        return replace(state, quiet_calls=quiet_calls, quiet_since=since)
    return replace(
        state,
        calls=windows.learn_quiet(state.calls, now),
        seconds=windows.learn_quiet(state.seconds, now),
        # Not zero: this call is one since the last throttle.
        quiet_calls=1,
        quiet_since=now,
    )


def _learn_throttle(
    state: RateLimitState, limit: LimitKind, advertised: AdvertisedLimit | None, now: datetime
) -> RateLimitState:
    """The state with what a throttle teaches about the limit that it names.

    A throttle that comes right after another, with no call carried out between them, is the same one: a
    server that throttles everything for five minutes says so many times.
    """
    again = state.is_paused(now)
    if limit is LimitKind.CONCURRENCY and not again:
        probe_after = min(2 * state.probe_after, PROBE_AFTER[1])
        return replace(state, parallel_ceiling=max(1, state.parallel - 1), probe_after=probe_after)
    is_new = again or state.quiet_calls > 0
    calls, seconds = state.calls, state.seconds
    if limit in {LimitKind.REQUESTS, LimitKind.UNNAMED} and (is_new or calls.capacity is None):
        calls = _learn_capacity(calls, advertised, now, again=again)
    if limit in {LimitKind.TIME, LimitKind.UNNAMED} and (is_new or seconds.capacity is None):
        seconds = _learn_capacity(seconds, advertised, now, again=again)
    return replace(state, calls=calls, seconds=seconds)


def _learn_capacity(
    window: SlidingWindow, advertised: AdvertisedLimit | None, now: datetime, *, again: bool
) -> SlidingWindow:
    if advertised is not None:
        window = windows.adopt_advertised(window, advertised.capacity, advertised.window, now)
    return windows.learn_throttle(window, now, again=again)


def _latest(one: datetime | None, other: datetime) -> datetime:
    return other if one is None or one < other else one
