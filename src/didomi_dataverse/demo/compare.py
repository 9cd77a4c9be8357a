"""Compare the Contact table with what the story expects of it. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from didomi_dataverse.demo.story import Expected, Row, Story

_CHANGED_BY_SERVER = frozenset({"@odata.etag", "modifiedon", "versionnumber"})


@dataclass(frozen=True, slots=True)
class ColumnResult:
    """One column that changed, or had to."""

    person: str
    """The value of the key column."""

    column: str
    """The column's name."""

    before: object
    """Its value before the story."""

    after: object
    """Its value after the story."""

    reason: str
    """Why it must have the value that it must have."""

    is_right: bool
    """Whether it has that value."""


def compare_columns(
    story: Story, before: Mapping[str, Row], after: Mapping[str, Row]
) -> Iterator[ColumnResult]:
    """Every column that changed or had to, person by person. `before` and `after`: the table by its key
    column.
    """
    for person, row in after.items():
        expected = story.expected.get(person, {})
        old = before.get(person, {})
        names = {name for name in row if name in expected or _differs(row, old, name)}
        in_order = [name for name in expected if name in names] + sorted(names - expected.keys())
        for name in in_order:
            wanted = expected.get(name, Expected(old.get(name), "must stay as it was"))
            yield ColumnResult(
                person=person,
                column=name,
                before=old.get(name),
                after=row[name],
                reason=wanted.reason,
                is_right=row[name] == wanted.value,
            )


def find_wrong_write_counts(
    story: Story, after: Mapping[str, Row], writes: Mapping[str, int]
) -> dict[str, int]:
    """The people whose row was not written as often as it must be, and how often that is. `writes`: by
    contact id, how often the sandbox wrote the row.
    """
    return {
        person: times
        for person, times in story.writes.items()
        if writes.get(after[person]["contactid"], 0) != times
    }


def _differs(row: Row, before: Row, name: str) -> bool:
    return name not in _CHANGED_BY_SERVER and row[name] != before.get(name)
