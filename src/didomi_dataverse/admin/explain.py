"""What a notification would do, worked out without storing or sending anything, by the code that does it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from didomi_dataverse.admin.view import View
from didomi_dataverse.consent.model import (
    Choice,
    ChoiceKind,
    Fact,
    Item,
    JsonScalar,
    Selection,
    Subject,
    Unset,
    Value,
)
from didomi_dataverse.consent.registers import fold, resolve
from didomi_dataverse.didomi.interpret import interpret
from didomi_dataverse.didomi.interpreted import DeletionScope, Disposition, InterpretedNotification, Reason
from didomi_dataverse.didomi.notification import parse_notifications
from didomi_dataverse.mapping.apply import ColumnValue, apply
from didomi_dataverse.mapping.rules import ColumnMapping, SelectionFlag, YesNo
from didomi_dataverse.wiring.configuration import Configuration
from didomi_dataverse.wiring.policies import interpretation_policy


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceView(View):
    """One choice."""

    TIMESPEC: ClassVar[str] = "auto"
    """To the microsecond: two choices of one person are compared that closely."""

    subject: str
    """The item or fact, spelled like its place in the mapping file."""

    value: JsonScalar | tuple[str, ...]
    """Yes and no as booleans, a selection as its ids, a fact as it is; None when it is deleted."""

    kind: ChoiceKind
    """Whether it was stated then, or asserted by a snapshot."""

    made_at: datetime
    """When it was made, as far as that is known."""

    source: str
    """The id of the Didomi event or user snapshot that told of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnView(View):
    """The value of one column, and where it comes from."""

    value: JsonScalar
    """What the column should hold; None is an empty column."""

    rule: str
    """The rule's dotted path in the configuration file."""

    inverted: bool
    """Whether the rule turns yes into no."""

    sources: tuple[str, ...]
    """The ids of the Didomi events and snapshots that the value rests on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingView(View):
    """A choice that the mapping has no column value for."""

    rule: str
    """The rule's dotted path in the configuration file."""

    problem: str
    """Why the rule has no value for it, in one word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation(View):
    """What one notification says, and what it would write if nothing else were known of the person."""

    TIMESPEC: ClassVar[str] = "auto"

    type: str
    """Didomi's type, such as `event.created`; empty when there is none."""

    regulation: str
    """The regulation; empty when it is not known."""

    disposition: Disposition
    """What would become of the notification."""

    reason: Reason | None
    """Why it is skipped or parked; None when it is applied."""

    organization_user_id: str | None
    """The person; None when the notification does not name one."""

    effective_at: datetime | None
    """When its choices were made; None when that is not known."""

    notes: tuple[str, ...]
    """Oddities in the body that stopped nothing."""

    deletes: DeletionScope | None
    """What it takes back; None when it deletes nothing."""

    choices: tuple[ChoiceView, ...]
    """The choices in it."""

    columns: Mapping[str, ColumnView]
    """By column, the values that its choices mean."""

    findings: tuple[FindingView, ...]
    """Choices without a column value."""


def interpret_body(
    configuration: Configuration, body: bytes, *, now: datetime
) -> list[InterpretedNotification]:
    """The notifications in a body, interpreted as the service would at `now`. Raises NotJsonError."""
    policy = interpretation_policy(configuration)
    return [
        interpret(found, received_at=now, caller="explain", policy=policy)
        for found in parse_notifications(body)
    ]


def explain_body(configuration: Configuration, body: bytes, *, now: datetime) -> list[Explanation]:
    """What each notification in a webhook body would do if it arrived at `now`. Raises NotJsonError."""
    return [
        explain(interpreted, configuration.mapping)
        for interpreted in interpret_body(configuration, body, now=now)
    ]


def explain(interpreted: InterpretedNotification, mapping: ColumnMapping) -> Explanation:
    """The disposition, the choices, and each column's value with its rule.

    Worked out as if this were all that is known of the person: the ledger may hold something newer.
    """
    values = apply(mapping, resolve(fold({}, interpreted.choices)))
    identity = interpreted.identity
    return Explanation(
        type=interpreted.type,
        regulation=interpreted.regulation,
        disposition=interpreted.disposition,
        reason=interpreted.reason,
        organization_user_id=None if identity is None else identity.identifier,
        effective_at=interpreted.effective_at,
        notes=interpreted.warnings,
        deletes=interpreted.deletes,
        choices=tuple(map(view_choice, interpreted.choices)),
        columns={name: view_column(value, mapping) for name, value in values.values.items()},
        findings=tuple(FindingView(rule=one.rule, problem=one.problem) for one in values.findings),
    )


def view_choice(choice: Choice) -> ChoiceView:
    """One choice as views show it."""
    return ChoiceView(
        subject=subject_path(choice.subject),
        value=choice_value(choice.value),
        kind=choice.kind,
        made_at=choice.made_at,
        source=choice.source_id,
    )


def view_column(value: ColumnValue, mapping: ColumnMapping) -> ColumnView:
    """One column's value as views show it."""
    forms = (rule.format for rule in mapping.rules if rule.column == value.column)
    return ColumnView(
        value=value.value,
        rule=value.rule,
        inverted=any(isinstance(form, YesNo | SelectionFlag) and form.invert for form in forms),
        sources=value.sources,
    )


def subject_path(subject: Subject) -> str:
    """An item or a fact, spelled like its place in the mapping file.

    >>> subject_path(Item("gdpr", "newsletter"))
    'gdpr.purposes.newsletter.consent'
    >>> subject_path(Fact("gdpr", "country"))
    'gdpr.person.country'
    """
    match subject:
        case Fact(regulation, path):
            return f"{regulation}.person.{path}"
        case Item(regulation, purpose, preference, channel, basis):
            parts = [regulation]
            for section, name in (("purposes", purpose), ("preferences", preference), ("channels", channel)):
                if name:
                    parts += [section, name]
            if purpose and not preference and not channel:
                parts.append(basis.value)
            return ".".join(parts)


def choice_value(value: Value) -> JsonScalar | tuple[str, ...]:
    """A choice's value as views show it; None when what was chosen is deleted."""
    if isinstance(value, Selection):
        return value.ids
    return None if isinstance(value, Unset) else value
