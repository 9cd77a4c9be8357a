"""Everything that a sandbox holds between two calls, and the way back to the start."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from dataverse_sandbox.environment.faults import Faults
from dataverse_sandbox.environment.limits import Limits, Usage
from dataverse_sandbox.environment.stats import Stats
from dataverse_sandbox.options import Switches
from dataverse_sandbox.table.collation import fold_case, fold_case_and_accents
from dataverse_sandbox.table.column import Value
from dataverse_sandbox.table.contact_columns import ROWS_AT_START, made_up_people, starting_schema
from dataverse_sandbox.table.key_jobs import KeyJobs
from dataverse_sandbox.table.table import Table
from dataverse_sandbox.users import Users


@dataclass(slots=True)
class Environment:
    """One Dataverse environment: its Contact table, and how it behaves."""

    table: Table
    users: Users
    key_jobs: KeyJobs
    faults: Faults = field(default_factory=Faults)
    limits: Limits = field(default_factory=Limits)
    stats: Stats = field(default_factory=Stats)
    usages: dict[str, Usage] = field(default_factory=dict)
    switches: Switches = field(default_factory=Switches)
    switches_at_start: Switches = field(default_factory=Switches)

    def usage(self, user: str) -> Usage:
        """The counters of one user (dataverse.md 4.1: limits are per user)."""
        return self.usages.setdefault(user, Usage())

    def replace_rows(self, contents: Iterable[tuple[str | None, dict[str, Value]]], now: float) -> None:
        """Throw all rows away and take these, as if the first application's user had written them."""
        self.table.author = self.users.first
        self.table.replace_all(contents, now)
        # The rows written are counted anew with the rows, and so are the calls that wrote them.
        self.stats.writing_calls = 0

    def use_switches(self, changed: Switches) -> None:
        """Change the switches, and with them how the table compares values."""
        self.switches.take(changed)
        self.table.compare_by(
            fold_case if changed.accent_sensitive else fold_case_and_accents,
            compares_null=changed.null_in_composite_key == "compared",
        )

    def reset(self, now: float) -> None:
        """Rows, schema, faults, limits, switches and stats as at start; calls under way go on counting."""
        self.use_switches(self.switches_at_start)
        self.users.reset()
        self.key_jobs.forget()
        self.table.use_schema(starting_schema())
        self.replace_rows(made_up_people(ROWS_AT_START), now)
        self.faults.standing = []
        self.limits = Limits()
        running = self.stats.running
        self.stats = Stats(running=running, peak_parallel=running)
        for usage in self.usages.values():
            usage.called_at.clear()
            usage.executed.clear()
            usage.executed_seconds = usage.paused_until = 0.0


def new_environment(now: float, switches: Switches, users: Users) -> Environment:
    """An environment as it is at start, and as a reset makes it again."""
    table, obeyed = Table(starting_schema()), switches.copy()
    environment = Environment(
        table, users, KeyJobs(table, obeyed), switches=obeyed, switches_at_start=switches.copy()
    )
    environment.use_switches(switches)
    environment.replace_rows(made_up_people(ROWS_AT_START), now)
    return environment
