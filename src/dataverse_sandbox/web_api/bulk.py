"""`CreateMultiple`, `UpdateMultiple`, `UpsertMultiple`: one transaction, no result per row."""

import re

from dataverse_sandbox import errors
from dataverse_sandbox.messages import ODATA_VERSION, Request, Response, json_response
from dataverse_sandbox.options import Switches
from dataverse_sandbox.table.column import Value
from dataverse_sandbox.table.row_index import Folded, folded
from dataverse_sandbox.table.table import UNCONDITIONAL, RowAddress, Table
from dataverse_sandbox.users import CREATE, WRITE, User
from dataverse_sandbox.web_api import duplicates, privileges
from dataverse_sandbox.web_api.key_url import parse_address
from dataverse_sandbox.web_api.lookup_binding import row_id_of
from dataverse_sandbox.web_api.routing import json_object, only_method
from dataverse_sandbox.web_api.row_body import read_values

_PREFIX = "contacts/Microsoft.Dynamics.CRM."
_TYPE = "Microsoft.Dynamics.CRM.contact"
_REFERENCE = re.compile(r"contacts\((.*)\)", re.DOTALL)

Target = dict[str, object]


class BulkMessages:
    """An extension of the Web API: the bulk messages of dataverse.md 3.4."""

    def __init__(self, table: Table, switches: Switches) -> None:
        self._table = table
        self._switches = switches
        self._row_id = row_id_of(table, switches)
        self._detects = False
        self._restricted: User | None = None

    def answer(self, request: Request, resource: str, base: str, now: float) -> Response | None:
        """The answer to one of the three messages, None for another path."""
        if not resource.startswith(_PREFIX) or not self._switches.bulk_messages:
            return None
        message = resource.removeprefix(_PREFIX)
        if message not in {"CreateMultiple", "UpdateMultiple", "UpsertMultiple"}:
            return None
        only_method(request, "POST")
        targets = _targets(json_object(request))
        self._detects = duplicates.is_wanted(request)
        self._restricted = None if privileges.may_write_all(request.caller) else request.caller
        with self._table.transaction():
            match message:
                case "CreateMultiple":
                    ids = [self._create(target, now) for target in targets]
                    context = f"{base}$metadata#Microsoft.Dynamics.CRM.CreateMultipleResponse"
                    return json_response({"@odata.context": context, "Ids": ids}, rows=len(targets))
                case "UpdateMultiple":
                    for target in targets:
                        self._update(target, now)
                case _:
                    self._upsert_all(targets, now)
        return Response(204, (ODATA_VERSION,), rows=len(targets))

    def _create(self, target: Target, now: float) -> str:
        if self._restricted:
            privileges.check_write(self._restricted, CREATE, target)
        contactid, values = read_values(target, self._table.schema, self._row_id, creating=True)
        if self._detects:
            duplicates.refuse(self._table, self._switches, None, values)
        return self._table.create(contactid, values, now).contactid

    def _update(self, target: Target, now: float) -> None:
        if self._restricted:
            privileges.check_write(self._restricted, WRITE, target)
        contactid, values = read_values(target, self._table.schema, self._row_id, creating=False)
        if contactid is None:
            raise errors.Refusal(400, "0x80040203", "Each target of UpdateMultiple needs its contactid.")
        row = self._table.get(RowAddress(contactid))
        if self._detects:
            duplicates.refuse(self._table, self._switches, row, values)
        self._table.update(row, values, now)

    def _upsert_all(self, targets: list[Target], now: float) -> None:
        seen: set[Folded] = set()
        for target in targets:
            address, values = self._addressed(target)
            if self._restricted:
                privileges.check_upsert(self._restricted, self._table, address, target)
            if address is None:
                if self._detects:
                    duplicates.refuse(self._table, self._switches, None, values)
                self._table.create(None, values, now)
                continue
            place = _place(address, self._table)
            if place in seen:
                raise errors.Refusal(400, "0x80040203", "Two targets of UpsertMultiple name the same row.")
            seen.add(place)
            if (
                address.key is not None
                and not values.keys().isdisjoint(address.key.columns)
                and self._table.find(address) is None
            ):
                # dataverse.md 3.4: the key in the reference and in the body breaks the create path only.
                raise errors.Refusal(400, "0x80040216", "An unexpected error occurred.")
            if self._detects:
                duplicates.refuse_upsert(self._table, self._switches, address, values)
            self._table.upsert(address, None, values, UNCONDITIONAL, now)

    def _addressed(self, target: Target) -> tuple[RowAddress | None, dict[str, Value]]:
        contactid, values = read_values(target, self._table.schema, self._row_id, creating=None)
        reference = target.get("@odata.id")
        if reference is None:
            return (None if contactid is None else RowAddress(contactid)), values
        found = _REFERENCE.fullmatch(reference) if isinstance(reference, str) else None
        if found is None:
            raise errors.query_syntax("'@odata.id' is the relative URL of a row.")
        return parse_address(found[1], self._table.schema, self._switches, in_body=True), values


def _targets(document: dict[str, object]) -> list[Target]:
    targets = document.get("Targets")
    if document.keys() != {"Targets"} or not isinstance(targets, list):
        raise errors.unreadable('The body of a bulk message is {"Targets": […]}.')
    if not targets:
        raise errors.Refusal(400, "0x80040203", "Targets must not be empty.")
    for target in targets:
        if not isinstance(target, dict) or str(target.get("@odata.type")).lstrip("#") != _TYPE:
            raise errors.unreadable(f"Each target needs '@odata.type': '{_TYPE}'.")
    return targets


def _place(address: RowAddress, table: Table) -> Folded:
    if address.key is None:
        return address.contactid
    return (address.key.name, *(folded(value, table.fold) for value in address.key_values))
