"""What `notifications` and `parked` print."""

import json
from collections.abc import Sequence

from didomi_dataverse.admin.notification_view import NotificationLine, NotificationView
from didomi_dataverse.admin.parked import DiscardResult, ParkedContactLine, ParkedList
from didomi_dataverse.admin.render import render_rule, render_value
from didomi_dataverse.admin.replay import ReplayedNotification
from didomi_dataverse.admin.view import format_time


def render_notification_line(line: NotificationLine | NotificationView) -> str:
    """One line of `notifications list`."""
    reason = f" ({line.reason})" if line.reason else ""
    times = f", {line.times_received} times" if line.times_received > 1 else ""
    person = line.person or "no person named"
    return (
        f"{format_time(line.received_at)}  {line.id}  {line.type or 'no type'}:"
        f" {line.disposition}{reason}, {person}{times}"
    )


def render_notifications(lines: Sequence[NotificationLine]) -> str:
    """What `notifications list` prints."""
    return "\n".join(map(render_notification_line, lines)) or "No matching notifications."


def render_notification(view: NotificationView, *, raw: bool) -> str:
    """What `notifications show` prints. `raw`: the body of the view is the text as it was received."""
    made_at = "at an unknown time" if view.effective_at is None else format_time(view.effective_at)
    organization = view.organization_id or "not named"
    lines = [
        render_notification_line(view),
        f"  digest:    {view.digest}",
        f"  about:     regulation {view.regulation or 'unknown'}, organization {organization}",
        f"  source:    {view.source or 'none'}, made {made_at}, called by {view.caller}",
    ]
    lines += [f"  note:      {note}" for note in view.notes]
    lines += [
        f"  choice:    {choice.subject} = {render_value(choice.value)} ({choice.kind})"
        for choice in view.choices
    ]
    lines += [
        f"  column:    {name} = {render_value(column.value)}    by {render_rule(column)}"
        for name, column in view.columns.items()
    ]
    lines += [f"  finding:   {found.problem} at {found.rule}" for found in view.findings]
    lines += [f"  body, {view.body_bytes} bytes:", _render_body(view.body, raw=raw)]
    return "\n".join(lines)


def _render_body(body: object, *, raw: bool) -> str:
    if raw:
        return str(body)
    return "  (not JSON; --raw prints it)" if body is None else json.dumps(body, indent=2)


def render_replay(replayed: Sequence[ReplayedNotification]) -> str:
    """What a replay prints: a line for each notification."""
    return "\n".join(map(_render_replayed, replayed)) or "Nothing to replay."


def _render_replayed(one: ReplayedNotification) -> str:
    reason = f" ({one.reason})" if one.reason else ""
    unread = "" if one.readable else ": the body still cannot be read"
    return f"{one.id}  {one.before} -> {one.disposition}{reason}{unread}"


def render_parked(parked: ParkedList) -> str:
    """What `parked list` prints."""
    lines = [f"notification  {render_notification_line(line)}" for line in parked.notifications]
    lines += [
        f"contact       {_render_parked_since(line)}  {line.id}  {line.reason}, {line.person}"
        for line in parked.contacts
    ]
    return "\n".join(lines) or "Nothing is parked."


def _render_parked_since(line: ParkedContactLine) -> str:
    """When it was parked; if that is no longer kept, when its choices last changed."""
    if line.parked_at is not None:
        return f"parked {format_time(line.parked_at)}"
    return f"changed {format_time(line.changed_at)}"


def render_due(due: int) -> str:
    """How many parked contacts `parked retry` made due."""
    if due == 0:
        return "No contact was parked."
    return "1 parked contact is due now." if due == 1 else f"{due} parked contacts are due now."


def render_discard(result: DiscardResult) -> str:
    """How many notifications `parked discard` skipped."""
    discarded, requested = result.discarded, result.requested
    if discarded == 0:
        return (
            f"Nothing changed: {'it was not' if requested == 1 else f'none of the {requested} was'} parked."
        )
    were, are = ("was", "is") if discarded == 1 else ("were", "are")
    count = str(discarded) if discarded == requested else f"{discarded} of {requested}"
    text = f"{count} {were} parked, and {are} skipped now"
    if discarded == requested:
        return f"{text}."
    others = "the other stays as it is" if requested - discarded == 1 else "the others stay as they are"
    return f"{text}; {others}."
