"""Bytes → notifications: what an envelope says, before anybody asks what it means (didomi.md 1.2).

Nothing here refuses a notification. What keeps one from being applied is its `fault`; what is merely odd is a
note. Only a body that is not JSON at all raises, because then there is no notification.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from didomi_dataverse.didomi.interpreted import Reason
from didomi_dataverse.didomi.payload.entity import Entity, name_of, parse_event, parse_user
from didomi_dataverse.didomi.payload.flatten import AmbiguousError, is_flat, rebuild
from didomi_dataverse.didomi.payload.json_body import Envelope, JsonObject, split_envelopes
from didomi_dataverse.didomi.payload.timestamps import parse_timestamp
from didomi_dataverse.didomi.payload.warnings import ParseWarnings
from didomi_dataverse.text import clip

DEFAULT_REGULATION = "gdpr"
_MAX_WORD_CHARACTERS = 100


class NotificationType(StrEnum):
    """The six that Didomi documents (didomi.md 1.3)."""

    EVENT_CREATED = "event.created"
    EVENT_UPDATED = "event.updated"
    EVENT_DELETED = "event.deleted"
    USER_CREATED = "user.created"
    USER_UPDATED = "user.updated"
    USER_DELETED = "user.deleted"

    @property
    def is_event(self) -> bool:
        """The entity tells of one action, not of a Didomi user's whole state."""
        return self.value.startswith("event.")

    @property
    def is_update(self) -> bool:
        """It comes with an entity before and one after."""
        return self.value.endswith(".updated")

    @property
    def is_deletion(self) -> bool:
        """It says that something was taken back."""
        return self.value.endswith(".deleted")


_KNOWN_TYPES = {known.value: known for known in NotificationType}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The event that caused an update, where it is named (didomi.md 1.2). Its time may be missing."""

    source_id: str
    made_at: datetime | None


NO_SOURCE = Source(source_id="", made_at=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One envelope. `known_type` is None for a type that Didomi did not document when this was written.

    `entity` is the one that counts: the new one of an update. `body` is its part of the bytes as received and
    `digest` the SHA-256 (hex) of its canonical form. `regulation` is in lower case and never empty.
    """

    digest: str
    body: bytes = field(repr=False)
    type: str
    known_type: NotificationType | None
    regulation: str
    entity: Entity | None = None
    old_entity: Entity | None = None
    source: Source = NO_SOURCE
    fault: Reason | None = None
    notes: tuple[str, ...] = ()


def parse_notifications(body: bytes) -> tuple[Notification, ...]:
    """Every notification of a body, in order. Raises NotJsonError as `split_envelopes` does."""
    return tuple(_notification(envelope) for envelope in split_envelopes(body))


def _notification(envelope: Envelope) -> Notification:
    notes = ParseWarnings()
    members = envelope.members
    fault: Reason | None = None
    if envelope.has_duplicate_keys:
        notes.add("duplicate_key")
        fault = Reason.MALFORMED
    if is_flat(members):
        notes.add("flattened")
        try:
            members = rebuild(members)
        except AmbiguousError:
            notes.add("flattened_ambiguous")
            fault = Reason.MALFORMED
    type_word = _word(members.get("type"))
    known_type = _KNOWN_TYPES.get(type_word)
    if not type_word:
        notes.add("wrong_type", "type")
        fault = fault or Reason.MALFORMED
    elif known_type is None:
        fault = fault or Reason.UNKNOWN_TYPE
    if known_type is None or fault is not None:
        regulation, _ = _regulation(members, {}, notes)
        return Notification(
            digest=envelope.digest,
            body=envelope.body,
            type=type_word,
            known_type=known_type,
            regulation=regulation,
            fault=fault,
            notes=notes.found(),
        )
    return _of_known_type(envelope, members, known_type, notes)


def _of_known_type(
    envelope: Envelope, members: JsonObject, known_type: NotificationType, notes: ParseWarnings
) -> Notification:
    parameters = members.get("parameters")
    if not isinstance(parameters, dict):
        notes.add("wrong_type", "parameters")
        parameters = {}
    found = _entity_of(parameters, known_type, notes)
    regulation, fault = _regulation(members, found or {}, notes)
    read = parse_event if known_type.is_event else parse_user
    old = parameters.get("old_entity")
    if old is not None and not isinstance(old, dict):
        notes.add("wrong_type", "old_entity")
    entity = None if found is None else read(found, regulation=regulation, notes=notes)
    return Notification(
        digest=envelope.digest,
        body=envelope.body,
        type=known_type.value,
        known_type=known_type,
        regulation=regulation,
        entity=entity,
        # What was wrong with the state before this notification is nobody's concern any more.
        old_entity=read(old, regulation=regulation, notes=ParseWarnings()) if isinstance(old, dict) else None,
        source=_source(parameters.get("source"), notes),
        fault=Reason.MALFORMED if entity is None else fault,
        notes=notes.found(),
    )


def _entity_of(
    parameters: JsonObject, known_type: NotificationType, notes: ParseWarnings
) -> JsonObject | None:
    expected, other = ("new_entity", "entity") if known_type.is_update else ("entity", "new_entity")
    found = parameters.get(expected)
    if found is None and (found := parameters.get(other)) is not None:
        # With the flatten option both appear as `entity` (didomi.md 1.7).
        notes.add("entity_under_other_name", other)
    if isinstance(found, dict):
        return found
    notes.add("wrong_type", expected)
    return None


def _regulation(members: JsonObject, entity: JsonObject, notes: ParseWarnings) -> tuple[str, Reason | None]:
    """The envelope's, else the entity's, else GDPR; two different ones are a fault (didomi.md 1.10)."""
    named: list[str] = []
    for path, written in (
        ("regulation", members.get("regulation")),
        ("entity.regulation", entity.get("regulation")),
    ):
        word = _word(written).lower()
        if word:
            named.append(word)
        elif written is not None and written != "":
            notes.add("wrong_type", path)
            # Something is named, so GDPR must not be assumed: regulations never mix.
            return (named[0] if named else DEFAULT_REGULATION), Reason.REGULATION_MISMATCH
    if len(set(named)) > 1:
        return named[0], Reason.REGULATION_MISMATCH
    return (named[0] if named else DEFAULT_REGULATION), None


def _source(found: object, notes: ParseWarnings) -> Source:
    if not isinstance(found, dict):
        if found is not None:
            notes.add("wrong_type", "source")
        return NO_SOURCE
    # An event's time is its update, else its creation (didomi.md 1.6).
    read = parse_timestamp(
        found.get("updated_at") if found.get("updated_at") is not None else found.get("created_at")
    )
    if read is not None and not isinstance(read, datetime):
        notes.add("unreadable_time", "source")
        read = None
    return Source(source_id=name_of(found.get("id"), "source.id", notes), made_at=read)


def _word(written: object) -> str:
    return clip(written.strip(), max_characters=_MAX_WORD_CHARACTERS) if isinstance(written, str) else ""
