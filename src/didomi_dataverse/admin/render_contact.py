"""What `contacts` prints. Of a column: its rule, its events, and what Dataverse is known to hold."""

from collections.abc import Mapping
from itertools import chain, repeat

from didomi_dataverse.admin.contact_view import (
    ContactAttempt,
    ContactChoice,
    ContactColumn,
    ContactNotification,
    ContactView,
)
from didomi_dataverse.admin.contacts import ResyncResult, RetryResult
from didomi_dataverse.admin.render import render_rule, render_value
from didomi_dataverse.admin.view import format_time
from didomi_dataverse.ledger.delivery_state import DeliveryState

_WITHOUT_MESSAGE: Mapping[str | None, str] = {
    "unmatched": "no row has this key",
    "several_rows": "more than one row has this key",
    "unsendable": "nothing was sent: no request can carry the identifier or a value",
    "internal_error": "nothing was sent: the log says why in `contact_not_mapped`",
}
"""What an attempt came to that was not an error of Dataverse's, by its outcome or the reason for parking."""

_MORE = "  There are more: `--limit` shows them."


def render_contact(view: ContactView) -> str:
    """The whole view of one contact."""
    reason = f" ({view.reason})" if view.reason else ""
    due = f", due {format_time(view.due_at)}" if view.due_at else ""
    lines = [f"{view.organization_user_id}: {view.state}{reason}{due}", "", "Columns"]
    lines += [
        f"  {name} = {render_value(column.value)}: {_render_cause(column)}; {_render_confirmation(column)}"
        for name, column in view.columns.items()
    ]
    lines += ["", "Choices"]
    lines += [
        f"  {choice.subject} = {_render_choice(choice)}, made {choice.made_at.isoformat()} ({choice.kind})"
        for choice in view.choices
    ]
    lines += ["", "Notifications, the latest first"]
    lines += map(_render_notification, view.notifications)
    lines += [_MORE] if view.more_notifications else []
    lines += ["", "Attempts, the latest first"]
    # Nothing is tried for a parked contact, so it was the latest attempt that parked it.
    reasons = chain([view.reason if view.state is DeliveryState.PARKED else None], repeat(None))
    lines += map(_render_attempt, view.attempts, reasons)
    lines += [_MORE] if view.more_attempts else []
    return "\n".join(lines)


def _render_cause(column: ContactColumn) -> str:
    """The rule and the events; or that a deletion is the reason."""
    events = ", ".join(column.sources)
    if column.deleted:
        meaning = ": no consent" if column.is_decision else ""
        was = f"; was event {events}" if events else ""
        return f"nothing is left after a deletion{meaning} ({render_rule(column)}{was})"
    return render_rule(column) + (f" (event {events})" if events else "")


def _render_confirmation(column: ContactColumn) -> str:
    """What Dataverse is known to hold."""
    written_at = None if column.written_at is None else format_time(column.written_at)
    if column.confirmed is None:
        return (
            f"written {written_at}, and to be written again" if written_at else "Dataverse was not told yet"
        )
    if column.confirmed.value == column.value:
        return f"written {written_at or 'before the attempts still kept'}"
    waits = " (a stamp goes out with the next column)" if column.waits_for_column else ""
    return f"Dataverse still has {render_value(column.confirmed.value)}{waits}"


def _render_choice(choice: ContactChoice) -> str:
    """The value, and what a deletion has to do with it (docs/how-choices-are-decided.md, "Deletions")."""
    if choice.value is None:
        return "nothing any more: deleted"
    withheld = " (deleted, but a refusal stays in force)" if choice.withheld else ""
    return render_value(choice.value) + withheld


def _render_notification(notification: ContactNotification) -> str:
    reason = f" ({notification.reason})" if notification.reason else ""
    times = f", received {notification.times_received} times" if notification.times_received > 1 else ""
    source = f" {notification.source}" if notification.source else ""
    made_at = f" of {format_time(notification.effective_at)}" if notification.effective_at else ""
    return (
        f"  {format_time(notification.received_at)} {notification.id} {notification.type}{source}{made_at}:"
        f" {notification.disposition}{reason}{times}"
    )


def _render_attempt(attempt: ContactAttempt, parked_for: str | None) -> str:
    """One attempt. `parked_for`: why the contact is parked, if this is the attempt that parked it."""
    columns = ", ".join(
        f"{name} (written all the same)" if sent.get("confirmed") else name
        for name, sent in attempt.columns.items()
    )
    answer = _render_answer(attempt, parked_for)
    return f"  {format_time(attempt.attempted_at)} {attempt.outcome}: {columns or 'no columns'}; {answer}"


def _render_answer(attempt: ContactAttempt, parked_for: str | None) -> str:
    """What Dataverse answered."""
    message = attempt.message or _WITHOUT_MESSAGE.get(parked_for or attempt.outcome, "")
    answer = " ".join(str(part) for part in (attempt.status, attempt.code, message) if part)
    return answer or ("the reason is not kept" if attempt.outcome == "parked" else "no answer")


def render_retry(result: RetryResult) -> str:
    """How many contacts `contacts retry` made due."""
    due, requested = result.due, result.requested
    if due == 0:
        subject = "it was neither parked nor" if requested == 1 else f"none of the {requested} was parked or"
        return f"Nothing changed: {subject} without a row."
    are = "is" if due == 1 else "are"
    if due == requested:
        return f"{due} {are} due now."
    others = "the other was" if requested - due == 1 else "the others were"
    return f"{due} of {requested} {are} due now; {others} neither parked nor without a row."


def render_resync(result: ResyncResult) -> str:
    """How many contacts `contacts resync` has sent again."""
    return f"{result.due} will be sent again."
