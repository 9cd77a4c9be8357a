"""Duplicate detection rules, which apply to a request only when it asks for them (dataverse.md 2.4)."""

from collections.abc import Mapping

from dataverse_sandbox import errors
from dataverse_sandbox.messages import Request
from dataverse_sandbox.options import SandboxOptions
from dataverse_sandbox.table.collation import comparison_key
from dataverse_sandbox.table.column import Value
from dataverse_sandbox.table.row import Row
from dataverse_sandbox.table.table import RowAddress, Table, column_reader

HEADER = "mscrm.suppressduplicatedetection"


def is_requested(request: Request) -> bool:
    """The Web API suppresses the rules unless the request says otherwise."""
    return request.headers.get(HEADER, "").strip().lower() == "false"


def check_write(table: Table, options: SandboxOptions, row: Row | None, values: Mapping[str, Value]) -> None:
    """Raises the duplicate error if, after this write of `row` (None: a new one), a rule finds another row.

    A rule finds rows that agree in all its columns. A null agrees with no value.
    """
    after = values if row is None else {**row.values, **values}
    for columns in table.schema.duplicate_rules.values():
        wanted = [after.get(name) for name in columns]
        if None in wanted or values.keys().isdisjoint(columns):
            continue
        readers = [column_reader(table, name) for name in columns]
        for other in table.find_equal(columns[0], wanted[0]):
            is_same = all(
                comparison_key(read(other), table.collation) == comparison_key(value, table.collation)
                for read, value in zip(readers, wanted, strict=True)
            )
            if is_same and other is not row:
                raise errors.duplicate_detected(options.duplicate_status)


def check_upsert(
    table: Table, options: SandboxOptions, address: RowAddress, values: Mapping[str, Value]
) -> None:
    """The same for a write by address; a new row holds the address's key values too."""
    key_values = {} if address.key is None else address.columns()
    check_write(table, options, table.find(address), {**key_values, **values})
