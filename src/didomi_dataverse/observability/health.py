"""The probes `/livez`, `/readyz` and `/startupz` (docs/reference/http.md)."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from didomi_dataverse.clock import Clock
from didomi_dataverse.delivery.rate_limit.state import RateLimitState
from didomi_dataverse.errors import StoreError


@dataclass(slots=True)
class Lifecycle:
    """How far this process is between its start and its end."""

    started: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the store is open and delivery runs."""

    start_error: Exception | None = None
    """Why the start failed; None while it has not."""

    is_draining: bool = False
    """Whether the process is stopping: it settles what is in flight."""

    @property
    def is_started(self) -> bool:
        """Whether the store is open and delivery runs."""
        return self.started.is_set()


def build_health_router(
    *,
    lifecycle: Lifecycle,
    check_store: Callable[[], Awaitable[None]],
    rate_limits: Callable[[], Sequence[RateLimitState]],
    clock: Clock,
    store_answers_within: timedelta = timedelta(seconds=5),
) -> APIRouter:
    """The three probes.

    `check_store` raises StoreError when nothing can be committed now; a store that takes longer than
    `store_answers_within` counts as stalled. `rate_limits`: the state of each sender's rate limiter, in the
    order of the application users.
    """
    router = APIRouter(tags=["probes"])

    @router.get("/livez")
    async def livez() -> JSONResponse:
        """The process runs its event loop. Restart it when this does not answer."""
        return JSONResponse({"status": "ok"})

    @router.get("/startupz")
    async def startupz() -> JSONResponse:
        """The store is open and delivery runs."""
        return _answer(
            is_good=lifecycle.is_started, body={"status": "started" if lifecycle.is_started else "starting"}
        )

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        """A notification can be stored now. An outage of Dataverse does not fail this probe: the body tells
        of it, and delivery goes on when Dataverse is back.
        """
        store = "ok"
        try:
            async with asyncio.timeout(store_answers_within.total_seconds()):
                await check_store()
        except StoreError as failed:
            store = str(failed)
        except TimeoutError:
            store = (
                f"The store did not answer within {store_answers_within.total_seconds():g} s: it stalls. "
                "Look at the disk, or at the database server."
            )
        is_good = lifecycle.is_started and not lifecycle.is_draining and store == "ok"
        status = "draining" if lifecycle.is_draining else "ready" if is_good else "unready"
        return _answer(
            is_good=is_good,
            body={"status": status, "store": store, "sender": _describe_senders(rate_limits(), clock)},
        )

    return router


def _describe_senders(rate_limits: Sequence[RateLimitState], clock: Clock) -> dict[str, object]:
    """Delivery as a whole. With several application users: the best state of any, what a stopped one needs,
    and each of them by its number.
    """
    users = [_describe_sender(rate_limit, clock) for rate_limit in rate_limits]
    if len(users) == 1:
        return users[0]
    numbered = [{"user": str(number), **user} for number, user in enumerate(users, start=1)]
    states = {str(user["state"]) for user in users}
    state = next(
        (word for word in ("delivering", "paused", "failing", "stopped") if word in states), "delivering"
    )
    stopped = next((user for user in users if user["state"] == "stopped"), {})
    return {**stopped, "state": state, "users": numbered}


def _describe_sender(rate_limit: RateLimitState, clock: Clock) -> dict[str, object]:
    """The state of one sender, and what an operator needs to know about it."""
    if rate_limit.alert is not None:
        return {
            "state": "stopped",
            "reason": rate_limit.alert.reason.value,
            "what_to_do": rate_limit.alert.advice,
            "since": rate_limit.alert.since.isoformat(),
        }
    if rate_limit.failures:
        until = (
            {} if rate_limit.paused_until is None else {"next_try_at": rate_limit.paused_until.isoformat()}
        )
        return {"state": "failing", "failed_calls_in_a_row": rate_limit.failures, **until}
    if rate_limit.is_paused(clock.now()) and rate_limit.paused_until is not None:
        return {"state": "paused", "until": rate_limit.paused_until.isoformat()}
    return {"state": "delivering", "parallel": rate_limit.parallel}


def _answer(*, is_good: bool, body: dict[str, object]) -> JSONResponse:
    return JSONResponse(body, HTTPStatus.OK if is_good else HTTPStatus.SERVICE_UNAVAILABLE)
