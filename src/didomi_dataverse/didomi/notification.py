"""Bytes → notifications: what an envelope says, before interpret.py decides what it means (didomi.md 1.2).

This module refuses no notification. What keeps one from being applied is its `fault`; what is merely odd is a
warning. Only a body that is not JSON raises, because then there is no notification.
"""

from dataclasses import dataclass, field
from datetime import datetime

from didomi_dataverse.didomi.interpreted import NotificationType, Reason
from didomi_dataverse.didomi.payload.entity import Entity, parse_event, parse_id, parse_user
from didomi_dataverse.didomi.payload.flatten import AmbiguousKeyError, is_flat, rebuild
from didomi_dataverse.didomi.payload.json_body import Envelope, JsonObject, split_envelopes
from didomi_dataverse.didomi.payload.timestamps import parse_timestamp
from didomi_dataverse.didomi.payload.warnings import ParseWarnings
from didomi_dataverse.text import clip

DEFAULT_REGULATION = "gdpr"
"""What a notification without a regulation belongs to (didomi.md 1.10)."""

_MAX_WORD_CHARACTERS = 100


_KNOWN_TYPES = {known.value: known for known in NotificationType}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceEvent:
    """The event that caused an update, where the notification names it (didomi.md 1.2)."""

    source_id: str
    """Empty when no event is named."""
    made_at: datetime | None
    """When the event was made, aware UTC; None when missing or unreadable."""


NO_SOURCE_EVENT = SourceEvent(source_id="", made_at=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One envelope, parsed."""

    digest: str
    """SHA-256 (hex) of the canonical body."""
    body: bytes = field(repr=False)
    """Its part of the bytes as received."""
    type: str
    """Didomi's type as received, clipped; empty when there is none."""
    known_type: NotificationType | None
    """None for a type that Didomi did not document when this was written."""
    regulation: str
    """In lower case, never empty."""
    entity: Entity | None = None
    """The entity that counts: the new one of an update. None when it is missing, or when the type is unknown
    or the envelope has a fault, so that it was not parsed.
    """
    old_entity: Entity | None = None
    """The entity before an update; None when the notification has none."""
    source: SourceEvent = NO_SOURCE_EVENT
    fault: Reason | None = None
    """Why it cannot be applied; None when the envelope has no fault."""
    warnings: tuple[str, ...] = ()
    """What was odd, as `ParseWarnings` collects it."""


def parse_notifications(body: bytes) -> tuple[Notification, ...]:
    """Every notification of a body, in order. Raises NotJsonError as `split_envelopes` does.

    >>> body = b'{"type": "user.deleted", "parameters": {"entity": {"id": "U1"}}}'
    >>> (notification,) = parse_notifications(body)
    >>> notification.known_type.value, notification.regulation, notification.entity.didomi_user
    ('user.deleted', 'gdpr', 'U1')
    """
    return tuple(_parse_envelope(envelope) for envelope in split_envelopes(body))


def _parse_envelope(envelope: Envelope) -> Notification:
    warnings = ParseWarnings()
    members = envelope.members
    fault: Reason | None = None
    if envelope.has_duplicate_keys:
        warnings.add("duplicate_key")
        fault = Reason.MALFORMED
    if is_flat(members):
        warnings.add("flattened")
        try:
            members = rebuild(members)
        except AmbiguousKeyError:
            warnings.add("flattened_ambiguous")
            fault = Reason.MALFORMED
    type_word = _parse_word(members.get("type"))
    known_type = _KNOWN_TYPES.get(type_word)
    if not type_word:
        warnings.add("wrong_type", "type")
        fault = fault or Reason.MALFORMED
    elif known_type is None:
        fault = fault or Reason.UNKNOWN_TYPE
    if known_type is None or fault is not None:
        regulation, _ = _determine_regulation(members, {}, warnings)
        return Notification(
            digest=envelope.digest,
            body=envelope.body,
            type=type_word,
            known_type=known_type,
            regulation=regulation,
            fault=fault,
            warnings=warnings.to_tuple(),
        )
    return _parse_known_type(envelope, members, known_type, warnings)


def _parse_known_type(
    envelope: Envelope, members: JsonObject, known_type: NotificationType, warnings: ParseWarnings
) -> Notification:
    parameters = members.get("parameters")
    if not isinstance(parameters, dict):
        warnings.add("wrong_type", "parameters")
        parameters = {}
    entity_members = _find_entity(parameters, known_type, warnings)
    regulation, fault = _determine_regulation(members, entity_members or {}, warnings)
    parse_entity = parse_event if known_type.is_event else parse_user
    old = parameters.get("old_entity")
    if old is not None and not isinstance(old, dict):
        warnings.add("wrong_type", "old_entity")
    entity = None
    if entity_members is not None:
        entity = parse_entity(entity_members, regulation=regulation, warnings=warnings)
    old_entity = None
    if isinstance(old, dict):
        # What was odd about the state before is not a warning about this notification.
        old_entity = parse_entity(old, regulation=regulation, warnings=ParseWarnings())
    return Notification(
        digest=envelope.digest,
        body=envelope.body,
        type=known_type.value,
        known_type=known_type,
        regulation=regulation,
        entity=entity,
        old_entity=old_entity,
        source=_parse_source(parameters.get("source"), warnings),
        fault=Reason.MALFORMED if entity is None else fault,
        warnings=warnings.to_tuple(),
    )


def _find_entity(
    parameters: JsonObject, known_type: NotificationType, warnings: ParseWarnings
) -> JsonObject | None:
    expected, other = ("new_entity", "entity") if known_type.is_update else ("entity", "new_entity")
    members = parameters.get(expected)
    if members is None and (members := parameters.get(other)) is not None:
        # With the flatten option both appear as `entity` (didomi.md 1.7).
        warnings.add("entity_under_other_name", other)
    if isinstance(members, dict):
        return members
    warnings.add("wrong_type", expected)
    return None


def _determine_regulation(
    members: JsonObject, entity: JsonObject, warnings: ParseWarnings
) -> tuple[str, Reason | None]:
    """The envelope's, else the entity's, else GDPR; two different ones are a fault (didomi.md 1.10)."""
    named: list[str] = []
    for path, written in (
        ("regulation", members.get("regulation")),
        ("entity.regulation", entity.get("regulation")),
    ):
        word = _parse_word(written).lower()
        if word:
            named.append(word)
        elif written is not None and written != "":
            warnings.add("wrong_type", path)
            # A regulation is named, so GDPR must not be assumed: regulations never mix.
            return (named[0] if named else DEFAULT_REGULATION), Reason.REGULATION_MISMATCH
    if len(set(named)) > 1:
        return named[0], Reason.REGULATION_MISMATCH
    return (named[0] if named else DEFAULT_REGULATION), None


def _parse_source(members: object, warnings: ParseWarnings) -> SourceEvent:
    if not isinstance(members, dict):
        if members is not None:
            warnings.add("wrong_type", "source")
        return NO_SOURCE_EVENT
    # An event's time is its update, else its creation (didomi.md 1.6).
    made_at = parse_timestamp(
        members.get("updated_at") if members.get("updated_at") is not None else members.get("created_at")
    )
    if made_at is not None and not isinstance(made_at, datetime):
        warnings.add("unreadable_time", "source")
        made_at = None
    return SourceEvent(source_id=parse_id(members.get("id"), "source.id", warnings), made_at=made_at)


def _parse_word(written: object) -> str:
    return clip(written.strip(), max_characters=_MAX_WORD_CHARACTERS) if isinstance(written, str) else ""
