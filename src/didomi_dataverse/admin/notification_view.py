"""Notifications for people: a line each, or one with what it means today. Nobody can be recognised."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from didomi_dataverse.admin.explain import explain, rule_words, words
from didomi_dataverse.didomi.interpreted import InterpretedNotification
from didomi_dataverse.ledger.read_models import NotificationSummary, ParkedContact, StoredNotification
from didomi_dataverse.mapping.rules import ColumnMapping
from didomi_dataverse.privacy.mask import MASKED, mask, shown_id
from didomi_dataverse.privacy.webhook_body import masked_body

ID_CHARACTERS = 12
"""How much of a digest names a notification."""


def listed_view(listed: NotificationSummary) -> dict[str, Any]:
    """One line of the list."""
    return {
        "id": listed.digest[:ID_CHARACTERS],
        "received_at": _time(listed.received_at),
        "times_received": listed.times_received,
        "type": listed.type,
        "regulation": listed.regulation,
        "disposition": listed.disposition.value,
        "reason": None if listed.reason is None else listed.reason.value,
        "person": None if listed.identifier is None else mask(listed.identifier),
    }


def parked_contact_view(parked: ParkedContact) -> dict[str, Any]:
    """One contact that waits for a person, by the number that `contacts retry` takes."""
    return {
        "id": f"#{parked.contact_id}",
        "parked_at": _time(parked.parked_at),
        "changed_at": _time(parked.changed_at),
        "reason": parked.reason,
        "person": mask(parked.identifier),
    }


def notification_view(
    logged: StoredNotification, reading: InterpretedNotification | None, mapping: ColumnMapping
) -> dict[str, Any]:
    """What was received and what became of it; and, from `reading`, what it says and would write today.

    `reading` is None when the body cannot be read.
    """
    view: dict[str, Any] = {
        "id": logged.digest[:ID_CHARACTERS],
        "digest": logged.digest,
        "received_at": _time(logged.received_at),
        "last_received_at": _time(logged.last_received_at),
        "times_received": logged.times_received,
        "type": logged.type,
        "regulation": logged.regulation,
        "organization_id": logged.organization_id,
        "didomi_user": mask(logged.didomi_user) if logged.didomi_user else None,
        "source": logged.source_id or None,
        "effective_at": _time(logged.effective_at),
        "caller": logged.caller,
        "disposition": logged.disposition.value,
        "reason": None if logged.reason is None else logged.reason.value,
        "notes": list(logged.notes),
        "person": None,
        "choices": [],
        "columns": {},
        "findings": [],
        "body_bytes": len(logged.body),
        "body": masked_body(logged.body),
    }
    if reading is not None:
        explained = explain(reading, mapping)
        view["person"] = None if reading.identity is None else mask(reading.identity.identifier)
        view["choices"] = [_masked_choice(choice) for choice in explained["choices"]]
        view["columns"] = {name: _masked_column(column) for name, column in explained["columns"].items()}
        view["findings"] = explained["findings"]
    return view


def _masked_choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    value = choice["value"]
    if isinstance(value, list):
        value = [shown_id(one) for one in value]
    elif not (value is None or isinstance(value, bool)) or ".person." in choice["subject"]:
        value = MASKED
    return {**choice, "value": value}


def _masked_column(column: Mapping[str, Any]) -> dict[str, Any]:
    value = column["value"]
    is_text = isinstance(value, str)
    return {**column, "value": MASKED if is_text or ".person." in column["rule"] else value}


def _time(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="milliseconds")


def readable_line(view: Mapping[str, Any]) -> str:
    """One line for a terminal."""
    kind = view["type"] or "no type"
    because = f" ({view['reason']})" if view["reason"] else ""
    times = f", {view['times_received']} times" if view["times_received"] > 1 else ""
    person = view["person"] or "nobody named"
    return f"{view['received_at']}  {view['id']}  {kind}: {view['disposition']}{because}, {person}{times}"


def readable(view: Mapping[str, Any]) -> str:
    """The whole view for a terminal, without the body."""
    organization = view["organization_id"] or "not named"
    made_at = view["effective_at"] or "at an unknown time"
    lines = [
        readable_line(view),
        f"  digest:    {view['digest']}",
        f"  about:     regulation {view['regulation'] or 'unknown'}, organization {organization}",
        f"  source:    {view['source'] or 'none'}, made {made_at}, called by {view['caller']}",
    ]
    lines += [f"  note:      {note}" for note in view["notes"]]
    lines += [
        f"  choice:    {choice['subject']} = {words(choice['value'])} ({choice['kind']})"
        for choice in view["choices"]
    ]
    lines += [
        f"  column:    {name} = {words(column['value'])}    by {rule_words(column)}"
        for name, column in view["columns"].items()
    ]
    lines += [f"  finding:   {found['problem']} at {found['rule']}" for found in view["findings"]]
    return "\n".join(lines)
