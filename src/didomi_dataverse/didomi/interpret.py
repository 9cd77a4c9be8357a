"""Notification → InterpretedNotification: the person, the choices with their times, and the disposition
(docs/how-choices-are-decided.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from didomi_dataverse.consent.model import Choice, ChoiceKind, Selection, Subject, Value, is_same_value
from didomi_dataverse.didomi.identity import Normalization, identify
from didomi_dataverse.didomi.interpreted import (
    DeletionScope,
    Disposition,
    Identity,
    InterpretedNotification,
    NotificationType,
    Reason,
)
from didomi_dataverse.didomi.notification import Notification
from didomi_dataverse.didomi.payload.entity import Entity
from didomi_dataverse.didomi.payload.timestamps import UNREADABLE, clamp_to_received

CONFIRMED = "confirmed"
PENDING_APPROVAL = "pending_approval"

MAX_CHOICES = 2_000
"""Of one notification. Didomi's own quota is 300 purposes (didomi.md 4.1). Too small: real notifications are
parked. Too large: one notification makes a contact's state too large to fold.
"""

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
    """What a `user.deleted` does. It may be an erasure, a clean-up or a duplicate, and does not say which
    (didomi.md 3.2).
    """

    UNSET = "unset"  # the choices of that Didomi user no longer count
    IGNORE = "ignore"  # it is logged and skipped
    PARK = "park"  # for a person to decide


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpretationPolicy:
    """What of the configuration decides how a notification is interpreted."""

    organization_id: str | None = None
    """The Didomi customer whose notifications are accepted; None accepts all."""
    mapped_regulations: frozenset[str] = frozenset({"gdpr"})
    """In lower case. Choices of another regulation are kept, but no column is written for them."""
    normalize: Normalization = Normalization.LITERAL
    """How an `organization_user_id` is spelt in Dataverse."""
    on_user_deleted: OnUserDeleted = OnUserDeleted.UNSET


@dataclass(frozen=True, slots=True)
class _EffectiveTimes:
    """When the choices of a notification were made."""

    stated_at: datetime
    """Of its statements, aware UTC."""
    asserted_at: datetime
    """Of its assertions: when the state held, aware UTC."""
    warnings: tuple[str, ...]
    """What was odd about the times."""


def interpret(
    notification: Notification, *, received_at: datetime, caller: str, policy: InterpretationPolicy
) -> InterpretedNotification:
    """What one notification means. Every notification has a result: no content makes this raise.

    `received_at` is when it arrived, aware UTC. `caller` is stored with it: how its caller was authenticated.
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
            disposition=_disposition_for(fault),
            reason=fault,
            warnings=notification.warnings,
        )
    times = _determine_times(notification, entity, known_type, received_at)
    identity = _identify_person(entity, policy)
    reason, choices = _decide(notification, entity, known_type, times=times, identity=identity, policy=policy)
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
        disposition=_disposition_for(reason),
        reason=reason,
        warnings=notification.warnings + times.warnings,
    )


def _disposition_for(reason: Reason | None) -> Disposition:
    if reason is None:
        return Disposition.APPLIED
    return Disposition.SKIPPED if reason in _SKIPPED else Disposition.PARKED


def _decide(
    notification: Notification,
    entity: Entity,
    known_type: NotificationType,
    *,
    times: _EffectiveTimes,
    identity: Identity | Reason,
    policy: InterpretationPolicy,
) -> tuple[Reason | None, tuple[Choice, ...]]:
    """Why it is not applied, if it is not, and the choices to fold."""
    reason = _find_obstacle(notification, entity, known_type, policy)
    if reason is not None or known_type.is_deletion:
        # A deletion may name no person (didomi.md 1.3): our own log knows the contacts that it concerns.
        return reason, ()
    if isinstance(identity, Reason):
        return identity, ()
    if entity.has_unreadable_values and not entity.values:
        # Everything that may have been a choice was unreadable. Readable facts beside it do not change that.
        return Reason.MALFORMED, ()
    choices = tuple(_iterate_choices(notification, entity, known_type, times))
    if not choices:
        return Reason.NO_CHOICES, ()
    if len(choices) > MAX_CHOICES:
        return Reason.TOO_LARGE, ()
    # Known and folded, but no column is written for it (didomi.md 1.10).
    return (
        None if notification.regulation in policy.mapped_regulations else Reason.REGULATION_NOT_MAPPED
    ), choices


