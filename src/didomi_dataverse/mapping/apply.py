"""A contact's choices → the values of its columns. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from didomi_dataverse.consent.model import UNSET, Choice, Fact, Item, JsonScalar, Subject
from didomi_dataverse.consent.registers import Resolved, precedence
from didomi_dataverse.mapping.convert import (
    Conversion,
    ConversionIssue,
    Converted,
    convert,
    convert_time,
    convert_unset,
)
from didomi_dataverse.mapping.rules import (
    AnyPurpose,
    ColumnMapping,
    DateTimeFormat,
    NewestMapped,
    NewestOf,
    Rule,
    SelectionFlag,
    SourceId,
)
from didomi_dataverse.privacy.mask import is_id


@dataclass(frozen=True, slots=True)
class ColumnValue:
    """What one column should hold, and why."""

    column: str
    """The column's logical name."""

    value: JsonScalar
    """As the Web API takes it. None empties the column."""

    stated_at: datetime | None
    """When a person last decided it. None: known from snapshots only, or never decided."""

    rule: str
    """The dotted path of the rule in the file."""

    sources: tuple[str, ...]
    """The Didomi ids (of events or snapshots) of the choices used. Empty where nothing was chosen."""

    notifications: tuple[str, ...]
    """The digests of the notifications that carried these choices. Empty where nothing was chosen."""

    withdrawal: bool
    """True: the value says that consent is refused, or that nothing is selected."""

    follows: tuple[str, ...] | None = None
    """For an audit column, the columns that it describes. None for every other column."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A choice without a column value, or with an incomplete one."""

    rule: str
    """The dotted path of the rule in the file. All columns of one `each` report under the preference."""

    problem: ConversionIssue

    ids: tuple[str, ...] = ()
    """The Didomi value ids concerned. Only what looks like an id: where free text is mapped as if it were
    ids, the person's words stay out."""


@dataclass(frozen=True, slots=True)
class ColumnValues:
    """What the mapping makes of a contact."""

    values: Mapping[str, ColumnValue]
    """By column. A column without a choice has no entry, and is never written."""

    findings: tuple[Finding, ...] = ()
    """Each one once."""


@dataclass(frozen=True, slots=True)
class _MappedChoice:
    """A choice that became a column value."""

    rule: Rule
    resolved: Resolved


def apply(mapping: ColumnMapping, resolved: Mapping[Subject, Resolved]) -> ColumnValues:
    """The column values of a contact, and the choices that have none.

    `resolved` holds the contact's choices and facts, as `consent.registers.resolve` returns them.
    """
    values: dict[str, ColumnValue] = {}
    findings: dict[Finding, None] = {}
    mapped: list[_MappedChoice] = []
    any_purpose = _resolve_any_purpose(mapping, resolved)
    for rule in mapping.rules:
        source, column_format = rule.source, rule.format
        if isinstance(source, NewestOf | NewestMapped) or isinstance(
            column_format, DateTimeFormat | SourceId
        ):
            continue
        found = any_purpose.get(source) if isinstance(source, AnyPurpose) else resolved.get(source)
        if found is None:
            continue
        if found.choice.value is UNSET:
            # What the column holds was deleted: it must be told, as a created row is (dataverse.md 6.2).
            unset = convert_unset(column_format)
            values[rule.column] = _column_value(rule, unset, found.choice, found.stated_at)
            continue
        conversion = convert(column_format, found.choice.value)
        if conversion.issue is not None:
            findings[_finding(rule, conversion.issue, conversion.ids)] = None
        if conversion.converted is not None:
            values[rule.column] = _column_value(rule, conversion.converted, found.choice, found.stated_at)
            if not isinstance(source, Fact):
                mapped.append(_MappedChoice(rule, found))
    for rule in mapping.rules:
        audit = _audit_value(rule, mapped, resolved)
        if isinstance(audit, Finding):
            findings[audit] = None
        elif audit is not None:
            values[rule.column] = audit
    return ColumnValues(values, tuple(findings))


