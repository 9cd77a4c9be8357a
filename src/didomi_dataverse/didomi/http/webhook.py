"""POST /webhooks/didomi (docs/reference/http.md).

Authenticate the caller → read the body → interpret it → store it → 202. The body is not read before the
caller is known, and only the store can make a good caller's request fail.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

import structlog
from starlette.requests import Request
from starlette.responses import Response

from didomi_dataverse.clock import Clock
from didomi_dataverse.didomi.auth.authenticator import WebhookAuthenticator
from didomi_dataverse.didomi.http.problem import caller_problem, nothing_stored
from didomi_dataverse.didomi.http.request import peer_address, read_body
from didomi_dataverse.didomi.interpret import InterpretationPolicy
from didomi_dataverse.didomi.interpret_body import interpret_body
from didomi_dataverse.didomi.interpreted import Disposition, InterpretedNotification, NotificationType, Reason
from didomi_dataverse.errors import CallerError, StoreError

WEBHOOK_PATH = "/webhooks/didomi"

_OTHER_KIND = "other"
_DUPLICATE = "duplicate"
_KINDS = frozenset(known.value for known in NotificationType)


class IngestResult(Protocol):
    """What became of one notification in the ledger."""

    @property
    def disposition(self) -> Disposition: ...

    @property
    def reason(self) -> Reason | None: ...

    @property
    def duplicate(self) -> bool: ...


Ingest = Callable[[Sequence[InterpretedNotification]], Awaitable[Sequence[IngestResult]]]
"""Stores notifications durably and returns what became of each, in order. Raises StoreError if nothing was
stored.
"""


class WebhookMetrics(Protocol):
    """Counts what arrives."""

    def count_notification(self, kind: str, disposition: str, reason: str) -> None:
        """`kind` is one of Didomi's six types, or `other`; `disposition` one of ours, or `duplicate`."""

    def count_refusal(self, status: int) -> None:
        """A request was answered with this error status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEndpoint:
    """Receives notifications."""

    ingest: Ingest
    authenticator: WebhookAuthenticator
    policy: InterpretationPolicy
    clock: Clock
    max_body_bytes: int
    body_timeout: timedelta
    """How long a caller may take to send a body."""
    metrics: WebhookMetrics | None
    # Bound once: a log entry that its level leaves out would otherwise still cost a binding.
    log: Any = field(default_factory=lambda: structlog.get_logger(__name__).bind())

    async def answer(self, request: Request) -> Response:
        """The answer to one request; never raises for anything that the caller or the store does."""
        received_at = self.clock.now()
        get_header = request.headers.getlist
        try:
            self.authenticator.check_address(peer=peer_address(request), get_header=get_header)
            method = await self.authenticator.authenticate(get_header=get_header, now=received_at)
            body = await read_body(request, max_bytes=self.max_body_bytes, timeout=self.body_timeout)
        except CallerError as error:
            self.log.warning(
                "caller_refused", status=error.status, cause=type(error).__name__, detail=str(error)
            )
            return self._refuse(caller_problem(error))
        interpreted = interpret_body(body, received_at=received_at, caller=method.value, policy=self.policy)
        for failure in interpreted.failures:
            self.log.error("notification_not_understood", cause=failure)
        notifications = interpreted.notifications
        try:
            results = await self.ingest(notifications) if notifications else ()
        except StoreError as error:
            self.log.error("store_unavailable", cause=str(error))  # noqa: TRY400 - expected; the cause is enough
            return self._refuse(nothing_stored())
        self._report(notifications, results)
        if interpreted.not_json is not None:
            return self._refuse(caller_problem(interpreted.not_json))
        return _accept(results)

    def _refuse(self, response: Response) -> Response:
        if self.metrics is not None:
            self.metrics.count_refusal(response.status_code)
        return response

    def _report(
        self, notifications: Sequence[InterpretedNotification], results: Sequence[IngestResult]
    ) -> None:
        for notification, result in zip(notifications, results, strict=True):
            # The type is the caller's text and may be anything, which a label must not.
            kind = notification.type if notification.type in _KINDS else _OTHER_KIND
            disposition = _DUPLICATE if result.duplicate else result.disposition.value
            reason = "" if result.reason is None else result.reason.value
            self.log.info(
                "notification_stored",
                notification=notification.digest,
                kind=kind,
                disposition=disposition,
                reason=reason,
            )
            if self.metrics is not None:
                self.metrics.count_notification(kind, disposition, reason)


def _accept(results: Sequence[IngestResult]) -> Response:
    """Two numbers for the person who tries it out. They say nothing about a person."""
    members = {"received": len(results), "duplicates": sum(result.duplicate for result in results)}
    return Response(json.dumps(members), status_code=202, media_type="application/json")
