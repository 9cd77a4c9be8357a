"""How fast the sender may go: parallel calls, rows per call, calls per time, pauses and alerts, as one frozen
value.

Each event that the sender learns from (a call answered, a throttle, a failure, an alert) makes a new state.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from didomi_dataverse.dataverse.errors.throttle import AdvertisedLimit, LimitKind
from didomi_dataverse.delivery.outcome import AlertReason
from didomi_dataverse.delivery.rate_limit import window as budgets
from didomi_dataverse.delivery.rate_limit.window import SlidingWindow

FIRST_FAILURE_PAUSE = timedelta(seconds=1)
LONGEST_FAILURE_PAUSE = timedelta(seconds=30)
ALERT_PAUSE = timedelta(seconds=30)
SHORTEST_THROTTLE_PAUSE = timedelta(seconds=1)
CALLS_PER_STEP = 10
"""Successful calls in a row after which one more may run at the same time."""
GOOD_CALL = timedelta(seconds=4)
"""What a call may take: longer ones repeat more when they break, and come close to the time limits of
plug-ins (dataverse.md 3.5)."""
PATIENCE = (20, 1_280)
"""So many successful calls before one more at the same time is tried than was once too many: this at first,
twice as many after each such throttle, at most that."""
CLAIMING = timedelta(seconds=0.1)
"""What claiming and settling take on top of a call."""
HELD_FOR = timedelta(seconds=2)
"""How long contacts are held that go one by one."""
CALM_CALLS = 250
"""Calls without a throttle before more is tried: a throttle found by trying then costs few of them."""
WINDOW = timedelta(seconds=300)
"""dataverse.md 4.1, as are the two figures of one web server. A throttle may state others."""
CALLS_PER_WINDOW = 6_000
SECONDS_PER_WINDOW = 1_200


@dataclass(frozen=True, slots=True)
class Alert:
    """What stopped the sender and what a person must do about it."""

    reason: AlertReason
    advice: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitState:
    """`parallel` calls at once, `rows` contacts per call, nothing before `paused_until`; `calls` and
    `seconds` are the two limits on what may be sent over time.

    `max_parallel` and `max_rows` are the operator's bounds. More calls at once than `good_parallel` were too
    many once; after `patience` successes one more is tried. `failures` counts calls lost in a row. Below
    `good_rows` the rows per call grow fast, above it one by one: a call of that size was too large once.
    `calm` counts calls since the last throttle.
    """

    max_parallel: int
    max_rows: int
    parallel: int
    good_parallel: int
    rows: int
    good_rows: int
    calls: SlidingWindow
    seconds: SlidingWindow
    patience: int = PATIENCE[0]
    successes: int = 0
    failures: int = 0
    calm: int = 0
    calm_since: datetime | None = None
    paused_until: datetime | None = None
    alert: Alert | None = None

    @classmethod
    def at_start(cls, *, max_parallel: int, max_rows: int) -> "RateLimitState":
        """Careful at first: half the parallel calls, so that a fleet that restarts does not storm."""
        return cls(
            max_parallel=max_parallel,
            max_rows=max_rows,
            parallel=max(1, max_parallel // 2),
            good_parallel=max_parallel,
            rows=max_rows,
            good_rows=max_rows,
            calls=SlidingWindow(window=WINDOW, stated=CALLS_PER_WINDOW, unit=1.0),
            seconds=SlidingWindow(window=WINDOW, stated=SECONDS_PER_WINDOW, unit=0.0),
        )

    def is_paused(self, now: datetime) -> bool:
        """Must the sender wait?"""
        return self.paused_until is not None and now < self.paused_until


def wait_before_call(pace: RateLimitState, now: datetime) -> timedelta:
    """How long until a call may begin, as far as the limits are known."""
    pause = max(budgets.wait(pace.calls, now), budgets.wait(pace.seconds, now))
    if pace.paused_until is not None:
        pause = max(pause, pace.paused_until - now)
    return pause


def interval(pace: RateLimitState) -> timedelta:
    """From one call to the next, as far as the limits are known."""
    return max(budgets.interval(pace.calls), budgets.interval(pace.seconds))


def headroom(pace: RateLimitState, *, running: int, now: datetime) -> float:
    """How much more this user could take now, 0 (nothing) to 1."""
    if running >= pace.parallel or wait_before_call(pace, now):
        return 0.0
    free = 1 - running / pace.max_parallel
    return free * min(budgets.room(pace.calls, now), budgets.room(pace.seconds, now))


def begun(pace: RateLimitState, now: datetime) -> RateLimitState:
    """A call begins."""
    return replace(pace, calls=budgets.begun(pace.calls, now), seconds=budgets.begun(pace.seconds, now))


def ended(pace: RateLimitState, *, duration: timedelta, now: datetime) -> RateLimitState:
    """A call ended that was admitted; a `$batch` or bulk message counts its whole duration
    (dataverse.md 4.1).
    """
    return replace(pace, seconds=budgets.ended(pace.seconds, duration.total_seconds(), now))


def refused(pace: RateLimitState, now: datetime) -> RateLimitState:
    """A call ended that was refused for a limit: it does not count."""
    return replace(pace, calls=budgets.refused(pace.calls, now), seconds=budgets.refused(pace.seconds, now))


def after_success(
    pace: RateLimitState,
    *,
    parallel_hint: int | None,
    now: datetime,
    rows: int = 1,
    duration: timedelta = timedelta(),
    is_single: bool = False,
) -> RateLimitState:
    """The call was carried out (whatever became of single rows): speed up step by step, forget failures.

    Never above `x-ms-dop-hint`, the server's own recommendation (dataverse.md 4.1). `is_single`: the rows of
    a claim go one by one.
    """
    hint = pace.max_parallel if parallel_hint is None else max(1, parallel_hint)
    ceiling = min(pace.good_parallel, hint, _needed(pace))
    successes = pace.successes + 1
    parallel = min(pace.parallel, ceiling)
    # A pace that is known is even by itself, so as many calls as it needs are no storm.
    step = 1 if interval(pace) else CALLS_PER_STEP
    if successes >= step and parallel < ceiling:
        parallel, successes = parallel + 1, 0
    good_parallel = pace.good_parallel
    if successes >= pace.patience and parallel == good_parallel < pace.max_parallel:
        good_parallel += 1
    pace = _held_shortly(pace) if is_single else _sized(pace, rows, duration)
    return replace(
        _calmer(pace, now),
        parallel=parallel,
        good_parallel=good_parallel,
        successes=successes,
        failures=0,
    )


def _needed(pace: RateLimitState) -> int:
    """Twice as many calls at once as the pace needs when each takes as long as usual. More would only wait
    for their turn with contacts in hand.
    """
    one = interval(pace)
    busy = timedelta(seconds=pace.seconds.unit) + CLAIMING
    return pace.max_parallel if not one else 1 + int(2 * busy / one)


def _held_shortly(pace: RateLimitState) -> RateLimitState:
    """As many rows as go one by one in a short time: others may be more urgent then."""
    each = max(pace.seconds.unit, interval(pace).total_seconds() * pace.parallel, 0.001)
    return replace(pace, rows=max(1, min(pace.max_rows, int(HELD_FOR.total_seconds() / each))))


def recovered(pace: RateLimitState) -> RateLimitState:
    """A row was written, or none was refused for everybody's reason: the alert is over."""
    return replace(pace, alert=None)


