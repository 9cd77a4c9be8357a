"""The row that a lookup is bound to, by id or by alternate key (dataverse.md 6.1)."""

from dataverse_sandbox import errors
from dataverse_sandbox.options import Switches
from dataverse_sandbox.table.column import GUID
from dataverse_sandbox.table.table import Table
from dataverse_sandbox.web_api.key_url import parse_address
from dataverse_sandbox.web_api.row_body import RowId


def row_id_of(table: Table, switches: Switches) -> RowId:
    """A function that finds ids. Contacts must exist; rows of other tables are taken at their word."""

    def row_id(entity_set: str, predicate: str) -> str:
        if entity_set == "contacts":
            return table.get(parse_address(predicate, table.schema, switches)).contactid
        if "=" in predicate:
            raise errors.not_simulated(f"A reference by key to '{entity_set}'")
        if not GUID.fullmatch(predicate):
            raise errors.query_syntax(f"A reference to '{entity_set}' needs the id of a row.")
        return predicate.lower()

    return row_id
