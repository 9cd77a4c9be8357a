"""Bodies in the shapes of didomi.md 1.2 and 2, and short forms of what they are interpreted as."""

import json
from datetime import UTC, datetime
from typing import Any

from didomi_dataverse.consent.model import Basis, Item, Subject, Value
from didomi_dataverse.didomi.interpret import InterpretationPolicy, interpret
from didomi_dataverse.didomi.interpreted import InterpretedNotification
from didomi_dataverse.didomi.notification import parse_notifications

RECEIVED_AT = datetime(2026, 10, 5, 12, 0, tzinfo=UTC)
CREATED_AT = datetime(2026, 10, 5, 10, 0, tzinfo=UTC)
UPDATED_AT = datetime(2026, 10, 5, 11, 0, tzinfo=UTC)
SOURCE_AT = datetime(2026, 10, 5, 10, 59, 58, tzinfo=UTC)

Json = dict[str, Any]

NEWS = Item("gdpr", "news")
NEWS_LI = Item("gdpr", "news", basis=Basis.LEGITIMATE_INTEREST)


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def event(purposes: list[Any] | None = None, **members: object) -> Json:
    """An Event of didomi.md 2.1. A member given as None is left out."""
    whole: Json = {
        "id": "E1",
        "organization_id": "acme",
        "created_at": iso(CREATED_AT),
        "status": "confirmed",
        "user": {"id": "U1", "organization_user_id": "a@example.com"},
        "consents": {"purposes": [{"id": "news", "enabled": True}] if purposes is None else purposes},
    }
    return {key: value for key, value in {**whole, **members}.items() if value is not None}


def user(purposes: list[Any] | None = None, **members: object) -> Json:
    """A User of didomi.md 2.2. A member given as None is left out."""
    whole: Json = {
        "id": "U1",
        "organization_id": "acme",
        "organization_user_id": "a@example.com",
        "version": 7,
        "created_at": iso(CREATED_AT),
        "updated_at": iso(UPDATED_AT),
        "consents": {"purposes": [{"id": "news", "enabled": True}] if purposes is None else purposes},
    }
    return {key: value for key, value in {**whole, **members}.items() if value is not None}


def created(entity: Json, *, kind: str = "event.created", **members: object) -> Json:
    return {"type": kind, "regulation": "gdpr", "parameters": {"entity": entity}, **members}


def updated(new: Json, old: Json | None = None, *, kind: str, source: object = None) -> Json:
    parameters: Json = {"new_entity": new}
    if old is not None:
        parameters["old_entity"] = old
    if source is not None:
        parameters["source"] = source
    return {"type": kind, "regulation": "gdpr", "parameters": parameters}


def encode(envelope: object) -> bytes:
    return json.dumps(envelope).encode()


def interpret_envelope(
    envelope: object, policy: InterpretationPolicy | None = None
) -> InterpretedNotification:
    """The interpretation of a body that holds one notification."""
    body = envelope if isinstance(envelope, bytes) else encode(envelope)
    (notification,) = parse_notifications(body)
    return interpret(
        notification,
        received_at=RECEIVED_AT,
        caller="oauth",
        policy=policy or InterpretationPolicy(organization_id="acme"),
    )


def values_by_subject(interpreted: InterpretedNotification) -> dict[Subject, Value]:
    return {choice.subject: choice.value for choice in interpreted.choices}


def describe_disposition(interpreted: InterpretedNotification) -> str:
    """`applied`, or the disposition with its reason: `parked malformed`."""
    return f"{interpreted.disposition} {interpreted.reason or ''}".strip()