def for_creation(mapping: ColumnMapping, values: ColumnValues) -> dict[str, ColumnValue]:
    """The value of every mapped column for a row that is created: what was chosen, else "no consent".

    Nothing is left to the table's defaults, which allow everything (docs/promises.md 6;
    dataverse.md 6.2).
    """
    creation: dict[str, ColumnValue] = {}
    for rule in mapping.rules:
        chosen = values.values.get(rule.column)
        creation[rule.column] = chosen or _column_value(rule, convert_unset(rule.format), None, None)
    return creation


def _column_value(
    rule: Rule,
    converted: Converted,
    choice: Choice | None,
    stated_at: datetime | None,
    follows: tuple[str, ...] | None = None,
) -> ColumnValue:
    return ColumnValue(
        column=rule.column,
        value=converted.value,
        stated_at=stated_at,
        rule=rule.path,
        sources=() if choice is None else (choice.source_id,),
        notifications=() if choice is None else (choice.notification,),
        withdrawal=converted.withdrawal,
        follows=follows,
    )


def _finding(rule: Rule, issue: ConversionIssue, ids: tuple[str, ...]) -> Finding:
    # The columns of one `each` would all report the same value.
    path = rule.format.preference_path if isinstance(rule.format, SelectionFlag) else rule.path
    return Finding(path, issue, tuple(filter(is_id, ids)))


def _resolve_any_purpose(
    mapping: ColumnMapping, resolved: Mapping[Subject, Resolved]
) -> dict[AnyPurpose, Resolved]:
    newest: dict[AnyPurpose, Resolved] = {}
    if not any(isinstance(rule.source, AnyPurpose) for rule in mapping.rules):
        return newest
    for subject, found in resolved.items():
        if isinstance(subject, Item) and subject.preference and not subject.channel:
            source = AnyPurpose(subject.regulation, subject.preference)
            known = newest.get(source)
            if known is None or _rank(found) < _rank(known):
                newest[source] = found
    return newest


def _rank(found: Resolved) -> tuple[bool, tuple[object, ...]]:
    """Sort key, the smallest wins. A person's statement comes before what snapshots merely repeat, as it does
    within one item.
    """
    return found.stated_at is None, precedence(found.choice)


def _audit_value(
    rule: Rule, mapped: list[_MappedChoice], resolved: Mapping[Subject, Resolved]
) -> ColumnValue | Finding | None:
    """The value of an audit column: when, or by which event, the newest of some choices was made. None for
    every other column, and where none of these choices exists.
    """
    match rule.source:
        case NewestOf(items):
            described = [resolved[item] for item in items if item in resolved]
            choices = [found for found in described if isinstance(found.choice.value, bool)]
            follows = tuple(one.rule.column for one in mapped if one.rule.source in items)
            is_unset = not choices and any(found.choice.value is UNSET for found in described)
        case NewestMapped(regulation):
            of_regulation = [one for one in mapped if one.rule.regulation == regulation]
            choices = [one.resolved for one in of_regulation]
            follows = tuple(one.rule.column for one in of_regulation)
            is_unset = not choices and any(
                isinstance(subject, Item) and subject.regulation == regulation and found.choice.value is UNSET
                for subject, found in resolved.items()
            )
        case _:
            return None
    if is_unset:
        return _column_value(rule, convert_unset(rule.format), None, None)
    if not choices:
        return None
    newest = min(choices, key=lambda found: precedence(found.choice)).choice
    conversion = (
        convert_time(rule.format, newest.made_at)
        if isinstance(rule.format, DateTimeFormat)
        else Conversion(Converted(newest.source_id or None))
    )
    if conversion.converted is None:
        return None if conversion.issue is None else _finding(rule, conversion.issue, ())
    stated_at = _latest(found.stated_at for found in choices)
    return _column_value(rule, conversion.converted, newest, stated_at, follows)


def _latest(times: Iterable[datetime | None]) -> datetime | None:
    return max((at for at in times if at is not None), default=None)
