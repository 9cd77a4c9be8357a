"""After any writes, rollbacks and deletions, an index finds what a scan finds."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dataverse_sandbox.errors import ODataError
from dataverse_sandbox.table.collation import fold_case, fold_case_and_accents
from dataverse_sandbox.table.contact_columns import initial_schema
from dataverse_sandbox.table.schema import AlternateKey
from dataverse_sandbox.table.table import UNCONDITIONAL, RowAddress, Table

SINGLE = AlternateKey("new_didomikey", ("new_didomikey",))
PAIR = AlternateKey("new_pair", ("firstname", "lastname"))
SCHEMA = initial_schema().extend([], [PAIR])

texts = st.sampled_from([None, "a", "A", "ä", "b ", "b", "ss", "ß"])
names = ("new_didomikey", "firstname", "lastname", "emailaddress1")
column_values = st.fixed_dictionaries({}, optional=dict.fromkeys(names, texts))
kinds = st.sampled_from(["create", "by_id", "by_key", "delete"])
ids = st.integers(0, 5).map(lambda number: f"00000000-0000-4000-8000-{number:012d}")

Write = tuple[str, str, dict[str, str | None]]


class RollbackError(Exception):
    """The reason of the test to roll back."""


def roll_back() -> None:
    raise RollbackError


class Writes(RuleBasedStateMachine):
    """Transactions of writes of all kinds, some of them refused or rolled back."""

    def __init__(self) -> None:
        super().__init__()
        self.table = Table(SCHEMA)

    @rule(writes=st.lists(st.tuples(kinds, ids, column_values), max_size=5), rolls_back=st.booleans())
    def transaction(self, writes: list[Write], rolls_back: bool) -> None:
        before = self.contents()
        try:
            with self.table.transaction():
                for write in writes:
                    self.apply(*write)
                if rolls_back:
                    roll_back()
        except (ODataError, RollbackError):
            assert self.contents() == before

    @rule(value=texts)
    def look_up(self, value: str | None) -> None:
        """The first lookup builds an index, which later writes must update."""
        list(self.table.find_equal("emailaddress1", value))

    @invariant()
    def equality_finds_what_a_scan_finds(self) -> None:
        for value in ("a", "ss", None):
            scanned = {
                row.contactid
                for row in self.table.rows.values()
                if self.comparison_key(row.values.get("emailaddress1")) == self.comparison_key(value)
            }
            assert {row.contactid for row in self.table.find_equal("emailaddress1", value)} == scanned

    @invariant()
    def each_key_finds_its_row_and_no_other(self) -> None:
        for key in (SINGLE, PAIR):
            held = 0
            for row in self.table.rows.values():
                values = tuple(row.values.get(name) for name in key.columns)
                if None not in values:
                    held += 1
                    assert self.table.find(RowAddress(None, key, values)) is row
            assert len(self.table._key_indexes[key.name].rows) == held

    def apply(self, kind: str, contactid: str, values: dict[str, str | None]) -> None:
        match kind:
            case "create":
                self.table.create(contactid, dict(values), 0.0)
            case "by_id":
                self.table.upsert(RowAddress(contactid), None, dict(values), UNCONDITIONAL, 0.0)
            case "by_key":
                address = RowAddress(None, SINGLE, (values.get("new_didomikey") or "c",))
                self.table.upsert(address, None, dict(values), UNCONDITIONAL, 0.0)
            case _:
                self.table.delete(RowAddress(contactid))

    def contents(self) -> object:
        rows = self.table.rows.values()
        held = {row.contactid: (row.version, dict(row.values), row.writes) for row in rows}
        return held, self.table.rows_written, dict(self.table.writes_of_deleted_rows)

    def comparison_key(self, value: object) -> str | None:
        return None if value is None else self.table.collation(str(value))


TestWrites = Writes.TestCase
TestWrites.settings = settings(max_examples=40, stateful_step_count=12)


def test_accents_matter_only_where_the_collation_says_so() -> None:
    assert fold_case_and_accents("Émile ") == fold_case_and_accents("emile")
    assert fold_case("Émile ") == fold_case("éMILE")
    assert fold_case("Émile") != fold_case("Emile")
