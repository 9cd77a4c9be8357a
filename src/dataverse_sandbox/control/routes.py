"""`/_sandbox/…`: tests and demonstrations look into the sandbox and steer it. Nothing is simulated here."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from urllib.parse import parse_qs

from dataverse_sandbox.control.bodies import (
    ControlError,
    fault_document,
    parse_applications,
    parse_count,
    parse_faults,
    parse_limits,
    parse_options,
    parse_rows,
    parse_schema,
    schema_document,
)
from dataverse_sandbox.entra.app_registration import AppRegistration
from dataverse_sandbox.environment.environment import Environment
from dataverse_sandbox.errors import ODataError
from dataverse_sandbox.messages import Request, Response, encode_json, has_lone_surrogate
from dataverse_sandbox.table.column import Value
from dataverse_sandbox.table.contact_columns import sample_rows
from dataverse_sandbox.table.row import Row
from dataverse_sandbox.table.table import column_reader
from dataverse_sandbox.web_api.render_row import all_values

CONTROL_PREFIX = "/_sandbox/"
_ROUTES = ("contacts", "schema", "switches", "applications", "faults", "limits", "stats", "fill", "reset")
_POST_ROUTES = frozenset({"fill", "reset"})
_ROWS_PER_CHUNK = 500
_JSON = (("Content-Type", "application/json"),)

ReadRow = Callable[[Row], dict[str, object]]


class ControlRoutes:
    """Answers control requests. A body that makes no sense is a 400 that says what is wrong with it."""

    def __init__(self, environment: Environment, register: Callable[[str, AppRegistration], None]) -> None:
        self._environment = environment
        self._register = register

    def answer(self, request: Request, now: float) -> Response | Iterator[bytes]:
        """The response to a control request; `GET contacts` answers with the chunks of a JSON list."""
        try:
            return self._route(request, now)
        except ControlError as error:
            return _json_response(400, {"error": str(error)})
        except ODataError as error:
            return _json_response(400, {"error": f"{error.message} ({error.status} {error.code})"})

    def _route(self, request: Request, now: float) -> Response | Iterator[bytes]:
        route = request.path.removeprefix(CONTROL_PREFIX)
        self._environment.key_jobs.advance(now)
        if request.method == "GET" and route == "contacts":
            return self._stream_contacts(request.query)
        if route not in _ROUTES:
            return _json_response(404, {"error": f"No such control route; {', '.join(_ROUTES)} are known."})
        if request.method == "GET" and route not in _POST_ROUTES:
            return _json_response(200, self._show(route))
        if (request.method, route) == ("POST", "reset"):
            self._environment.reset(now)
            return _json_response(200, {"rows": len(self._environment.table.rows)})
        if (request.method, route) == ("POST", "fill"):
            rows = sample_rows(parse_count(_parse_json(request)))
            self._environment.replace_rows(rows, now)
            return _json_response(200, {"rows": len(self._environment.table.rows)})
        if request.method == "PUT" and route not in {"stats", *_POST_ROUTES}:
            return _json_response(200, self._apply(route, _parse_json(request), now))
        return _json_response(405, {"error": f"{request.method} is not for this route."})

    def _show(self, route: str) -> object:
        """What `GET` and `PUT` of the route answer."""
        environment = self._environment
        match route:
            case "schema":
                return schema_document(environment.table.schema)
            case "applications":
                return environment.users.document()
            case "switches":
                return environment.options.document()
            case "faults":
                return [fault_document(fault) for fault in environment.faults.active]
            case "limits":
                return asdict(environment.limits)
            case _:
                return environment.stats.document(environment.table)

    def _apply(self, route: str, document: object, now: float) -> object:
        """Apply the body of a `PUT`. Raises ControlError and ODataError."""
        environment = self._environment
        schema = environment.table.schema
        match route:
            case "contacts":
                environment.replace_rows(parse_rows(document, schema), now)
                return {"rows": len(environment.table.rows)}
            case "schema":
                environment.table.publish(parse_schema(document, schema), now)
            case "applications":
                known = environment.users.document().keys()
                for change in parse_applications(document, known):
                    if change.registration is not None:
                        self._register(change.client_id, change.registration)
                    environment.users.set_privileges(change.client_id, change.privileges)
            case "switches":
                environment.set_options(parse_options(document, environment.options))
            case "faults":
                environment.faults.active = parse_faults(document, schema)
            case _:
                environment.limits = parse_limits(document, environment.limits)
        return self._show(route)

    def _stream_contacts(self, query: str) -> Iterator[bytes]:
        table = self._environment.table
        read: ReadRow = partial(all_values, schema=table.schema)
        for name, values in parse_qs(query).items():
            if name != "select":
                raise ControlError(f"unknown parameter {name!r}: only select=column,column is known")
            readers: dict[str, Callable[[Row], Value]] = {}
            for wanted in values[0].split(","):
                column = table.schema.by_wire_name.get(wanted)
                if column is None:
                    raise ControlError(f"unknown column {wanted!r} in select")
                readers[wanted] = column_reader(table, column.name)
            read = partial(_read_columns, readers)
        return _encode_chunks(list(table.rows.values()), read)


def _read_columns(readers: Mapping[str, Callable[[Row], Value]], row: Row) -> dict[str, object]:
    return {name: read(row) for name, read in readers.items()}


def _encode_chunks(rows: list[Row], read: ReadRow) -> Iterator[bytes]:
    """A JSON list in pieces: a table of any size is never one text in memory."""
    for start in range(0, len(rows), _ROWS_PER_CHUNK):
        chunk = encode_json([read(row) for row in rows[start : start + _ROWS_PER_CHUNK]])
        yield (b"[" if start == 0 else b",") + chunk[1:-1]
    yield b"]" if rows else b"[]"


def _parse_json(request: Request) -> object:
    try:
        document: object = json.loads(request.body)
    except ValueError as error:
        raise ControlError(f"the body is not JSON: {error}") from None
    if has_lone_surrogate(request.body, document):
        raise ControlError("a text of the body is half of a surrogate pair, which no UTF-8 can write")
    return document


def _json_response(status: int, document: object) -> Response:
    return Response(status, _JSON, encode_json(document))
