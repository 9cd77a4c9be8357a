"""Why does a column say what it says? One person's columns, choices and evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from didomi_dataverse.admin.explain import ChoiceView, ColumnView, view_choice, view_column
from didomi_dataverse.admin.lookup import notification_id
from didomi_dataverse.admin.notification_view import NotificationSummaryView
from didomi_dataverse.admin.view import View
from didomi_dataverse.consent.model import UNSET, Item, JsonScalar, Subject
from didomi_dataverse.consent.registers import Resolved, resolve
from didomi_dataverse.ledger.delivery_state import Attempt, Contact, DeliveryState
from didomi_dataverse.ledger.read_models import StoredNotification
from didomi_dataverse.mapping.apply import apply
from didomi_dataverse.mapping.diff import diff_columns
from didomi_dataverse.mapping.rules import ColumnMapping

_NOT_MAPPED = ColumnView(value=None, rule="not mapped any more", inverted=False, sources=())
"""Of a column that was written once, and for which today's mapping has no value."""


@dataclass(frozen=True, slots=True)
class ConfirmedValue(View):
    """`value`: what Dataverse confirmed last, for a column that it confirmed at all."""

    value: JsonScalar


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactColumn(ColumnView):
    """One column of a contact: its value, and what Dataverse is known to hold."""

    deleted: bool
    """Whether the value is there only because something was deleted."""

    is_decision: bool
    """Whether the column says yes or no to an item, so that an empty value means "no consent"."""

    confirmed: ConfirmedValue | None
    """What Dataverse confirmed last; None when it was not told, or is to be told again."""

    waits_for_column: bool
    """Whether the value goes out only together with a column that it speaks of."""

    written_at: datetime | None
    """When the confirmed value was sent; None when the attempt is no longer kept, or there was none."""

    request_id: str | None
    """Dataverse's id of the call that sent it; None as for `written_at`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactChoice(ChoiceView):
    """One choice that counts for the contact."""

    withheld: bool
    """Whether its event was deleted and its refusal stays in force all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactNotification(NotificationSummaryView):
    """One notification about the contact."""

    effective_at: datetime | None
    """When its choices were made; None when that is not known."""

    source: str
    """The id of the Didomi event or user snapshot; empty when there is none."""

    caller: str
    """How the caller authenticated."""

    notes: tuple[str, ...]
    """Oddities in the body that stopped nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactAttempt(View):
    """One try at writing the contact."""

    attempted_at: datetime
    """When it ended."""

    outcome: str
    """What it came to."""

    status: int | None
    """The HTTP status of Dataverse's answer for this contact; None when no answer came."""

    code: str
    """Dataverse's error code; empty for a success."""

    message: str
    """Dataverse's message without personal values; empty when there is none."""

    request_id: str
    """Dataverse's id of the call; empty when no answer came."""

    columns: Mapping[str, Mapping[str, object]]
    """By column: what was sent, by which rule, and whether Dataverse confirmed it all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactView(View):
    """Everything that is known of one contact."""

    organization_user_id: str
    """The identifier, as requests to Dataverse spell it. Personal."""

    state: DeliveryState
    """Where the contact stands on its way to Dataverse."""

    reason: str | None
    """Why it is parked or has no row; None otherwise."""

    due_at: datetime | None
    """When it is written or looked for next, or when its lease ends; None when nothing is planned."""

    revision: int
    """How often its registers changed."""

    attempts_since_success: int
    """Failures since the last success. Waiting for a throttle does not count."""

    unmatched_since: datetime | None
    """Since when no row has been found for it; None when one was, or none was looked for."""

    row_id: str | None
    """The GUID of the row last written to, where that is known."""

    columns: Mapping[str, ContactColumn]
    """Every column that is mapped or was written, by its name."""

    choices: tuple[ContactChoice, ...]
    """The choices that count."""

    notifications: tuple[ContactNotification, ...]
    """What was received about the person, the latest first."""

    attempts: tuple[ContactAttempt, ...]
    """What was tried, the latest first."""

    more_notifications: bool
    """Whether there are more notifications than are shown."""

    more_attempts: bool
    """Whether there are more attempts than are shown."""


def list_columns(contact: Contact, mapping: ColumnMapping) -> set[str]:
    """The columns that have a value today, or for which Dataverse confirmed one."""
    return {*apply(mapping, resolve(contact.registers)).values, *contact.written}


def build_contact_view(
    contact: Contact,
    mapping: ColumnMapping,
    *,
    notifications: Sequence[StoredNotification],
    attempts: Sequence[Attempt],
    confirmations: Mapping[str, Attempt],
    limit: int,
) -> ContactView:
    """The view of a contact. `notifications` and `attempts`: the latest first, one more than `limit` where
    there are more. `confirmations`: by column, the last attempt that Dataverse confirmed.
    """
    resolved = resolve(contact.registers)
    return ContactView(
        organization_user_id=contact.identifier,
        state=contact.state,
        reason=contact.reason,
        due_at=contact.due_at,
        revision=contact.revision,
        attempts_since_success=contact.attempts,
        unmatched_since=contact.unmatched_since,
        row_id=contact.row_id,
        columns=_build_columns(contact, resolved, mapping, confirmations),
        choices=tuple(
            _build_choice(one) for _, one in sorted(resolved.items(), key=lambda pair: str(pair[0]))
        ),
        notifications=tuple(map(_build_notification, notifications[:limit])),
        attempts=tuple(map(_build_attempt, attempts[:limit])),
        more_notifications=len(notifications) > limit,
        more_attempts=len(attempts) > limit,
    )


def _build_columns(
    contact: Contact,
    resolved: Mapping[Subject, Resolved],
    mapping: ColumnMapping,
    confirmations: Mapping[str, Attempt],
) -> dict[str, ContactColumn]:
    """For every column: what it should hold and by which rule, what Dataverse confirmed, and when that was
    sent.
    """
    found = apply(mapping, resolved)
    # What is written only because something was deleted is not written when that never was.
    without_deletions = apply(
        mapping, {subject: one for subject, one in resolved.items() if one.choice.value is not UNSET}
    )
    to_send = diff_columns(found, contact.written)
    decisions = {rule.column for rule in mapping.rules if _is_decision(rule.source)}
    columns: dict[str, ContactColumn] = {}
    for name in sorted({*found.values, *contact.written}):
        value, written, last = found.values.get(name), contact.written.get(name), confirmations.get(name)
        column = _NOT_MAPPED if value is None else view_column(value, mapping)
        columns[name] = ContactColumn(
            value=column.value,
            rule=column.rule,
            inverted=column.inverted,
            sources=column.sources,
            deleted=value != without_deletions.values.get(name),
            is_decision=name in decisions,
            confirmed=None if written is None else ConfirmedValue(written.value),
            waits_for_column=value is not None and value.follows is not None and name not in to_send,
            written_at=None if last is None else last.attempted_at,
            request_id=None if last is None else last.request_id,
        )
    return columns


def _is_decision(source: object) -> bool:
    return isinstance(source, Item) and not source.preference


def _build_choice(resolved: Resolved) -> ContactChoice:
    choice = view_choice(resolved.choice)
    return ContactChoice(
        subject=choice.subject,
        value=choice.value,
        kind=choice.kind,
        made_at=choice.made_at,
        source=choice.source,
        withheld=resolved.withheld,
    )


def _build_notification(stored: StoredNotification) -> ContactNotification:
    return ContactNotification(
        id=notification_id(stored.digest),
        received_at=stored.received_at,
        times_received=stored.times_received,
        type=stored.type,
        regulation=stored.regulation,
        disposition=stored.disposition,
        reason=stored.reason,
        effective_at=stored.effective_at,
        source=stored.source_id,
        caller=stored.caller,
        notes=stored.notes,
    )


def _build_attempt(attempt: Attempt) -> ContactAttempt:
    return ContactAttempt(
        attempted_at=attempt.attempted_at,
        outcome=attempt.outcome,
        status=attempt.status,
        code=attempt.code,
        message=attempt.message,
        request_id=attempt.request_id,
        columns=attempt.columns,
    )
