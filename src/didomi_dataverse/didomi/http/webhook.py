"""POST /webhooks/didomi and POST /oauth/token (docs/reference/http.md).

Receiving is: may this caller call? → the body, no longer than allowed → readings → stored → 202. The body is
not touched before the caller is known, and nothing but the store can make a good caller's request fail.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog
from fastapi import APIRouter, Request, Response
from starlette.routing import Route

from didomi_dataverse.clock import Clock
from didomi_dataverse.didomi.auth.authenticator import WebhookAuthenticator, peer_of
from didomi_dataverse.didomi.auth.rate_limit import LoginRateLimiter
from didomi_dataverse.didomi.http.body import read_body
from didomi_dataverse.didomi.http.openapi import token_description, webhook_description
from didomi_dataverse.didomi.http.problem import problem_of, problem_response
from didomi_dataverse.didomi.http.token_endpoint import TokenEndpoint
from didomi_dataverse.didomi.interpret import InterpretationPolicy, interpret
from didomi_dataverse.didomi.interpreted import Disposition, InterpretedNotification, NotificationType, Reason
from didomi_dataverse.didomi.notification import Notification, parse_notifications
from didomi_dataverse.errors import CallerError, NotJsonError, StoreError

WEBHOOK_PATH = "/webhooks/didomi"
TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path
DEFAULT_BODY_TIMEOUT = timedelta(seconds=30)
OTHER_KIND = "other"
DUPLICATE = "duplicate"
_STORE_RETRY_AFTER_SECONDS = 5  # Didomi gives up after about five minutes (didomi.md 1.5)
_KINDS = frozenset(known.value for known in NotificationType)


class Stored(Protocol):
    """What the store says of one reading."""

    @property
    def disposition(self) -> Disposition: ...

    @property
    def reason(self) -> Reason | None: ...

    @property
    def duplicate(self) -> bool: ...


Receive = Callable[[Sequence[InterpretedNotification]], Awaitable[Sequence[Stored]]]
"""Stores readings durably and says what became of each, in order. Raises StoreError if nothing was stored."""


class Counts(Protocol):
    """Who is told how much arrives.

    `kind` is one of Didomi's six types, or `other`; `disposition` one of ours, or `duplicate`.
    """

    def notification(self, kind: str, disposition: str, reason: str) -> None: ...

    def refused(self, status: int) -> None: ...


def build_router(
    *,
    receive: Receive,
    gate: WebhookAuthenticator,
    policy: InterpretationPolicy,
    clock: Clock,
    max_body_bytes: int,
    body_timeout: timedelta = DEFAULT_BODY_TIMEOUT,
    counts: Counts | None = None,
) -> APIRouter:
    """Both routes; POST /oauth/token only when the gate accepts our own tokens.

    `body_timeout` is how long a caller may take to send a body.
    """
    webhook = _Webhook(
        receive=receive,
        gate=gate,
        policy=policy,
        clock=clock,
        max_body_bytes=max_body_bytes,
        body_timeout=body_timeout,
        counts=counts,
    )
    router = APIRouter(redirect_slashes=False)
    _add(router, WEBHOOK_PATH, webhook.answer, webhook_description())
    if gate.own_tokens is not None:
        endpoint = TokenEndpoint(
            tokens=gate.own_tokens,
            gate=gate,
            clock=clock,
            failures=LoginRateLimiter(),
            body_timeout=body_timeout,
        )
        _add(router, TOKEN_PATH, endpoint.answer, token_description())
    return router


def _add(
    router: APIRouter,
    path: str,
    endpoint: Callable[[Request], Awaitable[Response]],
    description: dict[str, Any],
) -> None:
    # A slash at the end is a common slip in a console, and a redirect may not be followed (didomi.md 1.5,
    # rule 7). Both answer without the framework's reading of parameters, of which there are none: it would
    # take a quarter of the time of a request.
    for spelling in (path, f"{path}/"):
        router.routes.append(Route(spelling, endpoint, methods=["POST"], include_in_schema=False))
    # For the description alone, and for methods that are not allowed.
    router.add_api_route(path, endpoint, methods=["POST"], response_class=Response, **description)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Webhook:
    receive: Receive
    gate: WebhookAuthenticator
    policy: InterpretationPolicy
    clock: Clock
    max_body_bytes: int
    body_timeout: timedelta
    counts: Counts | None
    # Bound once: to be told that nobody wants an entry costs a binding each time otherwise.
    journal: Any = field(default_factory=lambda: structlog.get_logger(__name__).bind())

    async def answer(self, request: Request) -> Response:
        received_at = self.clock.now()
        try:
            self.gate.check_address(peer=peer_of(request), headers=request.headers)
            way = await self.gate.authenticate(headers=request.headers, now=received_at)
            body = await read_body(request, max_bytes=self.max_body_bytes, timeout=self.body_timeout)
        except CallerError as error:
            self.journal.warning(
                "caller_refused", status=error.status, cause=type(error).__name__, detail=str(error)
            )
            return self._refused(problem_of(error))
        quarantined: NotJsonError | None = None
        try:
            readings = self._readings(body, received_at, way.value)
        except NotJsonError as error:
            quarantined = error
            readings = [_kept(body, received_at, way.value, Reason.NOT_JSON)]
        try:
            stored = await self.receive(readings) if readings else ()
        except StoreError as error:
            self.journal.error("store_unavailable", cause=str(error))
            return self._refused(_nothing_stored())
        self._tell(readings, stored)
        if quarantined is not None:
            return self._refused(problem_of(quarantined))
        return _accepted(stored)

    def _readings(self, body: bytes, received_at: datetime, caller: str) -> list[InterpretedNotification]:
        """Raises NotJsonError. Whatever else goes wrong is our mistake, and the notification is kept."""
        try:
            notifications = parse_notifications(body)
        except NotJsonError:
            raise
        except Exception as error:  # noqa: BLE001 - no notification is lost by a mistake of ours
            self.journal.error("notification_not_understood", cause=type(error).__name__)
            return [_kept(body, received_at, caller, Reason.INTERNAL_ERROR)]
        return [self._reading(notification, received_at, caller) for notification in notifications]

    def _reading(
        self, notification: Notification, received_at: datetime, caller: str
    ) -> InterpretedNotification:
        try:
            return interpret(notification, received_at=received_at, caller=caller, policy=self.policy)
        except Exception as error:  # noqa: BLE001 - as above, and the other notifications of a list go on
            self.journal.error("notification_not_understood", cause=type(error).__name__)
            kept = _kept(notification.body, received_at, caller, Reason.INTERNAL_ERROR)
            return replace(kept, digest=notification.digest, type=notification.type)

    def _refused(self, response: Response) -> Response:
        if self.counts is not None:
            self.counts.refused(response.status_code)
        return response

    def _tell(self, readings: Sequence[InterpretedNotification], stored: Sequence[Stored]) -> None:
        for reading, found in zip(readings, stored, strict=True):
            # The type is the sender's text and may be anything, which a label must not.
            kind = reading.type if reading.type in _KINDS else OTHER_KIND
            disposition = DUPLICATE if found.duplicate else found.disposition.value
            reason = "" if found.reason is None else found.reason.value
            self.journal.info(
                "notification_stored",
                notification=reading.digest,
                kind=kind,
                disposition=disposition,
                reason=reason,
            )
            if self.counts is not None:
                self.counts.notification(kind, disposition, reason)


def _kept(body: bytes, received_at: datetime, caller: str, reason: Reason) -> InterpretedNotification:
    """A body that no notification was made of, kept for a person. Its digest is that of the bytes."""
    return InterpretedNotification(
        digest=hashlib.sha256(body).hexdigest(),
        body=body,
        received_at=received_at,
        type="",
        caller=caller,
        disposition=Disposition.PARKED,
        reason=reason,
    )


def _accepted(stored: Sequence[Stored]) -> Response:
    """Two numbers, so that whoever tries it out sees what happened. Nothing about a person."""
    members = {"received": len(stored), "duplicates": sum(found.duplicate for found in stored)}
    return Response(json.dumps(members), status_code=202, media_type="application/json")


def _nothing_stored() -> Response:
    return problem_response(
        status=503,
        title="Nothing was stored. Send it again.",
        headers={"Retry-After": str(_STORE_RETRY_AFTER_SECONDS)},
    )
