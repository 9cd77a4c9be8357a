"""`CreateMultiple`, `UpdateMultiple`, `UpsertMultiple` (dataverse.md 3.4): one transaction each."""

import re

from dataverse_sandbox import errors
from dataverse_sandbox.messages import ODATA_VERSION, Request, Response, json_response
from dataverse_sandbox.options import SandboxOptions
from dataverse_sandbox.table.collation import ComparisonKey, comparison_key
from dataverse_sandbox.table.column import Value
from dataverse_sandbox.table.table import UNCONDITIONAL, RowAddress, Table
from dataverse_sandbox.users import CREATE, WRITE, User
from dataverse_sandbox.web_api import authorization, duplicate_detection
from dataverse_sandbox.web_api.key_url import parse_address
from dataverse_sandbox.web_api.parse_row import json_object, parse_values, row_id_finder

_PREFIX = "contacts/Microsoft.Dynamics.CRM."
_TYPE = "Microsoft.Dynamics.CRM.contact"
_REFERENCE = re.compile(r"contacts\((.*)\)", re.DOTALL)

Target = dict[str, object]
"""One row of a bulk message, as its JSON object."""


class BulkMessages:
    """An extension of the Web API: the three bulk messages."""

    def __init__(self, table: Table, options: SandboxOptions) -> None:
        self._table = table
        self._options = options
        self._find_row_id = row_id_finder(table, options)
        self._detects_duplicates = False
        # The caller, when its privileges must be checked for each target.
        self._restricted: User | None = None

    def answer(self, request: Request, resource: str, base: str, now: float) -> Response | None:
        """The response to one of the messages, or None for another path. Raises ODataError."""
        if not resource.startswith(_PREFIX) or not self._options.bulk_messages:
            return None
        message = resource.removeprefix(_PREFIX)
        if message not in {"CreateMultiple", "UpdateMultiple", "UpsertMultiple"}:
            return None
        request.require_method("POST")
        targets = _parse_targets(json_object(request))
        self._detects_duplicates = duplicate_detection.is_requested(request)
        self._restricted = None if authorization.may_write_all(request.caller) else request.caller
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
            authorization.check_write(self._restricted, CREATE, target)
        contactid, values = parse_values(target, self._table.schema, self._find_row_id, creating=True)
        if self._detects_duplicates:
            duplicate_detection.check_write(self._table, self._options, None, values)
        return self._table.create(contactid, values, now).contactid

    def _update(self, target: Target, now: float) -> None:
        if self._restricted:
            authorization.check_write(self._restricted, WRITE, target)
        contactid, values = parse_values(target, self._table.schema, self._find_row_id, creating=False)
        if contactid is None:
            raise errors.invalid_argument("Each target of UpdateMultiple needs its contactid.")
        row = self._table.get(RowAddress(contactid))
        if self._detects_duplicates:
            duplicate_detection.check_write(self._table, self._options, row, values)
        self._table.update(row, values, now)

    def _upsert_all(self, targets: list[Target], now: float) -> None:
        seen: set[ComparisonKey] = set()
        for target in targets:
            address, values = self._parse_target(target)
            if self._restricted:
                authorization.check_upsert(self._restricted, self._table, address, target)
            if address is None:
                if self._detects_duplicates:
                    duplicate_detection.check_write(self._table, self._options, None, values)
                self._table.create(None, values, now)
                continue
            key = _comparison_key(address, self._table)
            if key in seen:
                raise errors.invalid_argument("Two targets of UpsertMultiple name the same row.")
            seen.add(key)
            if (
                address.key is not None
                and not values.keys().isdisjoint(address.key.columns)
                and self._table.find(address) is None
            ):
                # dataverse.md 3.4: the key in the reference and in the body breaks the create path only.
                raise errors.ODataError(400, "0x80040216", "An unexpected error occurred.")
            if self._detects_duplicates:
                duplicate_detection.check_upsert(self._table, self._options, address, values)
            self._table.upsert(address, None, values, UNCONDITIONAL, now)

    def _parse_target(self, target: Target) -> tuple[RowAddress | None, dict[str, Value]]:
        """(address or None for a new row, stored values) of a target of UpsertMultiple."""
        contactid, values = parse_values(target, self._table.schema, self._find_row_id, creating=None)
        reference = target.get("@odata.id")
        if reference is None:
            return (None if contactid is None else RowAddress(contactid)), values
        found = _REFERENCE.fullmatch(reference) if isinstance(reference, str) else None
        if found is None:
            raise errors.query_syntax_error("'@odata.id' is the relative URL of a row.")
        return parse_address(found[1], self._table.schema, self._options, in_body=True), values


def _parse_targets(document: dict[str, object]) -> list[Target]:
    targets = document.get("Targets")
    if document.keys() != {"Targets"} or not isinstance(targets, list):
        raise errors.malformed_body('The body of a bulk message is {"Targets": […]}.')
    if not targets:
        raise errors.invalid_argument("Targets must not be empty.")
    for target in targets:
        if not isinstance(target, dict) or str(target.get("@odata.type")).lstrip("#") != _TYPE:
            raise errors.malformed_body(f"Each target needs '@odata.type': '{_TYPE}'.")
    return targets


def _comparison_key(address: RowAddress, table: Table) -> ComparisonKey:
    """Equal for two addresses of the same kind that name the same row."""
    if address.key is None:
        return address.contactid
    return (address.key.name, *(comparison_key(value, table.collation) for value in address.key_values))
