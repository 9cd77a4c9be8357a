"""The rows that a request is about, with their column values, so that a fault can hit one person only."""

import json
from collections.abc import Mapping, Sequence

from dataverse_sandbox.errors import ODataError
from dataverse_sandbox.messages import Request
from dataverse_sandbox.options import SandboxOptions
from dataverse_sandbox.table.table import Table
from dataverse_sandbox.web_api.key_url import parse_address
from dataverse_sandbox.web_api.odata_filter import parse_filter
from dataverse_sandbox.web_api.query import LIST_OPTIONS, parse_options


def row_targets(request: Request, table: Table) -> Sequence[Mapping[str, object]]:
    """One mapping per row: stored values, replaced by those of the URL's key, replaced by those of the body.

    A request that cannot be parsed is about fewer values; no error is raised.
    """
    body = _parse_object(request.body)
    targets = body.get("Targets")
    if isinstance(targets, list):
        return [_target_columns(target, table) for target in targets if isinstance(target, dict)]
    predicate = (
        request.path.rpartition("/contacts(")[2].partition(")")[0] if "/contacts(" in request.path else ""
    )
    if predicate:
        return [{**_key_columns(predicate, table), **body}]
    if "$filter" in request.query or "%24filter" in request.query:
        return _filter_columns(request.query, table)
    return [body]


def _parse_object(body: bytes) -> dict[str, object]:
    if not body.startswith(b"{"):
        return {}
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _key_columns(predicate: str, table: Table) -> dict[str, object]:
    try:
        address = parse_address(predicate, table.schema, SandboxOptions())
    except ODataError:
        return {}
    row = table.find(address)
    stored: dict[str, object] = {} if row is None else {**row.values, "contactid": row.contactid}
    return {**stored, **address.columns()}


def _target_columns(target: dict[str, object], table: Table) -> dict[str, object]:
    address = target.get("@odata.id", target.get("contactid"))
    if not isinstance(address, str):
        return target
    return {**_key_columns(address.partition("(")[2].rpartition(")")[0] or address, table), **target}


def _filter_columns(query: str, table: Table) -> list[dict[str, object]]:
    try:
        options = parse_options(query, LIST_OPTIONS)
        equalities = parse_filter(options.system.get("$filter", ""), table, options.aliases).equalities or ()
    except ODataError:
        return []
    return [{column: value} for column, value in equalities]
