"""The bytes of a request → what is stored of them. Nothing that a good caller sends is lost by a mistake of
ours: what cannot be interpreted is kept, parked for a person (docs/promises.md 7).
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime

from didomi_dataverse.didomi.interpret import InterpretationPolicy, interpret
from didomi_dataverse.didomi.interpreted import Disposition, InterpretedNotification, Reason
from didomi_dataverse.didomi.notification import parse_notifications
from didomi_dataverse.errors import NotJsonError


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpretedBody:
    """What one request's body holds."""

    notifications: tuple[InterpretedNotification, ...]
    """To be stored, in order. A body that could not be parsed is one notification, parked."""
    not_json: NotJsonError | None = None
    """Why the body is not JSON; None when it is."""
    failures: tuple[str, ...] = ()
    """The class names of our own exceptions. Each parked a notification as internal_error."""


def interpret_body(
    body: bytes, *, received_at: datetime, caller: str, policy: InterpretationPolicy
) -> InterpretedBody:
    """Interpret every notification of a body. Never raises.

    `received_at` is aware UTC; `caller` is how the caller was authenticated.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    >>> policy = InterpretationPolicy()
    >>> interpreted = interpret_body(b"<html>", received_at=noon, caller="oauth", policy=policy)
    >>> [notification.reason.value for notification in interpreted.notifications]
    ['not_json']
    """
    try:
        parsed = parse_notifications(body)
    except NotJsonError as error:
        parked = _park(body, received_at, caller, Reason.NOT_JSON)
        return InterpretedBody(notifications=(parked,), not_json=error)
    except Exception as error:  # noqa: BLE001 - no notification is lost by a mistake of ours
        parked = _park(body, received_at, caller, Reason.INTERNAL_ERROR)
        return InterpretedBody(notifications=(parked,), failures=(type(error).__name__,))
    notifications: list[InterpretedNotification] = []
    failures: list[str] = []
    for notification in parsed:
        try:
            interpreted = interpret(notification, received_at=received_at, caller=caller, policy=policy)
        except Exception as error:  # noqa: BLE001 - as above, and the other notifications of a list go on
            failures.append(type(error).__name__)
            parked = _park(notification.body, received_at, caller, Reason.INTERNAL_ERROR)
            interpreted = replace(parked, digest=notification.digest, type=notification.type)
        notifications.append(interpreted)
    return InterpretedBody(notifications=tuple(notifications), failures=tuple(failures))


def _park(body: bytes, received_at: datetime, caller: str, reason: Reason) -> InterpretedNotification:
    """Bytes that no notification was made of, kept for a person. The digest is that of the bytes."""
    return InterpretedNotification(
        digest=hashlib.sha256(body).hexdigest(),
        body=body,
        received_at=received_at,
        type="",
        caller=caller,
        disposition=Disposition.PARKED,
        reason=reason,
    )
