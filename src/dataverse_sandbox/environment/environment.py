"""Everything that a sandbox holds between two calls, and the reset to the start."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from dataverse_sandbox.environment.faults import Faults
from dataverse_sandbox.environment.limits import Limits, Usage
from dataverse_sandbox.environment.stats import Stats
from dataverse_sandbox.options import SandboxOptions
from dataverse_sandbox.table.collation import fold_case, fold_case_and_accents
from dataverse_sandbox.table.column import Value
from dataverse_sandbox.table.contact_columns import INITIAL_ROWS, initial_schema, sample_rows
from dataverse_sandbox.table.key_jobs import KeyJobs
from dataverse_sandbox.table.table import Table
from dataverse_sandbox.users import Users


@dataclass(slots=True)
class Environment:
    """One Dataverse environment: its Contact table, its users, and how it behaves."""

    table: Table
    users: Users
    key_jobs: KeyJobs

    options: SandboxOptions
    """The options in force; the same instance that the other parts hold."""

    initial_options: SandboxOptions
    """The options after a reset."""

    faults: Faults = field(default_factory=Faults)
    limits: Limits = field(default_factory=Limits)
    stats: Stats = field(default_factory=Stats)

    usages: dict[str, Usage] = field(default_factory=dict)
    """Usage by client id (dataverse.md 4.1: limits are per user)."""

    def usage(self, client_id: str) -> Usage:
        """The usage of one application's user."""
        return self.usages.setdefault(client_id, Usage())

    def replace_rows(self, contents: Iterable[tuple[str | None, dict[str, Value]]], now: float) -> None:
        """Replace all rows by these, as if the first application's user had written them.

        Raises ODataError for a violated key; then the old rows stay.
        """
        self.table.author = self.users.first
        self.table.replace_all(contents, now)
        # The written rows are counted anew with the rows, and so are the calls that wrote them.
        self.stats.writing_calls = 0

    def set_options(self, options: SandboxOptions) -> None:
        """Change the options, and with them how the table compares values."""
        self.options.assign(options)
        self.table.set_collation(
            fold_case if options.accent_sensitive else fold_case_and_accents,
            compares_null=options.null_in_composite_key == "compared",
        )

    def reset(self, now: float) -> None:
        """Rows, schema, users, faults, limits, options and stats as at start; running calls stay counted."""
        self.set_options(self.initial_options)
        self.users.reset()
        self.key_jobs.clear()
        self.table.use_schema(initial_schema())
        self.replace_rows(sample_rows(INITIAL_ROWS), now)
        self.faults.active = []
        self.limits = Limits()
        running = self.stats.running
        self.stats = Stats(running=running, peak_parallel=running)
        for usage in self.usages.values():
            usage.reset()


def create_environment(now: float, options: SandboxOptions, users: Users) -> Environment:
    """An environment as it is at start and after a reset; `options` are copied."""
    table, in_force = Table(initial_schema()), options.copy()
    environment = Environment(
        table, users, KeyJobs(table, in_force), options=in_force, initial_options=options.copy()
    )
    environment.set_options(options)
    environment.replace_rows(sample_rows(INITIAL_ROWS), now)
    return environment
