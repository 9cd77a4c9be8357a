"""Bodies of the control routes → values, and back. Strict: an unknown key is an error that names it."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dataverse_sandbox.entra.app_registration import AppRegistration
from dataverse_sandbox.environment.faults import Fault, FaultBehaviour
from dataverse_sandbox.environment.limits import DELIVERY_MODES, Limits
from dataverse_sandbox.messages import JSON_TYPE, Response, encode_json
from dataverse_sandbox.options import SandboxOptions
from dataverse_sandbox.table.column import Column, ColumnType, Value, converter
from dataverse_sandbox.table.row import COMPUTED
from dataverse_sandbox.table.schema import AlternateKey, KeyStatus, Schema
from dataverse_sandbox.users import ALL_PRIVILEGES, DEFAULT_PRIVILEGES

DEFAULT_SLOW_SECONDS = 5.0
"""Delay of the behaviour `slow` without `delay_ms`."""

MAX_FILL_ROWS = 10_000_000
"""Rows that `POST fill` makes at most; a million take about 0.8 GB."""

_COLUMN_TYPES = tuple(kind.value for kind in ColumnType if kind not in {ColumnType.GUID, ColumnType.VERSION})


class ControlError(ValueError):
    """A control body that makes no sense; the text says why."""


@dataclass(frozen=True, slots=True)
class ApplicationChange:
    """One application of `PUT applications`."""

    client_id: str

    registration: AppRegistration | None
    """Its new credentials; None: it keeps those that it has."""

    privileges: list[str] | None
    """Privileges of its application user; None: it has no user."""


def parse_rows(document: object, schema: Schema) -> Iterable[tuple[str | None, dict[str, Value]]]:
    """Rows of `PUT contacts`: (contactid or None, stored values). The answer of `GET contacts` fits too.

    Raises ControlError, and ODataError for a value that its column does not accept.
    """
    return [_parse_row(_require_object(row, "a row"), schema) for row in _require_list(document, "the body")]


def parse_count(document: object) -> int:
    """The number of rows of `POST fill`. Raises ControlError."""
    count = _require_object(document, "the body", {"rows"}).get("rows")
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_FILL_ROWS:
        raise ControlError(f"rows is a whole number from 0 to {MAX_FILL_ROWS}")
    return count


def _parse_row(row: Mapping[str, Any], schema: Schema) -> tuple[str | None, dict[str, Value]]:
    values: dict[str, Value] = {}
    contactid: str | None = None
    for name, value in row.items():
        column = schema.by_wire_name.get(name)
        if column is None:
            raise ControlError(f"unknown column {name!r}: PUT schema adds columns")
        if column.name in COMPUTED:
            continue
        if name == "contactid":
            contactid = None if value is None else str(schema.converters[name](value))
        elif value is not None:
            values[column.name] = schema.converters[column.name](value)
        elif column.default is not None:
            values[column.name] = None
    return contactid, values


def parse_schema(document: object, schema: Schema) -> Schema:
    """The schema with what `PUT schema` adds or replaces. Raises ControlError."""
    body = _require_object(document, "the body", {"columns", "keys", "duplicate_rules"})
    columns = [
        _parse_column(name, spec)
        for name, spec in _require_object(body.get("columns", {}), "columns").items()
    ]
    known = {*schema.columns, *(column.name for column in columns)}
    keys = []
    for name, spec in _require_object(body.get("keys", {}), "keys").items():
        members = _require_object(spec, f"key {name!r}", {"columns", "status"})
        names = _parse_column_names(members.get("columns"), f"key {name!r}", known)
        status = _require_member(KeyStatus, members.get("status", "Active"), f"status of {name!r}")
        keys.append(AlternateKey(name, names, status))
    rules = {
        name: _parse_column_names(names, f"duplicate rule {name!r}", known)
        for name, names in _require_object(body.get("duplicate_rules", {}), "duplicate_rules").items()
    }
    return schema.extend(columns, keys, rules)


def _parse_column_names(document: object, where: str, known: set[str]) -> tuple[str, ...]:
    names = tuple(_require_list(document, f"columns of {where}"))
    for column in names:
        if column not in known:
            raise ControlError(f"{where} names an unknown column {column!r}")
    if not names:
        raise ControlError(f"{where} has no columns")
    return names


def _parse_column(name: str, spec: object) -> Column:
    where = f"column {name!r}"
    members = _require_object(spec, where, {"type", "max_length", "options", "default", "writable"})
    kind = members.get("type")
    if kind not in _COLUMN_TYPES:
        raise ControlError(f"{where}: type is one of {', '.join(_COLUMN_TYPES)}")
    options: dict[int, str] = {}
    for value, label in _require_object(members.get("options") or {}, f"options of {where}").items():
        if not value.lstrip("-").isdecimal():
            raise ControlError(f"{where}: option {value!r} is not a whole number")
        options[int(value)] = str(label)
    column_type = ColumnType(kind)
    max_length = members.get("max_length", 2000 if column_type is ColumnType.MEMO else 100)
    if isinstance(max_length, bool) or not isinstance(max_length, int) or max_length < 1:
        raise ControlError(f"{where}: max_length is a whole number above 0")
    writable = _require_boolean(members.get("writable", True), f"{where}: writable")
    is_decimal = column_type in {ColumnType.DECIMAL, ColumnType.MONEY}
    column = Column(
        name=name,
        type=column_type,
        max_length=max_length,
        options=options,
        creatable=writable,
        updatable=writable,
        minimum=-100_000_000_000 if is_decimal else -2147483648,
        maximum=100_000_000_000 if is_decimal else 2147483647,
        targets={name: f"{name}_targets"} if column_type is ColumnType.LOOKUP else {},
    )
    default = members.get("default")
    return column if default is None else replace(column, default=converter(column)(default))


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
    """The faults of `PUT faults`. Raises ControlError."""
    return [
        _parse_fault(spec, f"fault {number}", schema)
        for number, spec in enumerate(_require_list(document, "the body"))
    ]


def _parse_fault(spec: object, where: str, schema: Schema) -> Fault:
    members = _require_object(spec, where, {"match", "reply", "behaviour", "times", "delay_ms"})
    if ("reply" in members) == ("behaviour" in members):
        raise ControlError(f"{where}: give either reply or behaviour")
    match = _require_object(members.get("match", {}), f"match of {where}")
    columns: dict[str, object] = {}
    for name, value in match.items():
        if name == "columns":
            columns |= _require_object(value, f"columns of {where}")
        elif name not in {"method", "path"}:
            columns[name] = value
    for name in columns:
        if name not in schema.by_wire_name:
            raise ControlError(
                f"unknown key {name!r} in match of {where}: method, path, columns or a column's name"
            )
    times = members.get("times")
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
        raise ControlError(f"{where}: times is a whole number above 0; leave it out for a fault that stays")
    behaviour = None
    if "behaviour" in members:
        behaviour = _require_member(FaultBehaviour, members["behaviour"], f"behaviour of {where}")
    default_ms = DEFAULT_SLOW_SECONDS * 1000 if behaviour is FaultBehaviour.SLOW else 0
    return Fault(
        method=_require_text_or_none(match.get("method"), f"method of {where}"),
        path=_require_text_or_none(match.get("path"), f"path of {where}"),
        columns=columns,
        reply=_parse_reply(members["reply"], where) if "reply" in members else None,
        behaviour=behaviour,
        delay_seconds=_require_number(members.get("delay_ms", default_ms), f"{where}: delay_ms") / 1000,
        remaining=times,
    )


def fault_document(fault: Fault) -> dict[str, object]:
    """One fault in the answer of `GET faults`; `times` is how many more requests it hits."""
    match = {"method": fault.method, "path": fault.path, "columns": fault.columns or None}
    document: dict[str, object] = {
        "match": {name: value for name, value in match.items() if value is not None}
    }
    if fault.reply is not None:
        headers = dict(fault.reply.headers)
        document["reply"] = {
            "status": fault.reply.status,
            "headers": headers,
            "body": _reply_body(fault.reply),
        }
    if fault.behaviour is not None:
        document["behaviour"] = fault.behaviour.value
    if fault.delay_seconds or fault.behaviour is FaultBehaviour.SLOW:
        document["delay_ms"] = round(fault.delay_seconds * 1000, 3)
    return {**document, "times": fault.remaining}


def _reply_body(reply: Response) -> object:
    """What `_parse_reply` turns into the same bytes: the JSON document, else the text."""
    text = reply.body.decode()
    if not any(name.lower() == "content-type" and "json" in value for name, value in reply.headers):
        return text
    try:
        document: object = json.loads(text)
        is_same = not isinstance(document, str) and encode_json(document) == reply.body
    except (ValueError, RecursionError):
        return text
    return document if is_same else text


def _parse_reply(spec: object, where: str) -> Response:
    members = _require_object(spec, f"reply of {where}", {"status", "headers", "body"})
    status = members.get("status")
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise ControlError(f"{where}: status is a number from 200 to 599")
    named = _require_object(members.get("headers", {}), f"headers of {where}")
    headers = tuple((name, str(value)) for name, value in named.items())
    body = members.get("body", "")
    if not isinstance(body, str):
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers += (("Content-Type", JSON_TYPE),)
        return Response(status, headers, encode_json(body))
    return Response(status, headers, body.encode())


def parse_limits(document: object, before: Limits) -> Limits:
    """The limits with the changes of `PUT limits`; others stay. Raises ControlError."""
    names = {"requests", "execution_seconds", "concurrent", "window_seconds", "call_ms", "dop_hint"}
    members = _require_object(document, "the body", {*names, "enforce", "row_ms"})
    changes: dict[str, Any] = {}
    for name in names & members.keys():
        changes[name] = _require_number(members[name], name)
        if name in {"requests", "concurrent", "dop_hint"} and not isinstance(members[name], int):
            raise ControlError(f"{name} is a whole number")
    if "enforce" in members:
        changes["enforce"] = _require_boolean(members["enforce"], "enforce")
    if "row_ms" in members:
        row_ms = _require_object(members["row_ms"], "row_ms", set(DELIVERY_MODES))
        changes["row_ms"] = {
            mode: _require_number(row_ms.get(mode, before.row_ms.get(mode, 0.0)), f"row_ms.{mode}")
            for mode in DELIVERY_MODES
        }
    return replace(before, **changes)


def parse_applications(document: object, known: Collection[str]) -> list[ApplicationChange]:
    """The changes of `PUT applications`; `known` holds the client ids with a user. Raises ControlError."""
    changes: list[ApplicationChange] = []
    for client_id, spec in _require_object(document, "the body").items():
        where = f"application {client_id!r}"
        members = _require_object(spec, where, {"client_secret", "has_user", "privileges"})
        secret = _require_text_or_none(members.get("client_secret"), f"client_secret of {where}")
        if secret is None and client_id not in known:
            raise ControlError(f"{where} is new: give its client_secret")
        privileges = _require_list(
            members.get("privileges", list(DEFAULT_PRIVILEGES)), f"privileges of {where}"
        )
        for privilege in privileges:
            if privilege not in ALL_PRIVILEGES:
                known_privileges = ", ".join(ALL_PRIVILEGES)
                raise ControlError(f"{where}: unknown privilege {privilege!r}: {known_privileges} are known")
        has_user = _require_boolean(members.get("has_user", True), f"has_user of {where}")
        registration = None if secret is None else AppRegistration(client_secret=secret)
        changes.append(ApplicationChange(client_id, registration, privileges if has_user else None))
    return changes


def parse_options(document: object, before: SandboxOptions) -> SandboxOptions:
    """The options with the changes of `PUT switches`; others stay. Raises ControlError."""
    changes = dict(_require_object(document, "the body"))
    try:
        return before.merge(changes)
    except ValueError as error:
        raise ControlError(str(error)) from None


def _require_object(document: object, where: str, allowed: set[str] | None = None) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        raise ControlError(f"{where} is not a JSON object")
    if allowed is not None:
        for name in document:
            if name not in allowed:
                raise ControlError(f"unknown key {name!r} in {where}: {', '.join(sorted(allowed))} are known")
    return document


def _require_list(document: object, where: str) -> list[Any]:
    if not isinstance(document, list):
        raise ControlError(f"{where} is not a JSON list")
    return document


def _require_member(kind: Any, value: object, where: str) -> Any:  # noqa: ANN401 - any of the enumerations
    try:
        return kind(value)
    except ValueError:
        raise ControlError(f"{where} is one of {', '.join(known.value for known in kind)}") from None


def _require_boolean(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise ControlError(f"{where} is true or false")
    return value


def _require_number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ControlError(f"{where} is a number, 0 or more")
    return value


def _require_text_or_none(value: object, where: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ControlError(f"{where} is a text")
    return value
