"""One row, and the values of its computed columns."""

from dataclasses import dataclass
from datetime import UTC, datetime

from dataverse_sandbox.table.column import Value
from dataverse_sandbox.users import User


class Row:
    """A row of the Contact table. Instants are Unix seconds."""

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
        """Version of the table at the row's last write."""
        self.values = values
        """What was written, by column; another column reads as its default."""
        self.created_at = now
        self.modified_at = now
        self.created_by = author
        self.modified_by = author
        self.writes = 1
        """How often the row was written, its creation included."""

    @property
    def etag(self) -> str:
        """The weak tag of dataverse.md 2.6."""
        return f'W/"{self.version}"'

    def snapshot(self) -> "Snapshot":
        """A copy for a rollback."""
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
    """When, and by which user."""
    modified: tuple[float, User]
    """When, and by which user."""
    writes: int

    def row(self) -> Row:
        """A row with this content."""
        row = Row(self.contactid, self.version, dict(self.values), *self.created)
        row.modified_at, row.modified_by = self.modified
        row.writes = self.writes
        return row


def format_instant(seconds: float) -> str:
    """Unix seconds in the form in which the service writes instants.

    >>> format_instant(0)
    '1970-01-01T00:00:00Z'
    """
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def computed_values(row: Row) -> dict[str, Value]:
    """The columns that the server computes."""
    first, last = row.values.get("firstname"), row.values.get("lastname")
    return {
        "createdon": row.values.get("overriddencreatedon") or format_instant(row.created_at),
        "modifiedon": format_instant(row.modified_at),
        "versionnumber": row.version,
        "fullname": " ".join(str(part) for part in (first, last) if part) or None,
        "createdby": row.created_by.user_id,
        "modifiedby": row.modified_by.user_id,
        # dataverse.md 2.5: the user who sent the write, when it ran on behalf of another user
        "createdonbehalfby": row.created_by.impersonator_id,
        "modifiedonbehalfby": row.modified_by.impersonator_id,
    }


AUTHORS = ("createdby", "modifiedby", "createdonbehalfby", "modifiedonbehalfby")
COMPUTED = frozenset({"createdon", "modifiedon", "versionnumber", "fullname", *AUTHORS})


def stored_value(row: Row, column: str, default: Value) -> Value:
    """The value of one column, stored or computed; `default` where none was written."""
    if column == "contactid":
        return row.contactid
    if column in COMPUTED:
        return computed_values(row)[column]
    return row.values.get(column, default)
