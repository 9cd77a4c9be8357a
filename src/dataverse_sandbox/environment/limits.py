"""Service protection limits (dataverse.md 4.1), really counted: per user, over a sliding window."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from dataverse_sandbox.errors import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What `PUT limits` sets. `enforce` off: everything is counted and told in headers, nothing is refused.

    `call_ms` and `row_ms` (by delivery mode) are the simulated time that each call and each row takes.
    """

    enforce: bool = False
    requests: int = 6000
    execution_seconds: float = 1200.0
    concurrent: int = 52
    window_seconds: float = 300.0
    call_ms: float = 0.0
    row_ms: Mapping[str, float] = field(
        default_factory=lambda: {"batch": 0.0, "multiple": 0.0, "single": 0.0}
    )
    dop_hint: int = 4

    def cost_seconds(self, mode: str, rows: int) -> float:
        """The simulated duration of a call."""
        return (self.call_ms + rows * self.row_ms.get(mode, 0.0)) / 1000


@dataclass(slots=True)
class Usage:
    """One user's calls in the window, the time they took, and how many run right now."""

    called_at: deque[float] = field(default_factory=deque)
    executed: deque[tuple[float, float]] = field(default_factory=deque)
    executed_seconds: float = 0.0
    running: int = 0
    paused_until: float = 0.0
    paused_by: str = ""

    def forget_before(self, instant: float) -> None:
        """Let what left the window go."""
        while self.called_at and self.called_at[0] <= instant:
            self.called_at.popleft()
        while self.executed and self.executed[0][0] <= instant:
            self.executed_seconds -= self.executed.popleft()[1]


def admit(usage: Usage, limits: Limits, now: float) -> None:
    """Count a call that wants to run, or refuse it with 429 and `Retry-After` in whole seconds.

    A call during a pause makes the pause a second longer (dataverse.md 4.1: sending on lengthens it).
    """
    usage.forget_before(now - limits.window_seconds)
    if limits.enforce:
        if now < usage.paused_until:
            usage.paused_until += 1
            raise _throttled(usage.paused_by, limits, usage.paused_until - now)
        if usage.running > limits.concurrent:
            raise _throttled("0x80072326", limits, 1)
        if len(usage.called_at) >= limits.requests:
            first = usage.called_at[-limits.requests] if limits.requests else now
            _pause(usage, "0x80072322", first + limits.window_seconds)
            raise _throttled(usage.paused_by, limits, usage.paused_until - now)
        if usage.executed_seconds >= limits.execution_seconds:
            _pause(usage, "0x80072321", _when_below(usage, limits))
            raise _throttled(usage.paused_by, limits, usage.paused_until - now)
    usage.called_at.append(now)


def charge(usage: Usage, seconds: float, now: float) -> None:
    """Add the time that a finished call took."""
    if seconds > 0:
        usage.executed.append((now, seconds))
        usage.executed_seconds += seconds


def headers(usage: Usage, limits: Limits) -> tuple[tuple[str, str], ...]:
    """What every answer tells of the limits; the time has a thousands separator (dataverse.md 2.7)."""
    requests_left = max(limits.requests - len(usage.called_at), 0)
    seconds_left = max(limits.execution_seconds - usage.executed_seconds, 0.0)
    return (
        ("x-ms-ratelimit-burst-remaining-xrm-requests", str(requests_left)),
        ("x-ms-ratelimit-time-remaining-xrm-requests", f"{seconds_left:,.2f}"),
        ("x-ms-dop-hint", str(limits.dop_hint)),
    )


def _pause(usage: Usage, code: str, until: float) -> None:
    usage.paused_until = until
    usage.paused_by = code


def _when_below(usage: Usage, limits: Limits) -> float:
    """When enough time has left the window for the sum to be below the limit again."""
    left = usage.executed_seconds
    for finished_at, seconds in usage.executed:
        left -= seconds
        if left < limits.execution_seconds:
            return finished_at + limits.window_seconds
    return 0.0


def _throttled(code: str, limits: Limits, wait_seconds: float) -> Refusal:
    window = f"time window of {limits.window_seconds:g} seconds"
    match code:
        case "0x80072322":
            message = f"Number of requests exceeded the limit of {limits.requests} over {window}."
        case "0x80072321":
            milliseconds = round(limits.execution_seconds * 1000)
            message = (
                f"Combined execution time of incoming requests exceeded limit of {milliseconds} milliseconds "
                f"over {window}. Decrease number of concurrent requests or reduce the duration of requests "
                "and try again later."
            )
        case _:
            message = f"Number of concurrent requests exceeded the limit of {limits.concurrent}."
    return Refusal(429, code, message, (("Retry-After", str(max(math.ceil(wait_seconds), 1))),))
