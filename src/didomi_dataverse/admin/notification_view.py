"""Notifications as operators see them, people masked: a line each, or all of one with what it means today."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from didomi_dataverse.admin.explain import ChoiceView, ColumnView, FindingView, explain
from didomi_dataverse.admin.lookup import notification_id
from didomi_dataverse.admin.view import View
from didomi_dataverse.didomi.interpreted import Disposition, InterpretedNotification, Reason
from didomi_dataverse.ledger.read_models import NotificationSummary, StoredNotification
from didomi_dataverse.mapping.rules import ColumnMapping
from didomi_dataverse.privacy.mask import MASKED, mask, shown_id
from didomi_dataverse.privacy.webhook_body import masked_body


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationSummaryView(View):
    """What every list says of a notification."""

    id: str
    """The id that `notifications show` takes."""

    received_at: datetime
    """When it arrived first."""

    times_received: int
    """How often it arrived."""

    type: str
    """Didomi's type, such as `event.created`; empty when there is none."""

    regulation: str
    """The regulation; empty when it is not known."""

    disposition: Disposition
    """What became of it."""

    reason: Reason | None
    """Why it was skipped or parked; None otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationLine(NotificationSummaryView):
    """One notification of a list."""

    person: str | None
    """The masked identifier; None when the notification does not name a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationView(View):
    """What was received and what became of it; and what it says and would write today."""

    id: str
    """The id that commands take: the beginning of `digest`."""

    digest: str
    """SHA-256 of the canonical body, in hex."""

    received_at: datetime
    """When it arrived first."""

    last_received_at: datetime
    """When it arrived last."""

    times_received: int
    """How often it arrived."""

    type: str
    """Didomi's type, such as `event.created`; empty when there is none."""

    regulation: str
    """The regulation; empty when it is not known."""

    organization_id: str
    """Didomi's id of the organization; empty when the notification does not name one."""

    didomi_user: str | None
    """The masked Didomi user id; None when the notification does not name one."""

    source: str | None
    """The id of the Didomi event or user snapshot; None when there is none."""

    effective_at: datetime | None
    """When its choices were made; None when that is not known."""

    caller: str
    """How the caller authenticated."""

    disposition: Disposition
    """What became of it."""

    reason: Reason | None
    """Why it was skipped or parked; None otherwise."""

    notes: tuple[str, ...]
    """Oddities in the body that stopped nothing."""

    person: str | None
    """The masked identifier; None when the notification does not name a person."""

    choices: tuple[ChoiceView, ...]
    """What it says today, free text masked; empty when its body cannot be read."""

    columns: Mapping[str, ColumnView]
    """By column, what its choices mean today, free text masked."""

    findings: tuple[FindingView, ...]
    """Choices without a column value."""

    body_bytes: int
    """The size of the body, in bytes."""

    body: object
    """The JSON of the body with everything personal masked, None when it is not JSON; or, where asked for,
    the whole text as it was received.
    """


def build_notification_line(summary: NotificationSummary) -> NotificationLine:
    """One notification of a list."""
    return NotificationLine(
        id=notification_id(summary.digest),
        received_at=summary.received_at,
        times_received=summary.times_received,
        type=summary.type,
        regulation=summary.regulation,
        disposition=summary.disposition,
        reason=summary.reason,
        person=None if summary.identifier is None else mask(summary.identifier),
    )


def build_notification_view(
    stored: StoredNotification,
    interpreted: InterpretedNotification | None,
    mapping: ColumnMapping,
    *,
    raw: bool,
) -> NotificationView:
    """The whole notification. `interpreted`: as it reads today, None when its body cannot be read. `raw`:
    with the body as it was received, which is personal.
    """
    explained = None if interpreted is None else explain(interpreted, mapping)
    identifier = None if explained is None else explained.organization_user_id
    return NotificationView(
        id=notification_id(stored.digest),
        digest=stored.digest,
        received_at=stored.received_at,
        last_received_at=stored.last_received_at,
        times_received=stored.times_received,
        type=stored.type,
        regulation=stored.regulation,
        organization_id=stored.organization_id,
        didomi_user=mask(stored.didomi_user) if stored.didomi_user else None,
        source=stored.source_id or None,
        effective_at=stored.effective_at,
        caller=stored.caller,
        disposition=stored.disposition,
        reason=stored.reason,
        notes=stored.notes,
        person=None if identifier is None else mask(identifier),
        choices=() if explained is None else tuple(map(_mask_choice, explained.choices)),
        columns={}
        if explained is None
        else {name: _mask_column(column) for name, column in explained.columns.items()},
        findings=() if explained is None else explained.findings,
        body_bytes=len(stored.body),
        body=stored.body.decode("utf-8", "backslashreplace") if raw else masked_body(stored.body),
    )


def _mask_choice(choice: ChoiceView) -> ChoiceView:
    value = choice.value
    if isinstance(value, tuple):
        value = tuple(map(shown_id, value))
    elif not (value is None or isinstance(value, bool)) or ".person." in choice.subject:
        value = MASKED
    return replace(choice, value=value)


def _mask_column(column: ColumnView) -> ColumnView:
    is_personal = isinstance(column.value, str) or ".person." in column.rule
    return replace(column, value=MASKED if is_personal else column.value)
