"""One application user's pace, kept up to date: every call asks here for its turn and reports its end."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

import structlog

from didomi_dataverse.clock import Clock, SteadyClock
from didomi_dataverse.dataverse.bulk import is_row_refusal
from didomi_dataverse.dataverse.calls import CallKind, Exchange
from didomi_dataverse.dataverse.errors.classify import is_too_large
from didomi_dataverse.dataverse.errors.entry import Action
from didomi_dataverse.dataverse.errors.throttle import find_limit, parse_advertised
from didomi_dataverse.dataverse.replies import Answered, Reply, Unknown, UnknownCause
from didomi_dataverse.delivery.outcome import AlertReason
from didomi_dataverse.delivery.rate_limit import state as pacing
from didomi_dataverse.delivery.rate_limit.state import RateLimitState

LONGEST_WAIT = timedelta(seconds=2)
"""Contacts that are claimed wait so long for a turn, and as long again as the calls before it take turns.
After that they are given back: others may be more urgent by then.
"""
LONGEST_TURNS = timedelta(seconds=30)
"""At most as long again: a pace of less than a call in that time sends what is claimed back at once."""

log = structlog.get_logger(__name__)


class RateLimitListener(Protocol):
    """Who is told of calls and of the pace."""

    def on_call(self, exchange: Exchange) -> None:
        """One HTTP call ended."""

    def on_rate_limit_change(self, user: str, pace: RateLimitState) -> None:
        """The speed, pause or alert of this application user changed."""


class RateLimiter:
    """`user` is the application user's number as people see it, from "1"."""

    def __init__(
        self,
        *,
        user: str,
        pace: RateLimitState,
        clock: Clock,
        dice: Callable[[], float],
        listener: RateLimitListener,
        replicas: Callable[[], int] = lambda: 1,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`replicas` tells how many processes share the user."""
        self.user = user
        self.pace = pace
        self._clock = SteadyClock(clock)
        self._dice = dice
        self._listener = listener
        self._replicas = replicas
        self._sleep = sleep
        self._queue = asyncio.Lock()

    async def acquire(self, may_begin: Callable[[], bool], *, despite_alert: bool = False) -> bool:
        """Waits for the turn of one call. False when there is none for those who wait: the sender pauses, the
        wait is too long, or `may_begin` says no. `despite_alert` lets those go on who found the alert.
        """
        came_at = self._clock.now()
        # In the order in which they came: whoever waits longest would otherwise be overtaken again and again.
        async with self._queue:
            while True:
                now = self._clock.now()
                pace = replace(self.pace, paused_until=None) if despite_alert else self.pace
                pause = pacing.wait_before_call(pace, now)
                # However slow the pace is, one call after another comes to its turn.
                longest = LONGEST_WAIT + min(pace.parallel * pacing.interval(pace), LONGEST_TURNS)
                if pace.is_paused(now) or now - came_at + pause > longest or not may_begin():
                    return False
                if not pause:
                    self.pace = pacing.begun(self.pace, now)
                    return True
                await self._sleep(pause.total_seconds())

    def release(self, exchange: Exchange) -> None:
        """Learns from a call. Alerts are the round's to find: one call need not hold all its rows."""
        self._listener.on_call(exchange)
        now = self._clock.now()
        waits = [
            reply.answer.retry_after
            for reply in exchange.replies
            if isinstance(reply.answer, Answered) and reply.answer.retry_after is not None
        ]
        longest = max(waits, default=None)
        throttled = next((reply.answer for reply in exchange.replies if _is_throttle(reply)), None)
        whole = isinstance(throttled, Answered) and throttled.whole_call
        if whole:
            pace = pacing.refused(self.pace, now)
        elif all(isinstance(reply.answer, Unknown) for reply in exchange.replies):
            # How long it kept the server busy is not known; what a call usually takes was spent already.
            pace = self.pace
        else:
            pace = pacing.ended(self.pace, duration=exchange.duration, now=now)
        if isinstance(throttled, Answered):
            pace = pacing.after_throttle(
                pace,
                retry_after=longest,
                now=now,
                jitter=self._dice(),
                limit=find_limit(throttled.code, throttled.status),
                stated=parse_advertised(throttled.message),
            )
            log.info("throttled", user=self.user, code=throttled.code, until=str(pace.paused_until))
        elif any(_is_lost(reply, exchange.call.kind) for reply in exchange.replies):
            if len(exchange.call.requests) > 1 and any(map(_is_timeout, exchange.replies)):
                pace = pacing.after_too_large(pace, rows=len(exchange.call.requests))
            pace = pacing.after_failure(pace, retry_after=longest, now=now, jitter=self._dice())
            log.warning(
                "call_failed", user=self.user, cause=_cause_of(exchange), until=str(pace.paused_until)
            )
        elif len(exchange.call.requests) > 1 and any(map(is_too_large, exchange.replies)):
            pace = pacing.after_too_large(pace, rows=len(exchange.call.requests))
        elif exchange.call.kind is not CallKind.METADATA:
            pace = pacing.after_success(
                pace,
                parallel_hint=self._part_of(exchange.parallel_hint),
                now=now,
                rows=len(exchange.call.requests),
                duration=exchange.duration,
                is_single=exchange.call.kind is CallKind.SINGLE,
            )
        self._set(pace)

    def alerted(self, reason: AlertReason, advice: str) -> None:
        """A person must act."""
        self._set(pacing.after_alert(self.pace, reason, advice, now=self._clock.now()))

    def recovered(self) -> None:
        """A round went through without a refusal that everybody shares."""
        self._set(pacing.recovered(self.pace))

    def failed(self) -> None:
        """A call came to nothing for a reason of our own: the next one must not follow at once."""
        self.no_token()

    def no_token(self) -> None:
        """Microsoft Entra gives no token now."""
        now = self._clock.now()
        self._set(pacing.after_failure(self.pace, retry_after=None, now=now, jitter=self._dice()))

    def _part_of(self, parallel_hint: int | None) -> int | None:
        """What is recommended is for all instances of a service together (dataverse.md 4.1)."""
        return None if parallel_hint is None else parallel_hint // max(1, self._replicas())

    def _set(self, pace: RateLimitState) -> None:
        if pace == self.pace:
            return
        before, self.pace = self.pace, pace
        if pace.alert is not None and before.alert is None:
            reason, advice = pace.alert.reason.value, pace.alert.advice
            log.error("sender_alerted", user=self.user, reason=reason, advice=advice)
        if pace.alert is None and before.alert is not None:
            log.info("sender_recovered", user=self.user)
        self._listener.on_rate_limit_change(self.user, pace)


def _is_throttle(reply: Reply) -> bool:
    return isinstance(reply.answer, Answered) and reply.entry.action is Action.WAIT


def _is_lost(reply: Reply, kind: CallKind) -> bool:
    """Did the call fail as a whole, for a reason that is nobody's row?"""
    if not isinstance(reply.answer, Answered):
        return isinstance(reply.answer, Unknown)
    if kind in {CallKind.CREATE_MULTIPLE, CallKind.UPDATE_MULTIPLE} and is_row_refusal(reply):
        return False
    return reply.is_whole_call and reply.action_alone is Action.RETRY and not is_too_large(reply)


def _cause_of(exchange: Exchange) -> str:
    """In a word, why a call failed as a whole."""
    answer = exchange.replies[0].answer
    return answer.cause.value if isinstance(answer, Unknown) else str(getattr(answer, "status", "none"))


def _is_timeout(reply: Reply) -> bool:
    """A call that nobody waited for to the end may have been too large."""
    return isinstance(reply.answer, Unknown) and reply.answer.cause in {
        UnknownCause.READ_TIMEOUT,
        UnknownCause.DEADLINE,
    }
