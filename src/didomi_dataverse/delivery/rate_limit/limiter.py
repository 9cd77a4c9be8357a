"""The rate limiter of one application user: every call acquires a permit here, and releases it with what came
of the call.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Protocol, assert_never

import structlog

from didomi_dataverse.clock import Clock, SteadyClock
from didomi_dataverse.dataverse.calls import CallKind, Exchange
from didomi_dataverse.delivery.outcome import AlertReason
from didomi_dataverse.delivery.rate_limit import state as states
from didomi_dataverse.delivery.rate_limit.feedback import (
    CallCost,
    Failure,
    NoFeedback,
    Success,
    Throttle,
    TooLarge,
    call_cost,
    read_feedback,
)
from didomi_dataverse.delivery.rate_limit.state import RateLimitState

LONGEST_WAIT: Final = timedelta(seconds=2)
"""How long claimed contacts wait for a permit, besides `LONGEST_EXTRA_WAIT`; then they are released, because
others may be more urgent by then. Too small: contacts are claimed and released for nothing. Too large: a
withdrawal waits longer."""

LONGEST_EXTRA_WAIT: Final = timedelta(seconds=30)
"""Upper bound of the extra wait, which is the time that the calls before it take for their permits. Slower
than one call per 30 s: release the claims instead of waiting. Too small: a slow limit is never used in full.
Too large: contacts are held for long."""

log = structlog.get_logger(__name__)


class RateLimitListener(Protocol):
    """Who is told of calls and of changes of the rate limit."""

    def on_call(self, exchange: Exchange) -> None:
        """One HTTP call ended."""

    def on_rate_limit_change(self, user: str, state: RateLimitState) -> None:
        """The speed, pause or alert of an application user changed. `user`: its number, from "1"."""


class RateLimiter:
    """Says when calls may begin, and learns from how they end. For one event loop."""

    def __init__(
        self,
        *,
        user: str,
        state: RateLimitState,
        clock: Clock,
        draw_jitter: Callable[[], float],
        listener: RateLimitListener,
        replicas: Callable[[], int] = lambda: 1,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`user` is the application user's number as people see it, from "1"; `state` the one to begin with.

        `draw_jitter` returns a random number in [0, 1); `replicas` how many processes share the user.
        """
        self.user = user
        self.state = state
        self._clock = SteadyClock(clock)
        self._draw_jitter = draw_jitter
        self._listener = listener
        self._replicas = replicas
        self._sleep = sleep
        self._queue = asyncio.Lock()

    async def acquire(self, has_time: Callable[[], bool], *, despite_alert: bool = False) -> bool:
        """Waits for the permit of one call. False when there is none: the sender pauses, the wait is too
        long, or `has_time` says no. `despite_alert` is for those who found the alert: their last calls may
        go on.

        A permit is charged at once. If its call is not made after all, it is not released, and the charge
        stays until it leaves the window.
        """
        came_at = self._clock.now()
        # First come, first served: otherwise a call could be overtaken again and again.
        async with self._queue:
            while True:
                now = self._clock.now()
                state = replace(self.state, paused_until=None) if despite_alert else self.state
                wait = states.wait_before_call(state, now)
                # However slow the limit is, one call after another gets its permit.
                extra = min(state.parallel * states.interval(state), LONGEST_EXTRA_WAIT)
                if state.is_paused(now) or now - came_at + wait > LONGEST_WAIT + extra or not has_time():
                    return False
                if not wait:
                    self.state = states.start_call(self.state, now)
                    return True
                await self._sleep(wait.total_seconds())

    def release(self, exchange: Exchange) -> None:
        """Learns from a call that ended. Alerts are not found here: one call need not hold all rows of a
        round.
        """
        self._listener.on_call(exchange)
        now = self._clock.now()
        state = self._charge(exchange, now)
        rows = len(exchange.call.requests)
        feedback = read_feedback(exchange)
        match feedback:
            case Throttle():
                state = states.apply_throttle(
                    state,
                    retry_after=feedback.retry_after,
                    now=now,
                    jitter=self._draw_jitter(),
                    limit=feedback.limit,
                    advertised=feedback.advertised,
                )
                log.info("throttled", user=self.user, code=feedback.code, until=str(state.paused_until))
            case Failure():
                if feedback.is_timeout:
                    state = states.reduce_rows(state, rows=rows)
                state = states.apply_failure(
                    state, retry_after=feedback.retry_after, now=now, jitter=self._draw_jitter()
                )
                log.warning(
                    "call_failed", user=self.user, cause=feedback.cause, until=str(state.paused_until)
                )
            case TooLarge():
                state = states.reduce_rows(state, rows=rows)
            case Success():
                state = states.apply_success(
                    state,
                    parallel_hint=self._share_of(exchange.parallel_hint),
                    now=now,
                    rows=rows,
                    duration=exchange.duration,
                    is_single=exchange.call.kind is CallKind.SINGLE,
                )
            case NoFeedback():
                pass
            case _:
                assert_never(feedback)
        self._set(state)

    def back_off(self) -> None:
        """Pauses as after a call that failed, for a failure outside of calls: there is no token, or the
        outcomes could not be stored. The next call must not follow at once.
        """
        now = self._clock.now()
        state = states.apply_failure(self.state, retry_after=None, now=now, jitter=self._draw_jitter())
        self._set(state)

    def alert(self, reason: AlertReason, advice: str) -> None:
        """Stops the sender until a person acts; it keeps asking whether one has."""
        self._set(states.raise_alert(self.state, reason, advice, now=self._clock.now()))

    def recover(self) -> None:
        """Ends the alert: a delivery went through without a refusal that every row shares."""
        self._set(states.clear_alert(self.state))

    def _charge(self, exchange: Exchange, now: datetime) -> RateLimitState:
        cost = call_cost(exchange)
        match cost:
            case CallCost.NOTHING:
                return states.refund_call(self.state, now)
            case CallCost.USUAL:
                return self.state
            case CallCost.MEASURED:
                return states.finish_call(self.state, duration=exchange.duration, now=now)
            case _:
                assert_never(cost)

    def _share_of(self, parallel_hint: int | None) -> int | None:
        """The hint is for all instances of a service together (dataverse.md 4.1)."""
        return None if parallel_hint is None else parallel_hint // max(1, self._replicas())

    def _set(self, state: RateLimitState) -> None:
        if state == self.state:
            return
        before, self.state = self.state, state
        if state.alert is not None and before.alert is None:
            reason, advice = state.alert.reason.value, state.alert.advice
            log.error("sender_alerted", user=self.user, reason=reason, advice=advice)
        if state.alert is None and before.alert is not None:
            log.info("sender_recovered", user=self.user)
        self._listener.on_rate_limit_change(self.user, state)