def _sized(pace: RateLimitState, rows: int, duration: timedelta) -> RateLimitState:
    """The rows per call by how long this one took."""
    if duration > 2 * GOOD_CALL and rows > 1:
        smaller = max(1, min(pace.rows, rows) // 2)
        return replace(pace, rows=smaller, good_rows=smaller)
    if duration > GOOD_CALL:
        return pace
    grown = min(pace.rows * 2, pace.good_rows) if pace.rows < pace.good_rows else pace.rows + 1
    grown = min(grown, pace.max_rows)
    return replace(pace, rows=grown, good_rows=max(pace.good_rows, grown))


def _calmer(pace: RateLimitState, now: datetime) -> RateLimitState:
    if pace.is_paused(now):
        # It was on its way before the throttle, and shows nothing of what came after.
        return pace
    since = pace.calm_since or now
    calm = pace.calm + 1
    if calm < CALM_CALLS or now - since < min(pace.calls.window, pace.seconds.window):
        return replace(pace, calm=calm, calm_since=since)
    return replace(
        pace,
        calls=budgets.after_calm(pace.calls, now),
        seconds=budgets.after_calm(pace.seconds, now),
        # Not none: this call is one since the last throttle.
        calm=1,
        calm_since=now,
    )


def after_too_large(pace: RateLimitState, *, rows: int) -> RateLimitState:
    """A call of so many rows was refused for its size, or ran out of time: half as many next time."""
    smaller = max(1, min(pace.rows, rows) // 2)
    return replace(pace, rows=smaller, good_rows=smaller, successes=0)


def after_throttle(
    pace: RateLimitState,
    *,
    retry_after: timedelta | None,
    now: datetime,
    jitter: float,
    limit: LimitKind = LimitKind.UNNAMED,
    stated: AdvertisedLimit | None = None,
) -> RateLimitState:
    """429: the whole sender waits as long as it was told to, and a little more (dataverse.md 4.1, 5.2
    "wait").

    It halves its parallel calls, so that what follows the pause is no storm, and learns what the limit that
    was met holds.
    """
    wait = max(retry_after or SHORTEST_THROTTLE_PAUSE, SHORTEST_THROTTLE_PAUSE)
    wait += min(wait / 10, timedelta(seconds=1)) * jitter
    until = _later(pace.paused_until, now + wait)
    pace = _taught(pace, limit, stated, now)
    return replace(
        pace,
        calls=budgets.paused(pace.calls, until),
        seconds=budgets.paused(pace.seconds, until),
        # Once for all the calls that ran into the same throttle.
        parallel=pace.parallel if pace.is_paused(now) else max(1, pace.parallel // 2),
        successes=0,
        calm=0,
        calm_since=now,
        paused_until=until,
    )


def _taught(
    pace: RateLimitState, limit: LimitKind, stated: AdvertisedLimit | None, now: datetime
) -> RateLimitState:
    """The pace with what a throttle teaches about the limit it names.

    One that comes right after another, with no call carried out between them, is still the other: whoever
    throttles everything for five minutes says it many times over.
    """
    again = pace.is_paused(now)
    if limit is LimitKind.CONCURRENCY and not again:
        patience = min(2 * pace.patience, PATIENCE[1])
        return replace(pace, good_parallel=max(1, pace.parallel - 1), patience=patience)
    is_new = again or pace.calm > 0
    calls, seconds = pace.calls, pace.seconds
    if limit in {LimitKind.REQUESTS, LimitKind.UNNAMED} and (is_new or calls.holds is None):
        calls = _learnt(calls, stated, now, again=again)
    if limit in {LimitKind.TIME, LimitKind.UNNAMED} and (is_new or seconds.holds is None):
        seconds = _learnt(seconds, stated, now, again=again)
    return replace(pace, calls=calls, seconds=seconds)


def _learnt(
    budget: SlidingWindow, stated: AdvertisedLimit | None, now: datetime, *, again: bool
) -> SlidingWindow:
    if stated is not None:
        budget = budgets.restated(budget, stated.capacity, stated.window, now)
    return budgets.after_throttle(budget, now, again=again)


def after_failure(
    pace: RateLimitState, *, retry_after: timedelta | None, now: datetime, jitter: float
) -> RateLimitState:
    """A call failed as a whole (unreachable, gateway, time-out): pause 1 s, 2 s, 4 s ... up to 30 s, and
    halve the rows per call, so that a row which makes calls fail ends up alone in one.
    """
    doubled = FIRST_FAILURE_PAUSE * (1 << min(pace.failures, 10))
    wait = retry_after or min(doubled, LONGEST_FAILURE_PAUSE) * (1 - jitter / 4)
    until = _later(pace.paused_until, now + wait)
    return replace(
        pace,
        rows=max(1, pace.rows // 2),
        parallel=max(1, pace.parallel // 2),
        successes=0,
        failures=pace.failures + 1,
        paused_until=until,
    )


def after_alert(pace: RateLimitState, reason: AlertReason, advice: str, *, now: datetime) -> RateLimitState:
    """A person must act. Every 30 s one call asks whether it is mended: recovery needs nobody.

    It carries as many rows as before: where the refusal is those rows' own, a neighbour shows it by being
    written.
    """
    since = pace.alert.since if pace.alert is not None and pace.alert.reason is reason else now
    return replace(
        pace,
        alert=Alert(reason, advice, since),
        parallel=1,
        successes=0,
        paused_until=_later(pace.paused_until, now + ALERT_PAUSE),
    )


def _later(one: datetime | None, other: datetime) -> datetime:
    return other if one is None or one < other else one
