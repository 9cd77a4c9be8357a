"""Builders that the tests of the mapping share."""

import textwrap
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import EllipsisType

from didomi_dataverse.config.yaml_reader import read_document
from didomi_dataverse.consent.model import Choice, ChoiceKind, Fact, Item, Selection, Subject, Value
from didomi_dataverse.consent.registers import Resolved
from didomi_dataverse.errors import Problem
from didomi_dataverse.mapping import rules
from didomi_dataverse.mapping.apply import ColumnValues, apply
from didomi_dataverse.mapping.parse import parse_mapping

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NEWSLETTER = Item("gdpr", "newsletter")


def read(
    text: str, *, reserved: Mapping[str, str] | None = None
) -> tuple[rules.ColumnMapping, tuple[Problem, ...]]:
    """What the text under `mapping:` comes to, and what is wrong with it. Line 1 is `mapping:`."""
    document = read_document(
        f"mapping:\n{textwrap.indent(textwrap.dedent(text), '  ')}".encode(), "c.yaml", {}
    )
    assert document.problems == ()
    return parse_mapping(document, reserved=reserved)


def mapping(text: str) -> rules.ColumnMapping:
    """The mapping that the text stands for; it must be right."""
    found, problems = read(text)
    assert problems == ()
    return found


def purposes(text: str) -> rules.ColumnMapping:
    """A mapping of `gdpr` with only these purposes, in YAML's flow form."""
    return mapping(f"gdpr: {{ purposes: {{ {text} }} }}")


def picked(*ids: str, text: str | None = None) -> Selection:
    """A selection as it is read from Didomi."""
    return Selection(tuple(sorted(set(ids))), ",".join(ids) if text is None else text)


def chosen(
    subject: Subject,
    value: Value,
    *,
    at: datetime = NOON,
    stated_at: datetime | EllipsisType | None = ...,
    source_id: str = "E1",
) -> dict[Subject, Resolved]:
    """One resolved choice, to be joined with others by `|`. `stated_at` follows `at` unless it is given."""
    choice = Choice(
        subject=subject,
        value=value,
        made_at=at,
        didomi_user="U1",
        kind=ChoiceKind.ASSERTION if stated_at is None else ChoiceKind.STATEMENT,
        source_id=source_id,
        notification=f"digest-of-{source_id}",
    )
    return {subject: Resolved(choice, at if isinstance(stated_at, EllipsisType) else stated_at)}


def fact(path: str, value: Value) -> dict[Subject, Resolved]:
    """Something told of the person."""
    return chosen(Fact("gdpr", path), value)


def written(values: ColumnValues) -> dict[str, object]:
    """Column → value."""
    return {column: value.value for column, value in values.values.items()}


def columns(rules: rules.ColumnMapping, resolved: Mapping[Subject, Resolved]) -> dict[str, object]:
    """Column → value of what a mapping makes of choices."""
    return written(apply(rules, resolved))
