"""Which column values a request speaks of, so that a fault can strike one person only."""

import json
from collections.abc import Mapping, Sequence

from dataverse_sandbox.errors import Refusal
from dataverse_sandbox.messages import Request
from dataverse_sandbox.options import Switches
from dataverse_sandbox.table.table import Table
from dataverse_sandbox.web_api.key_url import key_columns, parse_address
from dataverse_sandbox.web_api.odata_filter import parse_filter
from dataverse_sandbox.web_api.query import LIST_OPTIONS, parse_options


def named_columns(request: Request, table: Table) -> Sequence[Mapping[str, object]]:
    """One mapping per row spoken of: the stored row, over it the URL's key, over it what the body changes."""
    row_body = _object(request.body)
    targets = row_body.get("Targets")
    if isinstance(targets, list):
        return [_of_target(target, table) for target in targets if isinstance(target, dict)]
    set_and_key = (
        request.path.rpartition("/contacts(")[2].partition(")")[0] if "/contacts(" in request.path else ""
    )
    if set_and_key:
        return [{**_of_key(set_and_key, table), **row_body}]
    if "$filter" in request.query or "%24filter" in request.query:
        return _of_filter(request.query, table)
    return [row_body]


def _object(body: bytes) -> dict[str, object]:
    if not body.startswith(b"{"):
        return {}
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _of_key(predicate: str, table: Table) -> dict[str, object]:
    try:
        address = parse_address(predicate, table.schema, Switches())
    except Refusal:
        return {}
    row = table.find(address)
    held: dict[str, object] = {} if row is None else {**row.values, "contactid": row.contactid}
    return {**held, **key_columns(address)}


def _of_target(target: dict[str, object], table: Table) -> dict[str, object]:
    address = target.get("@odata.id", target.get("contactid"))
    if not isinstance(address, str):
        return target
    return {**_of_key(address.partition("(")[2].rpartition(")")[0] or address, table), **target}


def _of_filter(query: str, table: Table) -> list[dict[str, object]]:
    try:
        options = parse_options(query, LIST_OPTIONS)
        pairs = parse_filter(options.system.get("$filter", ""), table, options.aliases).equal or ()
    except Refusal:
        return []
    return [{column: value} for column, value in pairs]
