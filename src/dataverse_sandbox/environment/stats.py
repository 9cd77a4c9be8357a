"""Statistics of the calls since the last reset, and the words by which calls are counted."""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from dataverse_sandbox.messages import Request
from dataverse_sandbox.table.table import Table

_BULK_MESSAGES = {
    "Microsoft.Dynamics.CRM.CreateMultiple": "create_multiple",
    "Microsoft.Dynamics.CRM.UpdateMultiple": "update_multiple",
    "Microsoft.Dynamics.CRM.UpsertMultiple": "upsert_multiple",
}


def call_kind(request: Request) -> str:
    """The word for a call: what it is for, else its HTTP method in lower case."""
    path = request.path
    if path.endswith("/oauth2/v2.0/token"):
        return "token"
    if not path.startswith("/api/"):
        return "discovery"
    last = path.rpartition("/")[2]
    if last == "$batch":
        return "batch"
    if last in _BULK_MESSAGES:
        return _BULK_MESSAGES[last]
    if last.startswith("WhoAmI"):
        return "whoami"
    if "/contacts" not in path:
        return "metadata"
    return request.method.lower()


def delivery_mode(request: Request) -> str:
    """One of `limits.DELIVERY_MODES`: the mode whose simulated time a call takes."""
    last = request.path.rpartition("/")[2]
    if last == "$batch":
        return "batch"
    return "multiple" if last in _BULK_MESSAGES else "single"


@dataclass(slots=True)
class Stats:
    """Counters since the last reset."""

    calls: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """Calls by kind and status; status 0 is a cut. A part of a batch counts as `part.<method>` besides."""

    writing_calls: int = 0
    """Calls that wrote at least one row."""

    running: int = 0
    """Web API calls that run now."""

    peak_parallel: int = 0
    """Highest number of Web API calls at the same time."""

    throttled: int = 0
    """Responses with status 429, parts of a batch included."""

    writing: Counter[str] = field(default_factory=Counter)
    """By contact id: calls that write the row now."""

    peak_writers_per_row: int = 0
    """Highest number of calls that wrote the same row at the same time."""

    def begin_call(self) -> None:
        """A Web API call starts."""
        self.running += 1
        self.peak_parallel = max(self.peak_parallel, self.running)

    def end_call(self) -> None:
        """A Web API call is over, whatever its result."""
        self.running -= 1

    def begin_writes(self, contactids: Collection[str]) -> None:
        """A call starts to write these rows."""
        for contactid in contactids:
            self.writing[contactid] += 1
            self.peak_writers_per_row = max(self.peak_writers_per_row, self.writing[contactid])

    def end_writes(self, contactids: Collection[str]) -> None:
        """That call is over, whatever its result."""
        for contactid in contactids:
            self.writing[contactid] -= 1
            if self.writing[contactid] <= 0:
                del self.writing[contactid]

    def count(self, kind: str, status: int) -> None:
        """Count one response."""
        self.calls[kind][status] += 1
        if status == 429:
            self.throttled += 1

    def document(self, table: Table) -> dict[str, object]:
        """The answer of `GET stats`."""
        writes = dict(table.writes_of_deleted_rows)
        for row in table.rows.values():
            if row.writes:
                writes[row.contactid] = writes.get(row.contactid, 0) + row.writes
        rows_per_call = table.rows_written / self.writing_calls if self.writing_calls else 0.0
        return {
            "calls": {
                kind: {str(status): count for status, count in sorted(counts.items())}
                for kind, counts in sorted(self.calls.items())
            },
            "rows_written": table.rows_written,
            "rows_per_call": round(rows_per_call, 3),
            "peak_parallel": self.peak_parallel,
            "peak_writers_per_row": self.peak_writers_per_row,
            "throttled": self.throttled,
            "writes": writes,
        }
