"""Values and explanations as text for a terminal. Nothing here prints, and nothing here looks anything up."""

from didomi_dataverse.admin.explain import ColumnView, Explanation
from didomi_dataverse.didomi.interpreted import Disposition


def render_value(value: object) -> str:
    """A column's or a choice's value.

    >>> render_value(True), render_value(None), render_value(("sport", "culture")), render_value(())
    ('yes', '(empty)', 'sport, culture', '(none of them)')
    """
    match value:
        case True:
            return "yes"
        case False:
            return "no"
        case None:
            return "(empty)"
        case () | []:
            return "(none of them)"
        case tuple() | list():
            return ", ".join(map(str, value))
        case _:
            return str(value)


def render_rule(column: ColumnView) -> str:
    """The rule of a column, and whether it inverts."""
    return f"{column.rule}, inverted" if column.inverted else column.rule


def render_explanation(explained: Explanation) -> str:
    """What `explain` prints of one notification."""
    reason = f" ({explained.reason})" if explained.reason else ""
    time = "none" if explained.effective_at is None else explained.effective_at.isoformat()
    lines = [
        f"{explained.type or 'no type'}, {explained.regulation}: {explained.disposition}{reason}",
        f"  person:  {explained.organization_user_id or 'not named'}",
        f"  time:    {time}",
    ]
    lines += [f"  note:    {note}" for note in explained.notes]
    for choice in explained.choices:
        lines.append(f"  choice:  {choice.subject} = {render_value(choice.value)} ({choice.kind})")
    for name, column in explained.columns.items():
        lines.append(f"  column:  {name} = {render_value(column.value)}    by {render_rule(column)}")
    if explained.deletes and explained.disposition is Disposition.APPLIED:
        lines.append("  column:  depends on what else is known of the person: see `contacts show`")
    elif not explained.columns:
        lines.append("  column:  none would be written")
    lines += [f"  finding: {found.problem} at {found.rule}" for found in explained.findings]
    return "\n".join(lines)
