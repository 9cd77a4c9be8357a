"""Service protection limits (dataverse.md 4.1), really counted: per user, over a sliding window."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from dataverse_sandbox.errors import ODataError
from dataverse_sandbox.messages import Headers

DELIVERY_MODES = ("batch", "multiple", "single")

_REQUESTS, _EXECUTION_TIME, _CONCURRENCY = "0x80072322", "0x80072321", "0x80072326"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What `PUT limits` sets."""

    enforce: bool = False
    """Whether calls over a limit are refused. Off: they are only counted and stated in headers."""

    requests: int = 6000
    """Calls per window."""

    execution_seconds: float = 1200.0
    """Execution time per window, in seconds."""

    concurrent: int = 52
    """Calls at the same time."""

    window_seconds: float = 300.0
    """Length of the sliding window."""

    call_ms: float = 0.0
    """Simulated time that each call takes, in milliseconds."""

    row_ms: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(DELIVERY_MODES, 0.0))
    """Simulated time that each row takes, in milliseconds, by delivery mode."""

    dop_hint: int = 4
    """Value of `x-ms-dop-hint`: the recommended degree of parallelism."""

    def cost_seconds(self, mode: str, rows: int) -> float:
        """The simulated duration of a call.

        >>> Limits(call_ms=20, row_ms={"batch": 5}).cost_seconds("batch", 100)
        0.52
        """
        return (self.call_ms + rows * self.row_ms.get(mode, 0.0)) / 1000


@dataclass(slots=True)
class Usage:
    """One user's calls in the window. Instants are Unix seconds."""

    called_at: deque[float] = field(default_factory=deque)
    """When each call started."""

    executed: deque[tuple[float, float]] = field(default_factory=deque)
    """(when it ended, how long it took) of each call."""

    executed_seconds: float = 0.0
    """Sum of the execution times in `executed`."""

    running: int = 0
    """Calls that run now."""

    paused_until: float = 0.0
    """End of the pause after a limit was reached."""

    paused_by: str = ""
    """Error code of that limit; empty before the first pause."""

    def admit(self, limits: Limits, now: float) -> None:
        """Count a call that starts. Raises 429 with `Retry-After` in whole seconds when a limit is reached.

        A call during a pause makes the pause a second longer (dataverse.md 4.1: sending on lengthens it).
        """
        self._forget_before(now - limits.window_seconds)
        if limits.enforce:
            if now < self.paused_until:
                self.paused_until += 1
                raise _throttling_error(self.paused_by, limits, self.paused_until - now)
            if self.running > limits.concurrent:
                raise _throttling_error(_CONCURRENCY, limits, 1)
            if len(self.called_at) >= limits.requests:
                first = self.called_at[-limits.requests] if limits.requests else now
                raise self._pause(_REQUESTS, limits, first + limits.window_seconds, now)
            if self.executed_seconds >= limits.execution_seconds:
                raise self._pause(_EXECUTION_TIME, limits, self._below_limit_at(limits), now)
        self.called_at.append(now)

    def charge(self, seconds: float, now: float) -> None:
        """Add the execution time of a call that ended."""
        if seconds > 0:
            self.executed.append((now, seconds))
            self.executed_seconds += seconds

    def headers(self, limits: Limits) -> Headers:
        """What every response states of the limits; the time has a thousands separator (dataverse.md 2.7)."""
        requests_left = max(limits.requests - len(self.called_at), 0)
        seconds_left = max(limits.execution_seconds - self.executed_seconds, 0.0)
        return (
            ("x-ms-ratelimit-burst-remaining-xrm-requests", str(requests_left)),
            ("x-ms-ratelimit-time-remaining-xrm-requests", f"{seconds_left:,.2f}"),
            ("x-ms-dop-hint", str(limits.dop_hint)),
        )

    def reset(self) -> None:
        """Forget the finished calls; running calls stay counted."""
        self.called_at.clear()
        self.executed.clear()
        self.executed_seconds = self.paused_until = 0.0

    def _forget_before(self, instant: float) -> None:
        while self.called_at and self.called_at[0] <= instant:
            self.called_at.popleft()
        while self.executed and self.executed[0][0] <= instant:
            self.executed_seconds -= self.executed.popleft()[1]

    def _pause(self, code: str, limits: Limits, until: float, now: float) -> ODataError:
        self.paused_until = until
        self.paused_by = code
        return _throttling_error(code, limits, until - now)

    def _below_limit_at(self, limits: Limits) -> float:
        """When enough execution time has left the window for the sum to be below the limit again."""
        left = self.executed_seconds
        for finished_at, seconds in self.executed:
            left -= seconds
            if left < limits.execution_seconds:
                return finished_at + limits.window_seconds
        return 0.0


def _throttling_error(code: str, limits: Limits, wait_seconds: float) -> ODataError:
    window = f"time window of {limits.window_seconds:g} seconds"
    if code == _REQUESTS:
        message = f"Number of requests exceeded the limit of {limits.requests} over {window}."
    elif code == _EXECUTION_TIME:
        milliseconds = round(limits.execution_seconds * 1000)
        message = (
            f"Combined execution time of incoming requests exceeded limit of {milliseconds} milliseconds "
            f"over {window}. Decrease number of concurrent requests or reduce the duration of requests "
            "and try again later."
        )
    else:
        message = f"Number of concurrent requests exceeded the limit of {limits.concurrent}."
    return ODataError(429, code, message, (("Retry-After", str(max(math.ceil(wait_seconds), 1))),))
