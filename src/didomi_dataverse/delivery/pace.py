"""How fast the sender may go: parallel calls, rows per call, pauses and alerts, as one frozen value.

Each event that the sender learns from (a call answered, a throttle, a failure, an alert) makes a new `Pace`.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from didomi_dataverse.delivery.outcome import AlertReason

FIRST_FAILURE_PAUSE = timedelta(seconds=1)
LONGEST_FAILURE_PAUSE = timedelta(seconds=30)
ALERT_PAUSE = timedelta(seconds=30)
SHORTEST_THROTTLE_PAUSE = timedelta(seconds=1)
CALLS_PER_STEP = 10
"""Successful calls in a row after which one more may run at the same time."""


@dataclass(frozen=True, slots=True)
class Alert:
    """What stopped the sender and what a person must do about it."""

    reason: AlertReason
    advice: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """`parallel` calls at once, `rows` contacts per call, nothing before `paused_until`.

    `max_parallel` and `max_rows` are the operator's bounds. `failures` counts calls lost in a row.
    """

    max_parallel: int
    max_rows: int
    parallel: int
    rows: int
    successes: int = 0
    failures: int = 0
    paused_until: datetime | None = None
    alert: Alert | None = None

    @classmethod
    def at_start(cls, *, max_parallel: int, max_rows: int) -> "Pace":
        """Careful at first: half the parallel calls, so that a fleet that restarts does not storm."""
        return cls(
            max_parallel=max_parallel, max_rows=max_rows, parallel=max(1, max_parallel // 2), rows=max_rows
        )

    def is_paused(self, now: datetime) -> bool:
        """Must the sender wait?"""
        return self.paused_until is not None and now < self.paused_until


def after_success(pace: Pace, *, parallel_hint: int | None) -> Pace:
    """The call was carried out (whatever became of single rows): speed up step by step, forget failures.

    Never above `x-ms-dop-hint`, the server's own recommendation (dataverse.md 4.1).
    """
    ceiling = pace.max_parallel if parallel_hint is None else max(1, min(pace.max_parallel, parallel_hint))
    successes = pace.successes + 1
    parallel = min(pace.parallel, ceiling)
    if successes >= CALLS_PER_STEP and parallel < ceiling:
        parallel, successes = parallel + 1, 0
    rows = min(pace.max_rows, pace.rows * 2)
    return replace(pace, parallel=parallel, rows=rows, successes=successes, failures=0, alert=None)


def after_throttle(pace: Pace, *, retry_after: timedelta | None, now: datetime, jitter: float) -> Pace:
    """429: the whole sender waits as long as it was told to, and a little more (dataverse.md 4.1, 5.2
    "wait").

    The sender halves its parallel calls, so that what follows the pause is no storm.
    """
    wait = max(retry_after or SHORTEST_THROTTLE_PAUSE, SHORTEST_THROTTLE_PAUSE)
    wait += min(wait / 10, timedelta(seconds=1)) * jitter
    until = _later(pace.paused_until, now + wait)
    return replace(pace, parallel=max(1, pace.parallel // 2), successes=0, paused_until=until)


def after_failure(pace: Pace, *, retry_after: timedelta | None, now: datetime, jitter: float) -> Pace:
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


def after_alert(pace: Pace, reason: AlertReason, advice: str, *, now: datetime) -> Pace:
    """A person must act. Every 30 s one small call asks whether it is mended: recovery needs nobody."""
    since = pace.alert.since if pace.alert is not None and pace.alert.reason is reason else now
    return replace(
        pace,
        alert=Alert(reason, advice, since),
        parallel=1,
        rows=1,
        successes=0,
        paused_until=_later(pace.paused_until, now + ALERT_PAUSE),
    )


def _later(one: datetime | None, other: datetime) -> datetime:
    return other if one is None or one < other else one
