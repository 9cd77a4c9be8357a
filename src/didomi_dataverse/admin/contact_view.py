"""Why does a column say what it says? One person's choices, columns and evidence, for people."""

from collections.abc import Mapping
from datetime import datetime
from itertools import chain, repeat
from typing import Any

from didomi_dataverse.admin.explain import choice_view, column_view, rule_words, words
from didomi_dataverse.consent.model import UNSET, Item
from didomi_dataverse.consent.registers import resolve
from didomi_dataverse.ledger.delivery_state import Attempt, Contact
from didomi_dataverse.ledger.queries import LedgerReader
from didomi_dataverse.ledger.read_models import StoredNotification
from didomi_dataverse.mapping.apply import apply
from didomi_dataverse.mapping.diff import diff_columns
from didomi_dataverse.mapping.rules import ColumnMapping

SHOWN = 20
"""How many notifications and attempts are shown unless somebody asks for more."""


async def contact_view(
    ledger: LedgerReader, mapping: ColumnMapping, key: str, *, limit: int = SHOWN
) -> dict[str, Any] | None:
    """Everything known of one contact as plain JSON values, or None when nothing is. `key`:
    `identity.identify`. Of notifications and of attempts the latest `limit` each; the evidence of a column
    is found however old it is.
    """
    contact = await ledger.contact(key)
    if contact is None:
        return None
    # One more than is shown tells whether there are more.
    didomi_users = {user for _, user in contact.registers}
    notifications = await ledger.notifications_of(contact.contact_id, limit + 1, didomi_users)
    attempts = await ledger.attempts_of(contact.contact_id, limit + 1)
    return {
        "organization_user_id": contact.identifier,
        "state": contact.state.value,
        "reason": contact.reason,
        "due_at": _time(contact.due_at),
        "revision": contact.revision,
        "attempts_since_success": contact.attempts,
        "unmatched_since": _time(contact.unmatched_since),
        "row_id": contact.row_id,
        "columns": await _columns(ledger, contact, mapping),
        "choices": [
            {**choice_view(resolved.choice), "withheld": resolved.withheld}
            for _, resolved in sorted(resolve(contact.registers).items(), key=lambda pair: str(pair[0]))
        ],
        "notifications": [_notification_view(logged) for logged in notifications[:limit]],
        "attempts": [_attempt_view(attempt) for attempt in attempts[:limit]],
        "more_notifications": len(notifications) > limit,
        "more_attempts": len(attempts) > limit,
    }


async def _columns(ledger: LedgerReader, contact: Contact, mapping: ColumnMapping) -> dict[str, Any]:
    """For every column: what it should hold and by which rule, what Dataverse confirmed, and when that was
    sent.
    """
    resolved = resolve(contact.registers)
    found = apply(mapping, resolved)
    left = apply(mapping, {of: one for of, one in resolved.items() if one.choice.value is not UNSET})
    going = diff_columns(found, contact.written)
    decisions = {rule.column for rule in mapping.rules if _is_decision(rule.source)}
    names = {*found.values, *contact.written}
    confirmations = await ledger.confirmations_of(contact.contact_id, names)
    columns: dict[str, Any] = {}
    for name in sorted(names):
        value, written, last = found.values.get(name), contact.written.get(name), confirmations.get(name)
        if value is None:
            view: dict[str, Any] = {
                "value": None,
                "rule": "not mapped any more",
                "inverted": False,
                "sources": [],
            }
        else:
            view = column_view(value, mapping)
        columns[name] = {
            **view,
            # What is written only because something was deleted is not written when that never was.
            "deleted": value != left.values.get(name),
            "is_decision": name in decisions,
            "confirmed": None if written is None else {"value": written.value},
            "waits_for_column": value is not None and value.follows is not None and name not in going,
            "written_at": None if last is None else _time(last.attempted_at),
            "request_id": None if last is None else last.request_id,
        }
    return columns


def _is_decision(source: object) -> bool:
    return isinstance(source, Item) and not source.preference


def _notification_view(logged: StoredNotification) -> dict[str, Any]:
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


