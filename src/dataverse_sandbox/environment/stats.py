"""What the sandbox was asked for since its last reset."""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from dataverse_sandbox.table.table import Table


@dataclass(slots=True)
class Stats:
    """Calls by kind and status (0: cut). Parts of a batch count as `part.<method>`, beside their call."""

    calls: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    writing_calls: int = 0
    running: int = 0
    peak_parallel: int = 0
    throttled: int = 0
    writing: Counter[str] = field(default_factory=Counter)
    peak_writers_per_row: int = 0

    def started(self) -> None:
        """A Web API call came in."""
        self.running += 1
        self.peak_parallel = max(self.peak_parallel, self.running)

    def ended(self) -> None:
        """It is over, whatever became of it."""
        self.running -= 1

    def rows_started(self, contactids: Collection[str]) -> None:
        """A call began to write these rows."""
        for contactid in contactids:
            self.writing[contactid] += 1
            self.peak_writers_per_row = max(self.peak_writers_per_row, self.writing[contactid])

    def rows_ended(self, contactids: Collection[str]) -> None:
        """And is over, whatever became of it."""
        for contactid in contactids:
            self.writing[contactid] -= 1
            if self.writing[contactid] <= 0:
                del self.writing[contactid]

    def count(self, kind: str, status: int) -> None:
        """One answer."""
        self.calls[kind][status] += 1
        if status == 429:
            self.throttled += 1

    def document(self, table: Table) -> dict[str, object]:
        """The answer of `GET stats`."""
        writes = dict(table.writes_of_deleted)
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
