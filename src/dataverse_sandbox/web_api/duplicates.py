"""Duplicate detection rules, which a request switches on for itself (dataverse.md 2.4)."""

from collections.abc import Mapping

from dataverse_sandbox import errors
from dataverse_sandbox.messages import Request
from dataverse_sandbox.options import Switches
from dataverse_sandbox.table.column import Value
from dataverse_sandbox.table.row import Row
from dataverse_sandbox.table.row_index import folded
from dataverse_sandbox.table.table import RowAddress, Table, reader

HEADER = "mscrm.suppressduplicatedetection"


def is_wanted(request: Request) -> bool:
    """The Web API suppresses the rules unless the request says otherwise."""
    return request.headers.get(HEADER, "").strip().lower() == "false"


def refuse(table: Table, switches: Switches, row: Row | None, values: Mapping[str, Value]) -> None:
    """Refuse a write of `row` (None: a new one) after which a rule would find another row like it.

    A rule finds rows that agree in all its columns; a null agrees with nothing.
    """
    after = values if row is None else {**row.values, **values}
    for columns in table.schema.duplicate_rules.values():
        wanted = [after.get(name) for name in columns]
        if None in wanted or values.keys().isdisjoint(columns):
            continue
        reads = [reader(table, name) for name in columns]
        for other in table.where_equal(columns[0], wanted[0]):
            same = all(
                folded(read(other), table.fold) == folded(value, table.fold)
                for read, value in zip(reads, wanted, strict=True)
            )
            if same and other is not row:
                raise errors.duplicate_found(switches.duplicate_status)


def refuse_upsert(table: Table, switches: Switches, address: RowAddress, values: Mapping[str, Value]) -> None:
    """The same for a write by address, whose key values a new row would hold too."""
    key_values = (
        {} if address.key is None else dict(zip(address.key.columns, address.key_values, strict=True))
    )
    refuse(table, switches, table.find(address), {**key_values, **values})
