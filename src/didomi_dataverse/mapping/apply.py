"""A contact's choices → column values, and which of them Dataverse still has to be told. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from didomi_dataverse.consent.model import UNSET, Choice, Fact, Item, Subject, is_same_value
from didomi_dataverse.consent.registers import JsonScalar, Resolved, precedence
from didomi_dataverse.ledger.delivery_state import Written
from didomi_dataverse.mapping import rules
from didomi_dataverse.mapping.convert import (
    Conversion,
    ConversionIssue,
    Converted,
    convert,
    convert_unset,
    format_moment,
)
from didomi_dataverse.mapping.rules import (
    AnyPurpose,
    DateTimeFormat,
    NewestMapped,
    NewestOf,
    Rule,
    SelectionFlag,
    SourceId,
)

_SHOWABLE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
_DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True, slots=True)
class ColumnValue:
    """What one column should hold, and why.

    `stated_at` is when a person last decided it, None when that is only known from snapshots or not at all.
    `rule` is the dotted path of the rule in the file; `sources` and `notifications` are the Didomi ids and
    the digests of the choices used. `withdrawal`: the value says refused, or nothing chosen. `follows` is
    None for a value of its own; for a stamp (when, by which event) it names the columns that it speaks of.
    """

    column: str
    value: JsonScalar
    stated_at: datetime | None
    rule: str
    sources: tuple[str, ...]
    notifications: tuple[str, ...]
    withdrawal: bool
    follows: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A choice that the mapping has no column value for, or not wholly.

    `problem` is one of `render.Trouble`. `ids` are the Didomi value ids concerned, as far as they look like
    ids: where free text is mapped as if it were ids, what a person wrote stays out.
    """

    rule: str
    problem: str
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ColumnValues:
    """What the mapping makes of a contact. A column without a choice has no entry, and is never written."""

    values: Mapping[str, ColumnValue]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class _Told:
    """A choice that became a column value."""

    rule: Rule
    resolved: Resolved


def apply(mapping: rules.ColumnMapping, resolved: Mapping[Subject, Resolved]) -> ColumnValues:
    """The column values of a contact whose choices are `resolved` (ledger.contact.resolve)."""
    values: dict[str, ColumnValue] = {}
    findings: dict[Finding, None] = {}
    told: list[_Told] = []
    any_purpose = _under_any_purpose(mapping, resolved)
    for rule in mapping.rules:
        source, form = rule.source, rule.form
        if isinstance(source, NewestOf | NewestMapped) or isinstance(form, DateTimeFormat | SourceId):
            continue
        found = any_purpose.get(source) if isinstance(source, AnyPurpose) else resolved.get(source)
        if found is None:
            continue
        if found.choice.value is UNSET:
            # What the column holds was deleted: it must be told, as a created row is (dataverse.md 6.2).
            values[rule.column] = _column_value(rule, convert_unset(form), found.choice, found.stated_at)
            continue
        rendered = convert(form, found.choice.value)
        if rendered.trouble is not None:
            findings[_finding(rule, rendered.trouble, rendered.ids)] = None
        if rendered.cell is not None:
            values[rule.column] = _column_value(rule, rendered.cell, found.choice, found.stated_at)
            if not isinstance(source, Fact):
                told.append(_Told(rule, found))
    for rule in mapping.rules:
        stamp = _stamp(rule, told, resolved)
        if isinstance(stamp, Finding):
            findings[stamp] = None
        elif stamp is not None:
            values[rule.column] = stamp
    return ColumnValues(values, tuple(findings))


def changed(values: ColumnValues, written: Mapping[str, Written]) -> dict[str, ColumnValue]:
    """The columns to send: the diff of docs/how-choices-are-decided.md, "What is sent".

    A column goes out when it was never written, when its value differs from the last confirmed one, or when
    a person stated it again since: repeating a choice overrides an edit made in the CRM meanwhile.

    A stamp whose value merely moved is the exception, because every snapshot that repeats old choices may
    move it: it goes out only together with a column that it speaks of. A person's newer statement, a stamp
    that was never written, and one that is now written in another form (the rule was changed) go out by
    themselves.
    """
    sent: dict[str, ColumnValue] = {}
    moved: list[ColumnValue] = []
    for column, value in values.values.items():
        last = written.get(column)
        if last is None or _is_newer(value.stated_at, last.stated_at):
            sent[column] = value
        elif not is_same_value(value.value, last.value):
            if value.follows is not None and _form_of(value.value) == _form_of(last.value):
                moved.append(value)
            else:
                sent[column] = value
    leaders = frozenset(sent)
    sent.update({stamp.column: stamp for stamp in moved if leaders.intersection(stamp.follows or ())})
    return sent


