"""Notification → Reading: whom it is about, what was chosen when, what is to become of it
(docs/how-choices-are-decided.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from didomi_dataverse.consent.model import Choice, ChoiceKind, Selection, Subject, Value
from didomi_dataverse.didomi.identity import Normalization, identify
from didomi_dataverse.didomi.interpreted import (
    DeletionScope,
    Disposition,
    Identity,
    InterpretedNotification,
    Reason,
)
from didomi_dataverse.didomi.notification import Notification, NotificationType
from didomi_dataverse.didomi.payload.entity import Entity
from didomi_dataverse.didomi.payload.timestamps import UNREADABLE, clamp_to_received

CONFIRMED = "confirmed"
PENDING_APPROVAL = "pending_approval"

MAX_CHOICES = 2_000
"""Of one notification. Didomi's own quota is 300 purposes (didomi.md 4.1); what is more is no person's."""

_SKIPPED = frozenset(
    {
        Reason.ANONYMOUS,
        Reason.PENDING_APPROVAL,
        Reason.NO_CHOICES,
        Reason.REGULATION_NOT_MAPPED,
        Reason.USER_DELETION_IGNORED,
    }
)


class OnUserDeleted(StrEnum):
    """What a `user.deleted` does: an erasure, a clean-up or a duplicate, which it does not say (didomi.md
    3.2).
    """

    UNSET = "unset"  # what that Didomi user chose no longer counts
    IGNORE = "ignore"
    PARK = "park"  # for a person to decide


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpretationPolicy:
    """What of the configuration decides how a notification is read.

    `organization_id` None accepts every organization. `mapped_regulations` are in lower case.
    """

    organization_id: str | None = None
    mapped_regulations: frozenset[str] = frozenset({"gdpr"})
    normalize: Normalization = Normalization.LITERAL
    on_user_deleted: OnUserDeleted = OnUserDeleted.UNSET


@dataclass(frozen=True, slots=True)
class _Times:
    """When the choices of a notification were made, by kind, and what was odd about it."""

    stated_at: datetime
    asserted_at: datetime
    notes: tuple[str, ...]


def interpret(
    notification: Notification, *, received_at: datetime, caller: str, policy: InterpretationPolicy
) -> InterpretedNotification:
    """What one notification means. Never raises: whatever it is, it becomes a reading with a disposition.

    `received_at` is aware UTC. `caller` says by which configured way the sender was let in.
    """
    entity = notification.entity
    known_type = notification.known_type
    if entity is None or known_type is None:
        fault = notification.fault or Reason.MALFORMED
        return InterpretedNotification(
            digest=notification.digest,
            body=notification.body,
            received_at=received_at,
            type=notification.type,
            caller=caller,
            regulation=notification.regulation,
            disposition=_disposition(fault),
            reason=fault,
            notes=notification.notes,
        )
    times = _times(notification, entity, known_type, received_at)
    identity = _identity(entity, policy)
    reason, choices = _decided(
        notification, entity, known_type, times=times, identity=identity, policy=policy
    )
    deletes: DeletionScope | None = None
    if known_type.is_deletion and reason is None:
        deletes = DeletionScope.EVENT if known_type.is_event else DeletionScope.USER
    return InterpretedNotification(
        digest=notification.digest,
        body=notification.body,
        received_at=received_at,
        type=notification.type,
        caller=caller,
        regulation=notification.regulation,
        organization_id=entity.organization_id if isinstance(entity.organization_id, str) else "",
        didomi_user=entity.didomi_user,
        source_id=_statement_source(notification, entity, known_type),
        effective_at=times.stated_at,
        identity=identity if isinstance(identity, Identity) else None,
        choices=choices,
        deletes=deletes,
        disposition=_disposition(reason),
        reason=reason,
        notes=notification.notes + times.notes,
    )


def _disposition(reason: Reason | None) -> Disposition:
    if reason is None:
        return Disposition.APPLIED
    return Disposition.SKIPPED if reason in _SKIPPED else Disposition.PARKED


def _decided(
    notification: Notification,
    entity: Entity,
    known_type: NotificationType,
    *,
    times: _Times,
    identity: Identity | Reason,
    policy: InterpretationPolicy,
) -> tuple[Reason | None, tuple[Choice, ...]]:
    """Why it is not applied, if it is not, and the choices to fold."""
    reason = _reason_before_choices(notification, entity, known_type, policy)
    if reason is not None or known_type.is_deletion:
        # A deletion may name nobody (didomi.md 1.3): our own log knows whom it is about.
        return reason, ()
    if isinstance(identity, Reason):
        return identity, ()
    if entity.left_out and not entity.answers:
        # Everything that may have been a choice was unreadable. Facts beside it do not make that fine.
        return Reason.MALFORMED, ()
    choices = tuple(_choices(notification, entity, known_type, times))
    if not choices:
        return Reason.NO_CHOICES, ()
    if len(choices) > MAX_CHOICES:
        return Reason.TOO_LARGE, ()
    # Known and folded, but no column is written for it (didomi.md 1.10).
    return (
        None if notification.regulation in policy.mapped_regulations else Reason.REGULATION_NOT_MAPPED
    ), choices


def _reason_before_choices(
    notification: Notification, entity: Entity, known_type: NotificationType, policy: InterpretationPolicy
) -> Reason | None:
    if notification.fault is not None:
        return notification.fault
    # The example of `event.deleted` names no organization (didomi.md 1.3), so absent is not foreign.
    if policy.organization_id is not None and entity.organization_id not in ("", policy.organization_id):
        return Reason.FOREIGN_ORGANIZATION
    if known_type.is_deletion:
        return _reason_of_deletion(entity, known_type, policy)
    return _reason_of_status(notification, entity) if known_type.is_event else None


def _reason_of_deletion(
    entity: Entity, known_type: NotificationType, policy: InterpretationPolicy
) -> Reason | None:
    """Why a deletion is not followed, if it is not."""
    if not (entity.entity_id if known_type.is_event else entity.didomi_user):
        return Reason.MALFORMED
    if known_type.is_event or policy.on_user_deleted is OnUserDeleted.UNSET:
        return None
    is_ignored = policy.on_user_deleted is OnUserDeleted.IGNORE
    return Reason.USER_DELETION_IGNORED if is_ignored else Reason.DELETED


def _reason_of_status(notification: Notification, entity: Entity) -> Reason | None:
    """didomi.md 3.1: absent is confirmed; pending is no choice yet; anything else is for a person."""
    status = CONFIRMED if entity.status is None else entity.status
    if status == CONFIRMED:
        return None
    if status != PENDING_APPROVAL:
        return Reason.UNKNOWN_STATUS
    old = notification.old_entity
    was_confirmed = old is not None and old.status in (None, CONFIRMED)
    return Reason.CONFIRMATION_REVOKED if was_confirmed else Reason.PENDING_APPROVAL


def _identity(entity: Entity, policy: InterpretationPolicy) -> Identity | Reason:
    written = entity.organization_user_id
    if written is UNREADABLE:
        return Reason.IDENTITY_UNUSABLE
    return identify(written if isinstance(written, str) else None, policy.normalize)


def _times(
    notification: Notification, entity: Entity, known_type: NotificationType, received_at: datetime
) -> _Times:
    """The effective times of didomi.md 1.6, none of them in the future."""
    notes: list[str] = []

    def bounded(made_at: datetime, word: str) -> datetime:
        known = clamp_to_received(made_at, received_at)
        if known != made_at:
            notes.append(word)
        return known

    said_at = entity.updated_at
    # A snapshot's creation says when the Didomi user was first seen, which is no time of a later state.
    if said_at is None and known_type is not NotificationType.USER_UPDATED:
        said_at = entity.created_at
    if said_at is None:
        notes.append("missing_time")
    asserted_at = bounded(said_at, "future_time") if isinstance(said_at, datetime) else received_at
    source_at = None if known_type.is_event else notification.source.made_at
    stated_at = asserted_at if source_at is None else bounded(source_at, "future_time source")
    return _Times(stated_at, asserted_at, tuple(notes))


def _statement_source(notification: Notification, entity: Entity, known_type: NotificationType) -> str:
    if known_type.is_event:
        return entity.entity_id
    return notification.source.source_id or _snapshot_id(entity)


def _snapshot_id(entity: Entity) -> str:
    """A user has no id per state: the revision counter stands in for it (didomi.md 2.2)."""
    if entity.version:
        return f"{entity.didomi_user}:{entity.version}"
    moment = entity.updated_at.isoformat() if isinstance(entity.updated_at, datetime) else ""
    return f"{entity.didomi_user}:{moment}"


def _choices(
    notification: Notification, entity: Entity, known_type: NotificationType, times: _Times
) -> Iterator[Choice]:
    old = None if known_type.is_event else notification.old_entity
    said_before = {} if old is None else dict(_said(old))
    is_login = old is not None and old.organization_user_id != entity.organization_user_id
    is_past_unknown = known_type is NotificationType.USER_UPDATED and (old is None or is_login)
    statement_source = _statement_source(notification, entity, known_type)
    told_at = None if known_type.is_event else times.asserted_at
    for subject, value in _said(entity):
        # An item that a snapshot only repeats was decided some time before (docs/how-choices-are-decided.md,
        # "Statements and assertions").
        is_repeated = _is_same(said_before.get(subject), value)
        if is_past_unknown and (old is None or is_repeated):
            # Decided just now, or long ago on this device? A refusal is taken for new and a grant for old, so
            # that neither a no is lost nor a yes invented (docs/decisions/0041-in-doubt-a-no-is-new.md).
            is_repeated = not _is_refusal(value)
        yield Choice(
            subject=subject,
            value=value,
            made_at=times.asserted_at if is_repeated else times.stated_at,
            didomi_user=entity.didomi_user,
            kind=ChoiceKind.ASSERTION if is_repeated else ChoiceKind.STATEMENT,
            source_id=_snapshot_id(entity) if is_repeated else statement_source,
            notification=notification.digest,
            told_at=None if is_repeated else told_at,
        )


def _said(entity: Entity) -> Iterator[tuple[Subject, Value]]:
    yield from entity.answers.items()
    yield from entity.facts.items()


def _is_refusal(value: Value) -> bool:
    return value is False or (isinstance(value, Selection) and not value.ids)


def _is_same(before: Value | None, now: Value) -> bool:
    # For Python, `True == 1`; for a column it is not.
    return type(before) is type(now) and before == now