def _find_obstacle(
    notification: Notification, entity: Entity, known_type: NotificationType, policy: InterpretationPolicy
) -> Reason | None:
    """Why the notification is not applied, as far as its choices do not decide that."""
    if notification.fault is not None:
        return notification.fault
    # The example of `event.deleted` names no organization (didomi.md 1.3), so absent is not foreign.
    if policy.organization_id is not None and entity.organization_id not in ("", policy.organization_id):
        return Reason.FOREIGN_ORGANIZATION
    if known_type.is_deletion:
        return _find_deletion_obstacle(entity, known_type, policy)
    return _find_status_obstacle(notification, entity) if known_type.is_event else None


def _find_deletion_obstacle(
    entity: Entity, known_type: NotificationType, policy: InterpretationPolicy
) -> Reason | None:
    """Why a deletion is not carried out, if it is not."""
    if not (entity.entity_id if known_type.is_event else entity.didomi_user):
        return Reason.MALFORMED
    if known_type.is_event or policy.on_user_deleted is OnUserDeleted.UNSET:
        return None
    is_ignored = policy.on_user_deleted is OnUserDeleted.IGNORE
    return Reason.USER_DELETION_IGNORED if is_ignored else Reason.DELETED


def _find_status_obstacle(notification: Notification, entity: Entity) -> Reason | None:
    """didomi.md 3.1: absent is confirmed; pending is not a choice yet; anything else is for a person."""
    status = CONFIRMED if entity.status is None else entity.status
    if status == CONFIRMED:
        return None
    if status != PENDING_APPROVAL:
        return Reason.UNKNOWN_STATUS
    old = notification.old_entity
    was_confirmed = old is not None and old.status in (None, CONFIRMED)
    return Reason.CONFIRMATION_REVOKED if was_confirmed else Reason.PENDING_APPROVAL


def _identify_person(entity: Entity, policy: InterpretationPolicy) -> Identity | Reason:
    person = entity.organization_user_id
    if person is UNREADABLE:
        return Reason.IDENTITY_UNUSABLE
    return identify(person if isinstance(person, str) else None, policy.normalize)


def _determine_times(
    notification: Notification, entity: Entity, known_type: NotificationType, received_at: datetime
) -> _EffectiveTimes:
    """The effective times of didomi.md 1.6, none of them in the future."""
    warnings: list[str] = []

    def clamp(made_at: datetime, warning: str) -> datetime:
        clamped = clamp_to_received(made_at, received_at)
        if clamped != made_at:
            warnings.append(warning)
        return clamped

    entity_at = entity.updated_at
    # A snapshot's creation is when the Didomi user was first seen, which is not the time of a later state.
    if entity_at is None and known_type is not NotificationType.USER_UPDATED:
        entity_at = entity.created_at
    if entity_at is None:
        warnings.append("missing_time")
    asserted_at = clamp(entity_at, "future_time") if isinstance(entity_at, datetime) else received_at
    source_at = None if known_type.is_event else notification.source.made_at
    stated_at = asserted_at if source_at is None else clamp(source_at, "future_time source")
    return _EffectiveTimes(stated_at, asserted_at, tuple(warnings))


def _statement_source(notification: Notification, entity: Entity, known_type: NotificationType) -> str:
    if known_type.is_event:
        return entity.entity_id
    return notification.source.source_id or _snapshot_id(entity)


def _snapshot_id(entity: Entity) -> str:
    """A user has no id for each state: the revision counter replaces it (didomi.md 2.2)."""
    if entity.version:
        return f"{entity.didomi_user}:{entity.version}"
    moment = entity.updated_at.isoformat() if isinstance(entity.updated_at, datetime) else ""
    return f"{entity.didomi_user}:{moment}"


def _iterate_choices(
    notification: Notification, entity: Entity, known_type: NotificationType, times: _EffectiveTimes
) -> Iterator[Choice]:
    old = None if known_type.is_event else notification.old_entity
    old_values = {} if old is None else dict(_iterate_values(old))
    is_login = old is not None and old.organization_user_id != entity.organization_user_id
    is_past_unknown = known_type is NotificationType.USER_UPDATED and (old is None or is_login)
    statement_source = _statement_source(notification, entity, known_type)
    told_at = None if known_type.is_event else times.asserted_at
    for subject, value in _iterate_values(entity):
        # An item that a snapshot only repeats was decided some time before (docs/how-choices-are-decided.md,
        # "Statements and assertions").
        is_repeated = is_same_value(old_values.get(subject), value)
        if is_past_unknown and (old is None or is_repeated):
            # Decided just now, or long ago on this device? A refusal counts as new and a grant as old: so no
            # refusal is lost and no grant invented (docs/decisions/0041-in-doubt-a-no-is-new.md).
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


def _iterate_values(entity: Entity) -> Iterator[tuple[Subject, Value]]:
    yield from entity.values.items()
    yield from entity.facts.items()


def _is_refusal(value: Value) -> bool:
    return value is False or (isinstance(value, Selection) and not value.ids)
