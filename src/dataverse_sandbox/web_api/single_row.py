"""One row by its address: create, read, upsert, delete, and its single columns (dataverse.md 2.1 to 2.3)."""

import re

from dataverse_sandbox import errors
from dataverse_sandbox.messages import ODATA_VERSION, Request, Response, json_response
from dataverse_sandbox.options import SandboxOptions
from dataverse_sandbox.table.row import stored_value
from dataverse_sandbox.table.table import UNCONDITIONAL, Condition, RowAddress, Table
from dataverse_sandbox.users import CREATE, DELETE, READ, WRITE
from dataverse_sandbox.web_api import authorization, duplicate_detection
from dataverse_sandbox.web_api.parse_row import json_object, parse_values, row_id_finder
from dataverse_sandbox.web_api.query import WRITE_OPTIONS, parse_options, row_response, select_columns

_VERSION = re.compile(r'W/"(\d+)"')


class SingleRow:
    """Answers the requests that are about one row of the table."""

    def __init__(self, table: Table, options: SandboxOptions) -> None:
        self._table = table
        self._options = options
        self._find_row_id = row_id_finder(table, options)

    def create(self, request: Request, base: str, now: float) -> Response:
        """`POST contacts`. Raises ODataError."""
        self._check_select(request)
        document = json_object(request)
        authorization.check_write(request.caller, CREATE, document)
        contactid, values = parse_values(document, self._table.schema, self._find_row_id, creating=True)
        if duplicate_detection.is_requested(request):
            duplicate_detection.check_write(self._table, self._options, None, values)
        row = self._table.create(contactid, values, now)
        url = f"{base}contacts({row.contactid})"
        if request.prefer.representation:
            answer = row_response(request, row, self._table, base, 201)
            return Response(
                201, (("Location", url), ("OData-EntityId", url), *answer.headers), answer.body, 1
            )
        return Response(204, (ODATA_VERSION, ("Location", url), ("OData-EntityId", url)), rows=1)

    def answer(
        self, request: Request, address: RowAddress, url: str, base: str, now: float, *, in_batch: bool
    ) -> Response:
        """`contacts(…)`: read, upsert or delete the row at `url`, the requested URL. Raises ODataError."""
        match request.method:
            case "PATCH":
                return self._upsert(request, address, url, base, now, in_batch=in_batch)
            case "GET":
                request.caller.require(READ)
                row = self._table.get(address)
                # dataverse.md 2.6: 304 is only given without annotations.
                if request.headers.get("if-none-match") == row.etag and request.prefer.annotations is None:
                    return Response(304, (("ETag", row.etag), ODATA_VERSION))
                return row_response(request, row, self._table, base)
            case "DELETE":
                request.caller.require(DELETE)
                self._table.delete(address, _parse_condition(request))
                return Response(204, (ODATA_VERSION,), rows=1)
            case _:
                raise errors.method_not_allowed(request.method)

    def _upsert(
        self, request: Request, address: RowAddress, url: str, base: str, now: float, *, in_batch: bool
    ) -> Response:
        if request.query:
            self._check_select(request)
        document = json_object(request)
        condition = _parse_condition(request)
        if not authorization.may_write_all(request.caller):
            authorization.check_upsert(request.caller, self._table, address, document)
        contactid, values = parse_values(document, self._table.schema, self._find_row_id, creating=None)
        if duplicate_detection.is_requested(request) and not condition.is_violated_by(
            self._table.find(address)
        ):
            duplicate_detection.check_upsert(self._table, self._options, address, values)
        row, created = self._table.upsert(address, contactid, values, condition, now)
        # dataverse.md 2.1: the response echoes the requested URL, not the row's id.
        entity_id = ("OData-EntityId", url)
        if request.prefer.representation:
            answer = row_response(request, row, self._table, base, 201 if created else 200)
            return Response(answer.status, (entity_id, *answer.headers), answer.body, 1)
        if created and in_batch:
            return Response(204, (ODATA_VERSION, ("Location", url), entity_id), rows=1)
        return Response(204, (ODATA_VERSION, entity_id), rows=1)

    def answer_column(self, request: Request, address: RowAddress, name: str, now: float) -> Response:
        """`contacts(…)/column`: read, set or clear; `…/lookup/$ref`: clear it. Raises ODataError."""
        request.caller.require(READ if request.method == "GET" else WRITE)
        row = self._table.get(address)
        schema = self._table.schema
        if name.endswith("/$ref"):
            navigation = schema.navigation_properties.get(name.removesuffix("/$ref"))
            if navigation is None:
                raise errors.unknown_segment(name)
            request.require_method("DELETE")
            self._table.update(row, {navigation[0].name: None}, now)
            return Response(204, (ODATA_VERSION,), rows=1)
        column = schema.by_wire_name.get(name)
        if column is None:
            raise errors.unknown_segment(name)
        if request.method == "GET":
            value = stored_value(row, column.name, column.default)
            return Response(204, (ODATA_VERSION,)) if value is None else json_response({"value": value})
        if request.method == "PUT":
            document = json_object(request)
            if document.keys() - {"@odata.context"} != {"value"}:
                raise errors.malformed_body('The body of one column is {"value": …}.')
            written = document["value"]
        else:
            request.require_method("DELETE")
            written = None
        _, values = parse_values({name: written}, schema, self._find_row_id, creating=False)
        if address.key is not None:
            values = {known: new for known, new in values.items() if known not in address.key.columns}
        self._table.update(row, values, now)
        return Response(204, (ODATA_VERSION,), rows=1)

    def _check_select(self, request: Request) -> None:
        """Raises for a wrong `$select` before anything is written."""
        select_columns(parse_options(request.query, WRITE_OPTIONS), self._table)


def _parse_condition(request: Request) -> Condition:
    headers = request.headers
    match, none_match = headers.get("if-match"), headers.get("if-none-match")
    if match is None and none_match is None:
        return UNCONDITIONAL
    must_not_exist = none_match == "*"
    if match is None:
        return Condition(must_not_exist=must_not_exist)
    if match == "*":
        return Condition(must_exist=True, must_not_exist=must_not_exist)
    version = _VERSION.fullmatch(match)
    # A tag that the sandbox did not give matches no version.
    return Condition(
        must_exist=True, must_not_exist=must_not_exist, version=int(version[1]) if version else -1
    )
