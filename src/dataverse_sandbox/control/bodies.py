"""Bodies of the control routes → values. Strict: an unknown key is an error that names it."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from dataverse_sandbox.entra.app_registration import Application
from dataverse_sandbox.environment.faults import Behaviour, Fault
from dataverse_sandbox.environment.limits import Limits
from dataverse_sandbox.messages import Response, json_bytes
from dataverse_sandbox.options import Switches, changed
from dataverse_sandbox.table.column import Column, ColumnType, Value
from dataverse_sandbox.table.row import COMPUTED
from dataverse_sandbox.table.schema import AlternateKey, KeyStatus, Schema
from dataverse_sandbox.users import AT_START, KNOWN

SLOW_SECONDS = 5.0
MOST_ROWS_FILLED = 10_000_000
_COLUMN_TYPES = tuple(kind.value for kind in ColumnType if kind not in {ColumnType.GUID, ColumnType.VERSION})
_MODES = ("batch", "multiple", "single")


class ControlError(ValueError):
    """The control body cannot be meant; the text says why."""


def parse_rows(document: object, schema: Schema) -> Iterable[tuple[str | None, dict[str, Value]]]:
    """Rows of `PUT contacts`: (contactid or None, stored values). What `GET contacts` gave is taken too."""
    return [_row(_mapping(row, "a row"), schema) for row in _sequence(document, "the body")]


def parse_count(document: object) -> int:
    """How many rows `POST fill` is to make."""
    count = _mapping(document, "the body", {"rows"}).get("rows")
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MOST_ROWS_FILLED:
        raise ControlError(f"rows is a whole number from 0 to {MOST_ROWS_FILLED}")
    return count


def _row(row: Mapping[str, Any], schema: Schema) -> tuple[str | None, dict[str, Value]]:
    values: dict[str, Value] = {}
    contactid: str | None = None
    for name, value in row.items():
        column = schema.by_wire_name.get(name)
        if column is None:
            raise ControlError(f"unknown column {name!r}: PUT schema adds columns")
        if column.name in COMPUTED:
            continue
        if name == "contactid":
            contactid = None if value is None else str(schema.convert[name](value))
        elif value is not None:
            values[column.name] = schema.convert[column.name](value)
        elif column.default is not None:
            values[column.name] = None
    return contactid, values


def parse_schema(document: object, schema: Schema) -> Schema:
    """The schema with what `PUT schema` adds."""
    given = _mapping(document, "the body", {"columns", "keys", "duplicate_rules"})
    columns = [_column(name, spec) for name, spec in _mapping(given.get("columns", {}), "columns").items()]
    known = {*schema.columns, *(column.name for column in columns)}
    keys = []
    for name, spec in _mapping(given.get("keys", {}), "keys").items():
        fields = _mapping(spec, f"key {name!r}", {"columns", "status"})
        names = _columns(fields.get("columns"), f"key {name!r}", known)
        keys.append(
            AlternateKey(
                name, names, _one_of(KeyStatus, fields.get("status", "Active"), f"status of {name!r}")
            )
        )
    rules = {
        name: _columns(names, f"duplicate rule {name!r}", known)
        for name, names in _mapping(given.get("duplicate_rules", {}), "duplicate_rules").items()
    }
    return schema.extended(columns, keys, rules)


def _columns(document: object, where: str, known: set[str]) -> tuple[str, ...]:
    names = tuple(_sequence(document, f"columns of {where}"))
    for column in names:
        if column not in known:
            raise ControlError(f"{where} names an unknown column {column!r}")
    if not names:
        raise ControlError(f"{where} has no columns")
    return names


def _column(name: str, spec: object) -> Column:
    where = f"column {name!r}"
    fields = _mapping(spec, where, {"type", "max_length", "options", "default", "writable"})
    kind = fields.get("type")
    if kind not in _COLUMN_TYPES:
        raise ControlError(f"{where}: type is one of {', '.join(_COLUMN_TYPES)}")
    options: dict[int, str] = {}
    for value, label in _mapping(fields.get("options") or {}, f"options of {where}").items():
        if not value.lstrip("-").isdecimal():
            raise ControlError(f"{where}: option {value!r} is not a whole number")
        options[int(value)] = str(label)
    column_type = ColumnType(kind)
    longest = fields.get("max_length", 2000 if column_type is ColumnType.MEMO else 100)
    if isinstance(longest, bool) or not isinstance(longest, int) or longest < 1:
        raise ControlError(f"{where}: max_length is a whole number above 0")
    writable = _boolean(fields.get("writable", True), f"{where}: writable")
    decimal = column_type in {ColumnType.DECIMAL, ColumnType.MONEY}
    column = Column(
        name=name,
        type=column_type,
        max_length=longest,
        options=options,
        creatable=writable,
        updatable=writable,
        minimum=-100_000_000_000 if decimal else -2147483648,
        maximum=100_000_000_000 if decimal else 2147483647,
        targets={name: f"{name}_targets"} if column_type is ColumnType.LOOKUP else {},
    )
    default = fields.get("default")
    if default is None:
        return column
    return replace(column, default=Schema([column], []).convert[name](default))


def schema_document(schema: Schema) -> dict[str, object]:
    """The answer of `GET schema` and `PUT schema`."""
    return {
        "columns": {
            column.name: {
                "type": column.type.value,
                "max_length": column.max_length,
                "options": {str(value): label for value, label in column.options.items()},
                "default": column.default,
                "writable": column.creatable and column.updatable,
            }
            for column in schema.columns.values()
        },
        "keys": {
            key.name: {"columns": list(key.columns), "status": key.status.value}
            for key in schema.keys.values()
        },
        "duplicate_rules": {name: list(columns) for name, columns in schema.duplicate_rules.items()},
    }


def parse_faults(document: object, schema: Schema) -> list[Fault]:
    """The faults of `PUT faults`."""
    return [
        _fault(spec, f"fault {number}", schema) for number, spec in enumerate(_sequence(document, "the body"))
    ]


def _fault(spec: object, where: str, schema: Schema) -> Fault:
    fields = _mapping(spec, where, {"match", "reply", "behaviour", "times", "delay_ms"})
    if ("reply" in fields) == ("behaviour" in fields):
        raise ControlError(f"{where}: give either reply or behaviour")
    match = _mapping(fields.get("match", {}), f"match of {where}")
    columns: dict[str, object] = {}
    for name, value in match.items():
        if name == "columns":
            columns |= _mapping(value, f"columns of {where}")
        elif name not in {"method", "path"}:
            columns[name] = value
    for name in columns:
        if name not in schema.by_wire_name:
            raise ControlError(
                f"unknown key {name!r} in match of {where}: method, path, columns or a column's name"
            )
    times = fields.get("times")
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
        raise ControlError(f"{where}: times is a whole number above 0; leave it out for a fault that stays")
    behaviour = None
    if "behaviour" in fields:
        behaviour = _one_of(Behaviour, fields["behaviour"], f"behaviour of {where}")
    delay_ms = fields.get("delay_ms", SLOW_SECONDS * 1000 if behaviour is Behaviour.SLOW else 0)
    return Fault(
        method=_text_or_none(match.get("method"), f"method of {where}"),
        path=_text_or_none(match.get("path"), f"path of {where}"),
        columns=columns,
        reply=_reply(fields["reply"], where) if "reply" in fields else None,
        behaviour=behaviour,
        delay_seconds=_number(delay_ms, f"{where}: delay_ms") / 1000,
        left=times,
    )


def fault_document(fault: Fault) -> dict[str, object]:
    """One fault in the answer of `GET faults`: `times` is how often it will still strike."""
    match = {"method": fault.method, "path": fault.path, "columns": fault.columns or None}
    shown: dict[str, object] = {"match": {name: value for name, value in match.items() if value is not None}}
    if fault.reply is not None:
        headers = dict(fault.reply.headers)
        shown["reply"] = {"status": fault.reply.status, "headers": headers, "body": _body_shown(fault.reply)}
    if fault.behaviour is not None:
        shown["behaviour"] = fault.behaviour.value
    if fault.delay_seconds or fault.behaviour is Behaviour.SLOW:
        shown["delay_ms"] = round(fault.delay_seconds * 1000, 3)
    return {**shown, "times": fault.left}


def _body_shown(reply: Response) -> object:
    """What `_reply` makes the same bytes of: the JSON document, or the text where it was given as one."""
    text = reply.body.decode()
    if not any(name.lower() == "content-type" and "json" in value for name, value in reply.headers):
        return text
    try:
        document: object = json.loads(text)
        is_same = not isinstance(document, str) and json_bytes(document) == reply.body
    except (ValueError, RecursionError):
        return text
    return document if is_same else text


def _reply(spec: object, where: str) -> Response:
    fields = _mapping(spec, f"reply of {where}", {"status", "headers", "body"})
    status = fields.get("status")
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise ControlError(f"{where}: status is a number from 200 to 599")
    given = _mapping(fields.get("headers", {}), f"headers of {where}")
    headers = tuple((name, str(value)) for name, value in given.items())
    body = fields.get("body", "")
    if not isinstance(body, str):
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers += (("Content-Type", "application/json; odata.metadata=minimal"),)
        return Response(status, headers, json_bytes(body))
    return Response(status, headers, body.encode())


def parse_limits(document: object, before: Limits) -> Limits:
    """The limits with what `PUT limits` changes; what is not named stays."""
    names = {"requests", "execution_seconds", "concurrent", "window_seconds", "call_ms", "dop_hint"}
    fields = dict(_mapping(document, "the body", {*names, "enforce", "row_ms"}))
    changed: dict[str, Any] = {}
    for name in names & fields.keys():
        changed[name] = _number(fields[name], name)
        if name in {"requests", "concurrent", "dop_hint"} and not isinstance(fields[name], int):
            raise ControlError(f"{name} is a whole number")
    if "enforce" in fields:
        changed["enforce"] = _boolean(fields["enforce"], "enforce")
    if "row_ms" in fields:
        given = _mapping(fields["row_ms"], "row_ms", set(_MODES))
        changed["row_ms"] = {
            mode: _number(given.get(mode, before.row_ms.get(mode, 0.0)), f"row_ms.{mode}") for mode in _MODES
        }
    return replace(before, **changed)


def parse_applications(
    document: object, known: Collection[str]
) -> Iterable[tuple[str, Application | None, list[str] | None]]:
    """(client id, credential if it is given, privileges or None for no user) of `PUT applications`."""
    found: list[tuple[str, Application | None, list[str] | None]] = []
    for client_id, spec in _mapping(document, "the body").items():
        where = f"application {client_id!r}"
        fields = _mapping(spec, where, {"client_secret", "has_user", "privileges"})
        secret = _text_or_none(fields.get("client_secret"), f"client_secret of {where}")
        if secret is None and client_id not in known:
            raise ControlError(f"{where} is new: give its client_secret")
        privileges = _sequence(fields.get("privileges", list(AT_START)), f"privileges of {where}")
        for privilege in privileges:
            if privilege not in KNOWN:
                raise ControlError(f"{where}: unknown privilege {privilege!r}: {', '.join(KNOWN)} are known")
        has_user = _boolean(fields.get("has_user", True), f"has_user of {where}")
        application = None if secret is None else Application(client_secret=secret)
        found.append((client_id, application, privileges if has_user else None))
    return found


def parse_switches(document: object, before: Switches) -> Switches:
    """The switches with what `PUT switches` changes; what is not named stays."""
    try:
        return changed(before, dict(_mapping(document, "the body")))
    except ControlError:
        raise
    except ValueError as error:
        raise ControlError(str(error)) from None


def _mapping(document: object, where: str, allowed: set[str] | None = None) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        raise ControlError(f"{where} is not a JSON object")
    if allowed is not None:
        for name in document:
            if name not in allowed:
                raise ControlError(f"unknown key {name!r} in {where}: {', '.join(sorted(allowed))} are known")
    return document


def _sequence(document: object, where: str) -> list[Any]:
    if not isinstance(document, list):
        raise ControlError(f"{where} is not a JSON list")
    return document


def _one_of(kind: Any, value: object, where: str) -> Any:  # noqa: ANN401 - any of the enumerations
    try:
        return kind(value)
    except ValueError:
        raise ControlError(f"{where} is one of {', '.join(known.value for known in kind)}") from None


def _boolean(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise ControlError(f"{where} is true or false")
    return value


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ControlError(f"{where} is a number, 0 or more")
    return value


def _text_or_none(value: object, where: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ControlError(f"{where} is a text")
    return value