def _why(column: Mapping[str, Any]) -> str:
    """The rule and the events; or that a deletion is the reason."""
    events = ", ".join(column["sources"])
    if column["deleted"]:
        rest = ": no consent" if column["is_decision"] else ""
        was = f"; was event {events}" if events else ""
        return f"nothing is left after a deletion{rest} ({rule_words(column)}{was})"
    return rule_words(column) + (f" (event {events})" if events else "")


def _told(column: Mapping[str, Any]) -> str:
    """What Dataverse is known to hold."""
    confirmed = column["confirmed"]
    if confirmed is None:
        if column["written_at"]:
            return f"written {column['written_at']}, and to be written again"
        return "Dataverse was not told yet"
    if confirmed["value"] == column["value"]:
        return f"written {column['written_at'] or 'before the attempts still kept'}"
    waits = " (a stamp goes out with the next column)" if column["waits_for_column"] else ""
    return f"Dataverse still has {words(confirmed['value'])}{waits}"


_WITHOUT_MESSAGE: Mapping[str | None, str] = {
    "unmatched": "no row has this key",
    "several_rows": "more than one row has this key",
    "unsendable": "nothing was sent: no request can carry the identifier or a value",
    "internal_error": "nothing was sent: the log says why in `contact_not_mapped`",
}
"""What an attempt came to that was no error of Dataverse's, by its outcome or the reason for parking."""


def _answer(tried: Mapping[str, Any], reason: str | None) -> str:
    """What Dataverse answered. `reason` is why the contact is parked, if this is the attempt that parked
    it.
    """
    said = tried["message"] or _WITHOUT_MESSAGE.get(reason or tried["outcome"], "")
    answer = " ".join(str(part) for part in (tried["status"], tried["code"], said) if part)
    return answer or ("the reason is not kept" if tried["outcome"] == "parked" else "no answer")


def _sent(tried: Mapping[str, Any]) -> str:
    """The columns that were sent, and which of them a rejected row took."""
    names = (
        f"{name} (written all the same)" if sent.get("confirmed") else name
        for name, sent in tried["columns"].items()
    )
    return ", ".join(names) or "no columns"


def _more(view: Mapping[str, Any], kind: str) -> list[str]:
    """That there are more of a kind than are shown."""
    return ["  There are more: `--limit` shows them."] if view[f"more_{kind}"] else []


def _said(choice: Mapping[str, Any]) -> str:
    """The value, and what a deletion has to do with it (docs/how-choices-are-decided.md, "Deletions")."""
    if choice["value"] is None:
        return "nothing any more: deleted"
    return words(choice["value"]) + (" (deleted, but a refusal stays in force)" if choice["withheld"] else "")


def readable(view: Mapping[str, Any]) -> str:
    """The view as text for a terminal."""
    reason = f" ({view['reason']})" if view["reason"] else ""
    due = f", due {view['due_at']}" if view["due_at"] else ""
    lines = [f"{view['organization_user_id']}: {view['state']}{reason}{due}", "", "Columns"]
    lines += [
        f"  {name} = {words(column['value'])}: {_why(column)}; {_told(column)}"
        for name, column in view["columns"].items()
    ]
    lines += ["", "Choices"]
    lines += [
        f"  {choice['subject']} = {_said(choice)}, made {choice['made_at']} ({choice['kind']})"
        for choice in view["choices"]
    ]
    lines += ["", "Notifications, the latest first"]
    for seen in view["notifications"]:
        because = f" ({seen['reason']})" if seen["reason"] else ""
        times = f", received {seen['times_received']} times" if seen["times_received"] > 1 else ""
        source = f" {seen['source']}" if seen["source"] else ""
        made = f" of {seen['effective_at']}" if seen["effective_at"] else ""
        lines.append(
            f"  {seen['received_at']} {seen['id']} {seen['type']}{source}{made}:"
            f" {seen['disposition']}{because}{times}"
        )
    lines += _more(view, "notifications")
    lines += ["", "Attempts, the latest first"]
    # Nothing is tried for a parked contact, so it was the latest attempt that parked it.
    reasons = chain([view["reason"] if view["state"] == "parked" else None], repeat(None))
    lines += [
        f"  {tried['attempted_at']} {tried['outcome']}: {_sent(tried)}; {_answer(tried, reason)}"
        for tried, reason in zip(view["attempts"], reasons, strict=False)
    ]
    lines += _more(view, "attempts")
    return "\n".join(lines)
