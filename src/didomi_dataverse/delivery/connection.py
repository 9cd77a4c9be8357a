"""One application user's connection to Dataverse: requests go out in calls, as fast as the limits allow."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from didomi_dataverse.dataverse.calls import Call, Exchange
from didomi_dataverse.dataverse.client import DataverseClient
from didomi_dataverse.dataverse.dispatch.base import CallPlan, Dispatcher
from didomi_dataverse.dataverse.replies import Reply
from didomi_dataverse.dataverse.requests import Request
from didomi_dataverse.delivery.rate_limit.limiter import RateLimiter


class Connection:
    """Makes the calls that a dispatcher plans, each with a permit of the rate limiter."""

    def __init__(self, client: DataverseClient, dispatcher: Dispatcher, rate_limiter: RateLimiter) -> None:
        """The three belong to one application user."""
        self._client = client
        self._dispatcher = dispatcher
        self.rate_limiter = rate_limiter

    @property
    def longest_call(self) -> timedelta:
        """As of the client."""
        return self._client.longest_call

    async def send(
        self, requests: Sequence[Request], *, has_time: Callable[[], bool], despite_alert: bool = False
    ) -> tuple[Reply, ...]:
        """Sends the requests. Returns a reply for each, in their order; `NotAttempted` where no permit was
        left for it.

        `has_time` says, before each call, whether there is still time for one; `despite_alert` as in
        `RateLimiter.acquire`. Raises what `DataverseClient.send` raises; some requests may have been carried
        out then, and may be sent again.
        """
        plan = self._dispatcher.plan(requests)
        call, replies = _advance(plan, None)
        while call is not None:
            exchange: Exchange | None = None
            if await self.rate_limiter.acquire(has_time, despite_alert=despite_alert):
                exchange = await self._client.send(call)
                self.rate_limiter.release(exchange)
            call, replies = _advance(plan, exchange)
        return replies


def _advance(plan: CallPlan, exchange: Exchange | None) -> tuple[Call | None, tuple[Reply, ...]]:
    """The next call of the plan; or None, and the replies to everything that was asked."""
    try:
        # A generator is started by sending it None.
        return plan.send(exchange), ()
    except StopIteration as end:
        replies: tuple[Reply, ...] = end.value
        return None, replies
