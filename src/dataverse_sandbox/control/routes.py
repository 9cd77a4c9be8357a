"""`/_sandbox/`: how tests and demonstrations look into the sandbox and steer it; it simulates nothing."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from urllib.parse import parse_qs

from dataverse_sandbox import options
from dataverse_sandbox.control.bodies import (
    ControlError,
    fault_document,
    parse_applications,
    parse_count,
    parse_faults,
    parse_limits,
    parse_rows,
    parse_schema,
    parse_switches,
    schema_document,
)
from dataverse_sandbox.entra.app_registration import Application
from dataverse_sandbox.environment.environment import Environment
from dataverse_sandbox.errors import Refusal
from dataverse_sandbox.messages import Request, Response, has_lone_surrogate, json_bytes
from dataverse_sandbox.table.column import Value
from dataverse_sandbox.table.contact_columns import made_up_people
from dataverse_sandbox.table.row import Row
from dataverse_sandbox.table.table import reader
from dataverse_sandbox.web_api.row_body import all_values

CONTROL_PREFIX = "/_sandbox/"
_ROUTES = ("contacts", "schema", "switches", "applications", "faults", "limits", "stats", "fill", "reset")
_DONE_ONCE = frozenset({"fill", "reset"})
_ROWS_PER_CHUNK = 500

ReadRow = Callable[[Row], dict[str, object]]

_JSON = (("Content-Type", "application/json"),)


class Control:
    """Answers control requests. A body that cannot be meant is a 400 that says what is wrong with it."""

    def __init__(self, environment: Environment, register: Callable[[str, Application], None]) -> None:
        self._environment = environment
        self._register = register

    def answer(self, request: Request, now: float) -> Response | Iterator[bytes]:
        """One control request; `GET contacts` answers in chunks of a JSON list."""
        try:
            return self._routed(request, now)
        except ControlError as error:
            return _json(400, {"error": str(error)})
        except Refusal as refused:
            return _json(400, {"error": f"{refused.message} ({refused.status} {refused.code})"})

    def _routed(self, request: Request, now: float) -> Response | Iterator[bytes]:
        route = request.path.removeprefix(CONTROL_PREFIX)
        self._environment.key_jobs.advance(now)
        if request.method == "GET" and route == "contacts":
            return self._contacts(request.query)
        if route not in _ROUTES:
            return _json(404, {"error": f"No such control route; {', '.join(_ROUTES)} are known."})
        if request.method == "GET" and route not in _DONE_ONCE:
            return _json(200, self._shown(route))
        if (request.method, route) == ("POST", "reset"):
            self._environment.reset(now)
            return _json(200, {"rows": len(self._environment.table.rows)})
        if (request.method, route) == ("POST", "fill"):
            people = made_up_people(parse_count(_document(request)))
            self._environment.replace_rows(people, now)
            return _json(200, {"rows": len(self._environment.table.rows)})
        if request.method == "PUT" and route not in {"stats", *_DONE_ONCE}:
            return _json(200, self._taken(route, _document(request), now))
        return _json(405, {"error": f"{request.method} is not for this route."})

    def _shown(self, route: str) -> object:
        environment = self._environment
        match route:
            case "schema":
                return schema_document(environment.table.schema)
            case "applications":
                return environment.users.document()
            case "switches":
                return options.document(environment.switches)
            case "faults":
                return [fault_document(fault) for fault in environment.faults.standing]
            case "limits":
                return asdict(environment.limits)
            case _:
                return environment.stats.document(environment.table)

    def _taken(self, route: str, document: object, now: float) -> object:
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
                for client_id, application, privileges in parse_applications(document, known):
                    if application is not None:
                        self._register(client_id, application)
                    environment.users.set(client_id, privileges)
            case "switches":
                environment.use_switches(parse_switches(document, environment.switches))
            case "faults":
                environment.faults.standing = parse_faults(document, schema)
            case _:
                environment.limits = parse_limits(document, environment.limits)
        return self._shown(route)

    def _contacts(self, query: str) -> Iterator[bytes]:
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
                readers[wanted] = reader(table, column.name)
            read = partial(_chosen, readers)
        return _chunks(list(table.rows.values()), read)


def _chosen(readers: Mapping[str, Callable[[Row], Value]], row: Row) -> dict[str, object]:
    return {name: read(row) for name, read in readers.items()}


def _chunks(rows: list[Row], read: ReadRow) -> Iterator[bytes]:
    """A JSON list in pieces, so that a table of any size is never one text."""
    for start in range(0, len(rows), _ROWS_PER_CHUNK):
        chunk = json_bytes([read(row) for row in rows[start : start + _ROWS_PER_CHUNK]])
        yield (b"[" if start == 0 else b",") + chunk[1:-1]
    yield b"]" if rows else b"[]"


def _document(request: Request) -> object:
    try:
        document: object = json.loads(request.body)
    except ValueError as error:
        raise ControlError(f"the body is not JSON: {error}") from None
    if has_lone_surrogate(request.body, document):
        raise ControlError("a text of the body is half of a surrogate pair, which no UTF-8 can write")
    return document


def _json(status: int, document: object) -> Response:
    return Response(status, _JSON, json_bytes(document))