def for_creation(mapping: rules.ColumnMapping, values: ColumnValues) -> dict[str, ColumnValue]:
    """Every mapped column as a created row must hold it: what was chosen, and "no consent" where nothing
    was.

    Nothing is left to the table's defaults, which allow everything (docs/promises.md 6; dataverse.md
    6.2).
    """
    creation: dict[str, ColumnValue] = {}
    for rule in mapping.rules:
        chosen = values.values.get(rule.column)
        creation[rule.column] = chosen or _column_value(rule, convert_unset(rule.form), None, None)
    return creation


def _column_value(
    rule: Rule,
    cell: Converted,
    choice: Choice | None,
    stated_at: datetime | None,
    follows: tuple[str, ...] | None = None,
) -> ColumnValue:
    return ColumnValue(
        column=rule.column,
        value=cell.value,
        stated_at=stated_at,
        rule=rule.path,
        sources=() if choice is None else (choice.source_id,),
        notifications=() if choice is None else (choice.notification,),
        withdrawal=cell.withdrawal,
        follows=follows,
    )


def _finding(rule: Rule, trouble: ConversionIssue, ids: tuple[str, ...]) -> Finding:
    # The columns of one `each` would all report the same value.
    path = rule.form.preference_path if isinstance(rule.form, SelectionFlag) else rule.path
    return Finding(
        path, trouble.value, tuple(value_id for value_id in ids if _SHOWABLE_ID.fullmatch(value_id))
    )


def _under_any_purpose(
    mapping: rules.ColumnMapping, resolved: Mapping[Subject, Resolved]
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
    """What somebody stated comes before what snapshots merely repeat, as it does within one item."""
    return found.stated_at is None, precedence(found.choice)


def _stamp(
    rule: Rule, told: list[_Told], resolved: Mapping[Subject, Resolved]
) -> ColumnValue | Finding | None:
    """When, or by which event, the newest of some choices was made."""
    match rule.source:
        case NewestOf(items):
            spoken_of = [resolved[item] for item in items if item in resolved]
            choices = [found for found in spoken_of if isinstance(found.choice.value, bool)]
            follows = tuple(one.rule.column for one in told if one.rule.source in items)
            is_unset = not choices and any(found.choice.value is UNSET for found in spoken_of)
        case NewestMapped(regulation):
            of_regulation = [one for one in told if one.rule.regulation == regulation]
            choices = [one.resolved for one in of_regulation]
            follows = tuple(one.rule.column for one in of_regulation)
            is_unset = not choices and any(
                isinstance(subject, Item) and subject.regulation == regulation and found.choice.value is UNSET
                for subject, found in resolved.items()
            )
        case _:
            return None
    if is_unset:
        return _column_value(rule, convert_unset(rule.form), None, None)
    if not choices:
        return None
    newest = min(choices, key=lambda found: precedence(found.choice)).choice
    rendered = (
        format_moment(rule.form, newest.made_at)
        if isinstance(rule.form, DateTimeFormat)
        else _source_id(newest)
    )
    if rendered.cell is None:
        return None if rendered.trouble is None else _finding(rule, rendered.trouble, ())
    return _column_value(rule, rendered.cell, newest, _latest(found.stated_at for found in choices), follows)


def _source_id(newest: Choice) -> Conversion:
    return Conversion(Converted(newest.source_id or None))


def _latest(times: Iterable[datetime | None]) -> datetime | None:
    return max((at for at in times if at is not None), default=None)


def _is_newer(stated_at: datetime | None, than: datetime | None) -> bool:
    return stated_at is not None and (than is None or stated_at > than)


def _form_of(value: JsonScalar) -> str:
    if not isinstance(value, str):
        return "none"
    if _DATETIME.fullmatch(value):
        return "datetime"
    return "date" if _DATE.fullmatch(value) else "id"
