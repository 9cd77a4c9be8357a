"""The row that a lookup is bound to, by id or by alternate key (dataverse.md 6.1)."""

from didomi_dataverse.sandbox import refusal
from didomi_dataverse.sandbox.column import GUID
from didomi_dataverse.sandbox.key_url import parse_address
from didomi_dataverse.sandbox.row_body import RowId
from didomi_dataverse.sandbox.switches import Switches
from didomi_dataverse.sandbox.table import Table


def row_id_of(table: Table, switches: Switches) -> RowId:
    """A function that finds ids. Contacts must exist; rows of other tables are taken at their word."""

    def row_id(entity_set: str, predicate: str) -> str:
        if entity_set == "contacts":
            return table.get(parse_address(predicate, table.schema, switches)).contactid
        if "=" in predicate:
            raise refusal.not_simulated(f"A reference by key to '{entity_set}'")
        if not GUID.fullmatch(predicate):
            raise refusal.query_syntax(f"A reference to '{entity_set}' needs the id of a row.")
        return predicate.lower()

    return row_id
