"""One request to the Web API, from its URL to its response. A part of a `$batch` is handled alike."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from dataverse_sandbox import errors
from dataverse_sandbox.errors import ODataError
from dataverse_sandbox.messages import Request, Response, error_response
from dataverse_sandbox.options import SandboxOptions
from dataverse_sandbox.table.table import Table
from dataverse_sandbox.users import READ, Users
from dataverse_sandbox.web_api import change_tracking
from dataverse_sandbox.web_api.authorization import acting_user
from dataverse_sandbox.web_api.key_url import parse_address, percent_decode
from dataverse_sandbox.web_api.query import count_response, list_response
from dataverse_sandbox.web_api.single_row import SingleRow

API_PATH = re.compile(r"/api/data/v9\.[012]/")
MAX_URL_CHARACTERS = 32_768
"""Length of a URL; a request of a batch may have twice as many (dataverse.md 1.3)."""

_ROW = re.compile(r"contacts\((.*)\)", re.DOTALL)


class Extension(Protocol):
    """More paths under the service root, such as metadata and bulk messages."""

    def answer(self, request: Request, resource: str, base: str, now: float) -> Response | None:
        """The response, or None for a path of another extension. Raises ODataError.

        `resource` is the percent-decoded path below the service root `base`.
        """


class WebApi:
    """Answers requests on one table, synchronously: no other request sees the rows in between."""

    def __init__(
        self, table: Table, options: SandboxOptions, users: Users, extensions: Sequence[Extension]
    ) -> None:
        self.table = table
        self.options = options
        self._users = users
        self._extensions = extensions
        self._single_row = SingleRow(table, options)

    def answer(self, request: Request, *, now: float, in_batch: bool = False) -> Response:
        """Execute one request other than `$batch`. Its errors are responses too."""
        try:
            caller = acting_user(request.headers, request.caller, self._users)
            if caller is not request.caller:
                request = replace(request, caller=caller)
            self.table.author = caller
            return self._route(request, now, in_batch=in_batch)
        except ODataError as error:
            return error_response(error, self.options, details=request.prefer.all_annotations)

    def _route(self, request: Request, now: float, *, in_batch: bool) -> Response:
        root = API_PATH.match(request.path)
        if root is None:
            raise ODataError(404, "", "No HTTP resource was found that matches the request URI.")
        if "#" in request.path or "#" in request.query:
            raise errors.query_syntax_error("A raw number sign cuts a URL.")
        longest = MAX_URL_CHARACTERS * 2 if in_batch else MAX_URL_CHARACTERS
        if len(request.path) + len(request.query) > longest:
            raise ODataError(414, "0x80060888", f"The URL is longer than {longest} characters.")
        resource = request.path[root.end() :]
        base = f"https://{request.headers.get('host', 'localhost')}{root[0]}"
        head, _, tail = resource.partition("/")
        row = _ROW.fullmatch(head)
        if row is not None:
            address = parse_address(row[1], self.table.schema, self.options)
            if tail:
                return self._single_row.answer_column(request, address, percent_decode(tail), now)
            url = f"{base}{resource}"
            return self._single_row.answer(request, address, url, base, now, in_batch=in_batch)
        if head.startswith("contacts("):
            raise errors.query_syntax_error("The key predicate has no end.")
        return self._route_collection(request, percent_decode(resource), base, now)

    def _route_collection(self, request: Request, resource: str, base: str, now: float) -> Response:
        match resource:
            case "contacts" if request.method == "POST":
                return self._single_row.create(request, base, now)
            case "contacts":
                request.require_method("GET")
                request.caller.require(READ)
                if change_tracking.is_requested(request):
                    return change_tracking.changes_response(request, self.table, base, now)
                return list_response(request, self.table, base)
            case "contacts/$count":
                request.require_method("GET")
                request.caller.require(READ)
                return count_response(request, self.table)
            case _:
                for extension in self._extensions:
                    answer = extension.answer(request, resource, base, now)
                    if answer is not None:
                        return answer
                segment = resource.split("(", maxsplit=1)[0].split("/", maxsplit=1)[0]
                raise errors.unknown_segment(segment)
