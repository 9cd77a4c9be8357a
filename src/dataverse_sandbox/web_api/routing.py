"""One request to the Web API, from its URL to its answer; a part of a `$batch` takes the same way."""

import re
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import uuid4

from dataverse_sandbox import errors, users
from dataverse_sandbox.errors import Refusal
from dataverse_sandbox.messages import ODATA_VERSION, Request, Response, error_response, json_response
from dataverse_sandbox.options import Switches
from dataverse_sandbox.table.row import stored_value
from dataverse_sandbox.table.table import UNCONDITIONAL, Condition, RowAddress, Table
from dataverse_sandbox.users import User, Users
from dataverse_sandbox.web_api import change_tracking, duplicates, privileges
from dataverse_sandbox.web_api.key_url import decoded, parse_address
from dataverse_sandbox.web_api.lookup_binding import row_id_of
from dataverse_sandbox.web_api.optional_headers import acting_user
from dataverse_sandbox.web_api.query import (
    WRITE_OPTIONS,
    count_rows,
    many_rows,
    one_row,
    parse_options,
    selected_columns,
)
from dataverse_sandbox.web_api.row_body import read_object, read_values

API_PATH = re.compile(r"/api/data/v9\.[012]/")
LONGEST_URL = 32_768
_VERSION = re.compile(r'W/"(\d+)"')
_ROW = re.compile(r"contacts\((.*)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Organization:
    """Who the sandbox says it is: its `WhoAmI`."""

    business_unit_id: str
    organization_id: str


class Extension(Protocol):
    """More paths under the service root: metadata, bulk messages."""

    def answer(self, request: Request, resource: str, base: str, now: float) -> Response | None:
        """The answer, or None when the path is not one of its own. `resource` is percent-decoded."""


class WebApi:
    """Answers requests on one table, synchronously: while it does, nothing else happens to the rows."""

    def __init__(
        self,
        table: Table,
        organization: Organization,
        switches: Switches,
        users: Users,
        extensions: tuple[Extension, ...] = (),
    ) -> None:
        self.table = table
        self.switches = switches
        self._users = users
        self._row_id = row_id_of(table, switches)
        self._organization = organization
        self._extensions = extensions

    def answer(self, request: Request, *, now: float, in_batch: bool = False) -> Response:
        """Carry out one request (never `$batch` itself). A refusal is an answer like any other."""
        try:
            caller = acting_user(request.headers, request.caller, self._users)
            if caller is not request.caller:
                request = replace(request, caller=caller)
            self.table.author = caller
            return self._routed(request, now, in_batch=in_batch)
        except Refusal as refused:
            return error_response(refused, self.switches, details=request.prefer.all_annotations)

    def _routed(self, request: Request, now: float, *, in_batch: bool) -> Response:
        found = API_PATH.match(request.path)
        if found is None:
            raise Refusal(404, "", "No HTTP resource was found that matches the request URI.")
        if "#" in request.path or "#" in request.query:
            raise errors.query_syntax("A raw number sign cuts a URL.")
        longest = LONGEST_URL * 2 if in_batch else LONGEST_URL
        if len(request.path) + len(request.query) > longest:
            raise Refusal(414, "0x80060888", f"The URL is longer than {longest} characters.")
        resource = request.path[found.end() :]
        base = f"https://{request.headers.get('host', 'localhost')}{found[0]}"
        head, _, tail = resource.partition("/")
        row = _ROW.fullmatch(head)
        if row is not None:
            address = parse_address(row[1], self.table.schema, self.switches)
            if tail:
                return self._column(request, address, decoded(tail), now)
            return self._row(request, address, f"{base}{resource}", base, now, in_batch=in_batch)
        if head.startswith("contacts("):
            raise errors.query_syntax("The key predicate has no end.")
        return self._set(request, decoded(resource), base, now)

    def _set(self, request: Request, resource: str, base: str, now: float) -> Response:
        for extension in self._extensions:
            answer = extension.answer(request, resource, base, now)
            if answer is not None:
                return answer
        match resource:
            case "WhoAmI" | "WhoAmI()":
                only_method(request, "GET")
                return self._who_am_i(base, request.caller)
            case "contacts" if request.method == "POST":
                return self._create(request, base, now)
            case "contacts":
                only_method(request, "GET")
                request.caller.require(users.READ)
                if change_tracking.is_asked_for(request):
                    return change_tracking.tracked_rows(request, self.table, base, now)
                return many_rows(request, self.table, base)
            case "contacts/$count":
                only_method(request, "GET")
                request.caller.require(users.READ)
                return count_rows(request, self.table)
            case _:
                raise errors.unknown_segment(resource.split("(", maxsplit=1)[0].split("/", maxsplit=1)[0])

    def _who_am_i(self, base: str, caller: User) -> Response:
        return json_response(
            {
                "@odata.context": f"{base}$metadata#Microsoft.Dynamics.CRM.WhoAmIResponse",
                "BusinessUnitId": self._organization.business_unit_id,
                "UserId": caller.user_id,
                "OrganizationId": self._organization.organization_id,
            }
        )

    def _create(self, request: Request, base: str, now: float) -> Response:
        self._check_select(request)
        document = json_object(request)
        privileges.check_write(request.caller, users.CREATE, document)
        contactid, values = read_values(document, self.table.schema, self._row_id, creating=True)
        if duplicates.is_wanted(request):
            duplicates.refuse(self.table, self.switches, None, values)
        row = self.table.create(contactid, values, now)
        url = f"{base}contacts({row.contactid})"
        if request.prefer.representation:
            answer = one_row(request, row, self.table, base, 201)
            return Response(
                201, (("Location", url), ("OData-EntityId", url), *answer.headers), answer.body, 1
            )
        return Response(204, (ODATA_VERSION, ("Location", url), ("OData-EntityId", url)), rows=1)

    def _row(
        self, request: Request, address: RowAddress, url: str, base: str, now: float, *, in_batch: bool
    ) -> Response:
        match request.method:
            case "PATCH":
                return self._upsert(request, address, url, base, now, in_batch=in_batch)
            case "GET":
                request.caller.require(users.READ)
                row = self.table.get(address)
                # dataverse.md 2.6: 304 is only given without annotations.
                if request.headers.get("if-none-match") == row.etag and request.prefer.annotations is None:
                    return Response(304, (("ETag", row.etag), ODATA_VERSION))
                return one_row(request, row, self.table, base)
            case "DELETE":
                request.caller.require(users.DELETE)
                self.table.delete(address, _condition(request))
                return Response(204, (ODATA_VERSION,), rows=1)
            case _:
                raise errors.wrong_method(request.method)

    def _upsert(
        self, request: Request, address: RowAddress, url: str, base: str, now: float, *, in_batch: bool
    ) -> Response:
        if request.query:
            self._check_select(request)
        document = json_object(request)
        condition = _condition(request)
        if not privileges.may_write_all(request.caller):
            privileges.check_upsert(request.caller, self.table, address, document)
        contactid, values = read_values(document, self.table.schema, self._row_id, creating=None)
        if duplicates.is_wanted(request) and not condition.refuses(self.table.find(address)):
            duplicates.refuse_upsert(self.table, self.switches, address, values)
        row, created = self.table.upsert(address, contactid, values, condition, now)
        # dataverse.md 2.1: the answer echoes the URL that was asked for, not the row's id.
        entity_id = ("OData-EntityId", url)
        if request.prefer.representation:
            answer = one_row(request, row, self.table, base, 201 if created else 200)
            return Response(answer.status, (entity_id, *answer.headers), answer.body, 1)
        if created and in_batch:
            return Response(204, (ODATA_VERSION, ("Location", url), entity_id), rows=1)
        return Response(204, (ODATA_VERSION, entity_id), rows=1)

    def _column(self, request: Request, address: RowAddress, name: str, now: float) -> Response:
        """`contacts(…)/col`: read, set or clear one column; `…/navigation/$ref`: clear a lookup."""
        request.caller.require(users.READ if request.method == "GET" else users.WRITE)
        row = self.table.get(address)
        schema = self.table.schema
        if name.endswith("/$ref"):
            navigation = schema.navigations.get(name.removesuffix("/$ref"))
            if navigation is None:
                raise errors.unknown_segment(name)
            only_method(request, "DELETE")
            self.table.update(row, {navigation[0].name: None}, now)
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
                raise errors.unreadable('The body of one column is {"value": …}.')
            written = document["value"]
        else:
            only_method(request, "DELETE")
            written = None
        _, values = read_values({name: written}, schema, self._row_id, creating=False)
        if address.key is not None:
            values = {known: new for known, new in values.items() if known not in address.key.columns}
        self.table.update(row, values, now)
        return Response(204, (ODATA_VERSION,), rows=1)

    def _check_select(self, request: Request) -> None:
        """A wrong `$select` refuses the write before anything is written."""
        selected_columns(parse_options(request.query, WRITE_OPTIONS), self.table)


def only_method(request: Request, method: str) -> None:
    """Raises 405 for another verb."""
    if request.method != method:
        raise errors.wrong_method(request.method)


def json_object(request: Request) -> dict[str, object]:
    """The body of a write. Raises 400 when it is not a JSON object or not declared as JSON."""
    content_type = request.headers.get("content-type", "")
    if not content_type.lower().startswith("application/json"):
        raise errors.unreadable("The Content-Type of a body must be application/json.")
    return read_object(request.body)


def _condition(request: Request) -> Condition:
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
    # A tag that is not one of ours matches no version.
    return Condition(
        must_exist=True, must_not_exist=must_not_exist, version=int(version[1]) if version else -1
    )


def request_id() -> str:
    """A fresh id for `x-ms-service-request-id` and `REQ_ID`."""
    return str(uuid4())
