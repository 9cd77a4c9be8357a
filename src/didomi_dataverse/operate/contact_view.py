"""Why does a column say what it says? One person's choices, columns and evidence, for people."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from didomi_dataverse.ledger.contact import Attempt, Contact, resolve
from didomi_dataverse.ledger.ledger import Ledger
from didomi_dataverse.ledger.views import Logged
from didomi_dataverse.mapping.apply import apply
from didomi_dataverse.mapping.schema import Mapping as ColumnMapping
from didomi_dataverse.operate.explain import choice_view, column_view, words

SHOWN = 20
"""How many notifications and attempts are shown, the latest first."""


async def contact_view(ledger: Ledger, mapping: ColumnMapping, key: str) -> dict[str, Any] | None:
    """Everything known of one contact as plain JSON values, or None when nothing is. `key`:
    `identity.identify`.
    """
    contact = await ledger.contact(key)
    if contact is None:
        return None
    notifications = await ledger.notifications_of(contact.contact_id, SHOWN)
    attempts = await ledger.attempts_of(contact.contact_id, SHOWN)
    return {
        "organization_user_id": contact.identifier,
        "state": contact.state.value,
        "reason": contact.reason,
        "due_at": _time(contact.due_at),
        "revision": contact.revision,
        "attempts_since_success": contact.attempts,
        "unmatched_since": _time(contact.unmatched_since),
        "row_id": contact.row_id,
        "columns": _columns(contact, mapping, attempts),
        "choices": [
            {**choice_view(resolved.choice), "withheld": resolved.withheld}
            for _, resolved in sorted(resolve(contact.registers).items(), key=lambda pair: str(pair[0]))
        ],
        "notifications": [_notification_view(logged) for logged in notifications],
        "attempts": [_attempt_view(attempt) for attempt in attempts],
    }


def _columns(contact: Contact, mapping: ColumnMapping, attempts: Sequence[Attempt]) -> dict[str, Any]:
    """For every column: what it should hold and by which rule, what Dataverse confirmed, and when that was
    sent.
    """
    values = apply(mapping, resolve(contact.registers)).values
    sent: dict[str, Attempt] = {}
    for attempt in attempts:  # the latest first
        if attempt.outcome in {"written", "created"}:
            for name in attempt.columns:
                sent.setdefault(name, attempt)
    columns: dict[str, Any] = {}
    for name in sorted({*values, *contact.written}):
        value, written, last = values.get(name), contact.written.get(name), sent.get(name)
        columns[name] = {
            **(
                {"value": None, "rule": "not mapped any more", "sources": []}
                if value is None
                else column_view(value)
            ),
            "confirmed": None if written is None else {"value": written.value},
            "written_at": None if last is None else _time(last.attempted_at),
            "request_id": None if last is None else last.request_id,
        }
    return columns


def _notification_view(logged: Logged) -> dict[str, Any]:
    return {
        "id": logged.digest[:12],
        "received_at": _time(logged.received_at),
        "times_received": logged.times_received,
        "type": logged.type,
        "regulation": logged.regulation,
        "disposition": logged.disposition.value,
        "reason": None if logged.reason is None else logged.reason.value,
        "effective_at": _time(logged.effective_at),
        "source": logged.source_id,
        "caller": logged.caller,
        "notes": list(logged.notes),
    }


def _attempt_view(attempt: Attempt) -> dict[str, Any]:
    return {
        "attempted_at": _time(attempt.attempted_at),
        "outcome": attempt.outcome,
        "status": attempt.status,
        "code": attempt.code,
        "message": attempt.message,
        "request_id": attempt.request_id,
        "columns": {name: dict(sent) for name, sent in attempt.columns.items()},
    }


def _time(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="milliseconds")


def _said(choice: Mapping[str, Any]) -> str:
    """The value, and what a deletion has to do with it (design.md 5, "Deletes")."""
    if choice["value"] is None:
        return "nothing any more: deleted"
    return words(choice["value"]) + (" (deleted, but a refusal stays in force)" if choice["withheld"] else "")


def readable(view: Mapping[str, Any]) -> str:
    """The view as text for a terminal."""
    reason = f" ({view['reason']})" if view["reason"] else ""
    due = f", due {view['due_at']}" if view["due_at"] else ""
    lines = [f"{view['organization_user_id']}: {view['state']}{reason}{due}", "", "Columns"]
    for name, column in view["columns"].items():
        confirmed = column["confirmed"]
        told = (
            "Dataverse was not told yet"
            if confirmed is None
            else f"written {column['written_at'] or 'before the attempts still kept'}"
            if confirmed["value"] == column["value"]
            else f"Dataverse still has {words(confirmed['value'])}"
        )
        sources = f" (event {', '.join(column['sources'])})" if column["sources"] else ""
        lines.append(f"  {name} = {words(column['value'])}: {column['rule']}{sources}; {told}")
    lines += ["", "Choices"]
    lines += [
        f"  {choice['subject']} = {_said(choice)}, made {choice['made_at']} ({choice['kind']})"
        for choice in view["choices"]
    ]
    lines += ["", "Notifications, the latest first"]
    for seen in view["notifications"]:
        because = f" ({seen['reason']})" if seen["reason"] else ""
        times = f", received {seen['times_received']} times" if seen["times_received"] > 1 else ""
        lines.append(
            f"  {seen['received_at']} {seen['id']} {seen['type']}: {seen['disposition']}{because}{times}"
        )
    lines += ["", "Attempts, the latest first"]
    for tried in view["attempts"]:
        answer = " ".join(str(part) for part in (tried["status"], tried["code"], tried["message"]) if part)
        columns = ", ".join(tried["columns"]) or "no columns"
        lines.append(f"  {tried['attempted_at']} {tried['outcome']}: {columns}; {answer or 'no answer'}")
    return "\n".join(lines)
