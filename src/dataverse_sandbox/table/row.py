"""One row, and how its computed columns read."""

from dataclasses import dataclass
from datetime import UTC, datetime

from dataverse_sandbox.table.column import Value
from dataverse_sandbox.users import User


class Row:
    """`values` holds what was written; another column reads as its default. Instants are Unix seconds."""

    __slots__ = (
        "contactid",
        "created_at",
        "created_by",
        "modified_at",
        "modified_by",
        "values",
        "version",
        "writes",
    )

    def __init__(
        self, contactid: str, version: int, values: dict[str, Value], now: float, author: User
    ) -> None:
        self.contactid = contactid
        self.version = version
        self.values = values
        self.created_at = now
        self.modified_at = now
        self.created_by = author
        self.modified_by = author
        self.writes = 1

    @property
    def etag(self) -> str:
        """The weak tag of dataverse.md 2.6."""
        return f'W/"{self.version}"'

    def snapshot(self) -> "Snapshot":
        """A copy to go back to."""
        return Snapshot(
            self.contactid,
            self.version,
            dict(self.values),
            (self.created_at, self.created_by),
            (self.modified_at, self.modified_by),
            self.writes,
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A row as it was before a write of an open transaction."""

    contactid: str
    version: int
    values: dict[str, Value]
    created: tuple[float, User]
    modified: tuple[float, User]
    writes: int

    def row(self) -> Row:
        """That row again."""
        row = Row(self.contactid, self.version, dict(self.values), *self.created)
        row.modified_at, row.modified_by = self.modified
        row.writes = self.writes
        return row


def instant_text(seconds: float) -> str:
    """Unix seconds the way the service writes instants."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def computed_values(row: Row) -> dict[str, Value]:
    """The columns that nobody writes."""
    first, last = row.values.get("firstname"), row.values.get("lastname")
    return {
        "createdon": row.values.get("overriddencreatedon") or instant_text(row.created_at),
        "modifiedon": instant_text(row.modified_at),
        "versionnumber": row.version,
        "fullname": " ".join(str(part) for part in (first, last) if part) or None,
        "createdby": row.created_by.user_id,
        "modifiedby": row.modified_by.user_id,
        # dataverse.md 2.5: who really wrote, when that was on behalf of somebody else
        "createdonbehalfby": row.created_by.acting_id,
        "modifiedonbehalfby": row.modified_by.acting_id,
    }


AUTHORS = ("createdby", "modifiedby", "createdonbehalfby", "modifiedonbehalfby")
COMPUTED = frozenset({"createdon", "modifiedon", "versionnumber", "fullname", *AUTHORS})


def stored_value(row: Row, column: str, default: Value) -> Value:
    """One column of a row."""
    if column == "contactid":
        return row.contactid
    if column in COMPUTED:
        return computed_values(row)[column]
    return row.values.get(column, default)
