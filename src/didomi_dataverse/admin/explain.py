"""What a notification would do, worked out without storing or sending anything, by the code that does it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from didomi_dataverse.consent.model import Choice, Fact, Item, Selection, Subject, Unset, Value
from didomi_dataverse.consent.registers import fold, resolve
from didomi_dataverse.didomi import interpret, notification
from didomi_dataverse.didomi.interpreted import Disposition, InterpretedNotification
from didomi_dataverse.mapping.apply import ColumnValue, apply
from didomi_dataverse.mapping.rules import ColumnMapping, SelectionFlag, YesNo
from didomi_dataverse.wiring.configuration import Configuration
from didomi_dataverse.wiring.policies import reading_policy


def explain(reading: InterpretedNotification, mapping: ColumnMapping) -> dict[str, Any]:
    """The disposition, the choices, and each column's value with its rule, as plain JSON values.

    Worked out as if this were all that is known of the person: what is stored of them may hold something
    newer.
    """
    values = apply(mapping, resolve(fold({}, reading.choices)))
    return {
        "type": reading.type,
        "regulation": reading.regulation,
        "disposition": reading.disposition.value,
        "reason": None if reading.reason is None else reading.reason.value,
        "organization_user_id": None if reading.identity is None else reading.identity.identifier,
        "effective_at": None if reading.effective_at is None else reading.effective_at.isoformat(),
        "notes": list(reading.warnings),
        "deletes": None if reading.deletes is None else reading.deletes.value,
        "choices": [choice_view(choice) for choice in reading.choices],
        "columns": {name: column_view(value, mapping) for name, value in values.values.items()},
        "findings": [{"rule": found.rule, "problem": found.problem} for found in values.findings],
    }


def choice_view(choice: Choice) -> dict[str, Any]:
    """One choice, in words that a person can follow."""
    return {
        "subject": subject_words(choice.subject),
        "value": value_view(choice.value),
        "kind": choice.kind.value,
        "made_at": choice.made_at.isoformat(),
        "source": choice.source_id,
    }


def column_view(value: ColumnValue, mapping: ColumnMapping) -> dict[str, Any]:
    """A column's value, the rule it comes from, whether that turns yes into no, and the Didomi events it
    rests on.
    """
    forms = (rule.format for rule in mapping.rules if rule.column == value.column)
    return {
        "value": value.value,
        "rule": value.rule,
        "inverted": any(isinstance(form, YesNo | SelectionFlag) and form.invert for form in forms),
        "sources": list(value.sources),
    }


def rule_words(column: Mapping[str, Any]) -> str:
    """The rule of a `column_view`, and whether it inverts."""
    return f"{column['rule']}, inverted" if column["inverted"] else str(column["rule"])


def subject_words(subject: Subject) -> str:
    """An item or a fact, spelled like its place in the mapping file."""
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


def value_view(value: Value) -> Any:  # noqa: ANN401 - JSON, whatever it is
    """A choice's value as JSON: yes and no as booleans, a selection as the list of its ids; null when what
    was chosen is deleted.
    """
    if isinstance(value, Selection):
        return list(value.ids)
    return None if isinstance(value, Unset) else value


def readable(explained: Mapping[str, Any]) -> str:
    """The explanation as text for a terminal."""
    reason = f" ({explained['reason']})" if explained["reason"] else ""
    lines = [
        f"{explained['type'] or 'no type'}, {explained['regulation']}: {explained['disposition']}{reason}",
        f"  person:  {explained['organization_user_id'] or 'nobody named'}",
        f"  time:    {explained['effective_at'] or 'none'}",
    ]
    lines += [f"  note:    {note}" for note in explained["notes"]]
    for choice in explained["choices"]:
        lines.append(f"  choice:  {choice['subject']} = {words(choice['value'])} ({choice['kind']})")
    for name, column in explained["columns"].items():
        lines.append(f"  column:  {name} = {words(column['value'])}    by {rule_words(column)}")
    if explained["deletes"] and explained["disposition"] == Disposition.APPLIED:
        lines.append("  column:  depends on what else is known of the person: see `contacts show`")
    elif not explained["columns"]:
        lines.append("  column:  none would be written")
    lines += [f"  finding: {found['problem']} at {found['rule']}" for found in explained["findings"]]
    return "\n".join(lines)


def words(value: object) -> str:
    """A value as a person would say it."""
    match value:
        case True:
            return "yes"
        case False:
            return "no"
        case None:
            return "(empty)"
        case []:
            return "(none of them)"
        case list():
            return ", ".join(map(str, value))
        case _:
            return str(value)


def read_body(configuration: Configuration, body: bytes, *, now: datetime) -> list[InterpretedNotification]:
    """What a body says, as the service would read it. Raises NotJsonError."""
    policy = reading_policy(configuration)
    return [
        interpret.interpret(found, received_at=now, caller="explain", policy=policy)
        for found in notification.parse_notifications(body)
    ]
