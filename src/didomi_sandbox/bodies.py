"""Webhook bodies as Didomi sends them (didomi.md 1.2, 1.3 and 2). The caller states only what it varies.

Instants are aware datetimes. Every other part of a body has a neutral default.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

Body = dict[str, object]
"""A whole webhook body."""

Entity = dict[str, object]
"""An event, a user, or a part of one."""

ORGANIZATION_ID = "acme"
DOMAIN = "preferences.example.com"


def format_instant(moment: datetime) -> str:
    """ISO 8601 with seconds and `Z`; milliseconds only when the moment has a fraction (didomi.md 1.6).

    >>> format_instant(datetime(2026, 3, 1, 12, 0, tzinfo=UTC))
    '2026-03-01T12:00:00Z'
    """
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def purpose(
    purpose_id: str,
    enabled: bool | None,  # noqa: FBT001 - a choice, not a switch
    *,
    legitimate_interest: bool | None = None,
    values: Mapping[str, str | Sequence[str] | None] | None = None,
) -> Entity:
    """A purpose (didomi.md 2.3). `values`: preference id → value id(s), or None for no choice.

    >>> purpose("profiling", True, values={"topics": ["sport", "culture"]})
    {'id': 'profiling', 'enabled': True, 'values': {'topics': {'value': 'sport,culture'}}}
    """
    entry: Entity = {"id": purpose_id, "enabled": enabled}
    if legitimate_interest is not None:
        entry["enabled_li"] = legitimate_interest
    if values is not None:
        entry["values"] = {
            preference: {"value": chosen if chosen is None or isinstance(chosen, str) else ",".join(chosen)}
            for preference, chosen in values.items()
        }
    return entry


def purpose_v1(
    purpose_id: str,
    enabled: bool | None,  # noqa: FBT001 - a choice, not a switch
    *,
    preferences: Mapping[str, bool | None] | None = None,
    channels: Mapping[str, bool | None] | None = None,
) -> Entity:
    """A purpose in the older, nested form: preferences and channels are yes or no (didomi.md 2.3)."""
    return {
        "id": purpose_id,
        "enabled": enabled,
        "metadata": {},
        "preferences": [
            {"id": name, "enabled": chosen, "metadata": {}, "channels": []}
            for name, chosen in (preferences or {}).items()
        ],
        "channels": channel_entries(channels or {}),
    }


def channel_entries(chosen: Mapping[str, bool | None]) -> list[Entity]:
    """The list of channels under `consents` or under a purpose, from choices by channel id."""
    return [{"id": name, "enabled": enabled, "metadata": {}} for name, enabled in chosen.items()]


def consents(purposes: Sequence[Entity], channels: Mapping[str, bool | None] | None = None) -> Entity:
    """The `consents` object of an event or a user."""
    return {
        "purposes": list(purposes),
        "channels": channel_entries(channels or {}),
        "vendors": {"enabled": [], "disabled": [], "enabled_li": [], "disabled_li": []},
        "tcfcs": None,
    }


def person(
    organization_user_id: str | None,
    *,
    didomi_user_id: str | None = None,
    country: str | None = None,
    metadata: Mapping[str, object] | None = None,
) -> Entity:
    """The user of an event. `didomi_user_id` names a device; by default it follows from the other id."""
    return {
        "id": didomi_user_id or f"didomi-{organization_user_id}",
        "organization_user_id": organization_user_id,
        "country": country,
        "metadata": dict(metadata or {}),
    }


def event(
    event_id: str,
    user: Entity,
    purposes: Sequence[Entity],
    *,
    created_at: datetime,
    updated_at: datetime | None = None,
    status: str | None = "confirmed",
    channels: Mapping[str, bool | None] | None = None,
    regulation: str = "gdpr",
    organization_id: str = ORGANIZATION_ID,
) -> Entity:
    """An Event (didomi.md 2.1): a partial choice. `status` None leaves the member out: confirmed."""
    entity: Entity = {
        "id": event_id,
        "organization_id": organization_id,
        "created_at": format_instant(created_at),
        "updated_at": format_instant(updated_at or created_at),
        "regulation": regulation,
        "domain": DOMAIN,
        "metadata": {},
        "user": user,
        "consents": consents(purposes, channels),
        "proofs_id": [],
    }
    if status is not None:
        entity["status"] = status
    return entity


def user_state(
    user: Entity,
    purposes: Sequence[Entity],
    *,
    version: int,
    updated_at: datetime,
    created_at: datetime | None = None,
    channels: Mapping[str, bool | None] | None = None,
    organization_id: str = ORGANIZATION_ID,
) -> Entity:
    """A User (didomi.md 2.2): the merged full state of one Didomi user."""
    return {
        **user,
        "organization_id": organization_id,
        "version": version,
        "created_at": format_instant(created_at or updated_at),
        "updated_at": format_instant(updated_at),
        "consents": consents(purposes, channels),
    }


def event_created(entity: Entity) -> Body:
    """`event.created`."""
    return {"type": "event.created", "regulation": _regulation(entity), "parameters": {"entity": entity}}


def event_updated(old: Entity, new: Entity) -> Body:
    """`event.updated`: approval of a pending event, or a correction."""
    return {
        "type": "event.updated",
        "regulation": _regulation(new),
        "parameters": {"source": _source(new), "old_entity": old, "new_entity": new},
    }


def event_confirmed(pending: Entity, confirmed_at: datetime) -> Body:
    """`event.updated` from pending approval to confirmed (didomi.md 3.1)."""
    return event_updated(
        pending, {**pending, "status": "confirmed", "updated_at": format_instant(confirmed_at)}
    )


def event_deleted(entity: Entity) -> Body:
    """`event.deleted`, which in the published example holds only id and creation time (didomi.md 1.3)."""
    kept = {"id": entity["id"], "created_at": entity["created_at"]}
    return {"type": "event.deleted", "regulation": _regulation(entity), "parameters": {"entity": kept}}


def user_created(entity: Entity, *, regulation: str = "gdpr") -> Body:
    """`user.created`."""
    return {"type": "user.created", "regulation": regulation, "parameters": {"entity": entity}}


def user_updated(old: Entity, new: Entity, *, source: Entity | None = None, regulation: str = "gdpr") -> Body:
    """`user.updated`; `source` is the event that caused it, or None."""
    parameters: Entity = {"old_entity": old, "new_entity": new}
    if source is not None:
        parameters["source"] = _source(source)
    return {"type": "user.updated", "regulation": regulation, "parameters": parameters}


def user_deleted(entity: Entity, *, regulation: str = "gdpr") -> Body:
    """`user.deleted`."""
    return {"type": "user.deleted", "regulation": regulation, "parameters": {"entity": entity}}


def _regulation(entity: Entity) -> object:
    return entity.get("regulation", "gdpr")


def _source(entity: Entity) -> Entity:
    return {"id": entity["id"], "created_at": entity["created_at"]}
