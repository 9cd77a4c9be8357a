"""Change tracking by `Prefer: odata.track-changes` and delta links (dataverse.md 2.6)."""

import re
from datetime import UTC, datetime
from itertools import islice
from urllib.parse import quote, unquote_plus

from dataverse_sandbox import errors
from dataverse_sandbox.messages import Request, Response, json_response
from dataverse_sandbox.table.table import Table
from dataverse_sandbox.web_api.query import (
    MAX_PAGE_ROWS,
    QueryOptions,
    context_url,
    parse_options,
    select_columns,
)
from dataverse_sandbox.web_api.render_row import row_renderer

TOKEN_SECONDS = 7 * 24 * 3600
"""Lifetime of a delta token."""

TRACKING_OPTIONS = frozenset({"$select", "$count", "$deltatoken", "$skiptoken"})
_INSTANT = "%m/%d/%Y %H:%M:%S"
_POSITION = re.compile(r"(\d+)!(\d+)")


def is_requested(request: Request) -> bool:
    """Whether a read tracks changes: by preference, by a delta link, or as a page of such a read."""
    position = unquote_plus(request.query.partition("$skiptoken=")[2].partition("&")[0])
    return request.prefer.track_changes or "$deltatoken=" in request.query or "!" in position


def changes_response(request: Request, table: Table, base: str, now: float) -> Response:
    """All rows at first, later the changes since; the last page holds the link for the next read.

    Raises 400 for a token that is older than seven days or than the table's present rows.
    """
    options = parse_options(request.query, TRACKING_OPTIONS)
    token = options.system.get("$deltatoken")
    if token is None:
        return _initial_response(request, options, table, base, now)
    return _delta_response(request, options, table, base, now)


def _initial_response(
    request: Request, options: QueryOptions, table: Table, base: str, now: float
) -> Response:
    position = _POSITION.fullmatch(unquote_plus(options.system.get("$skiptoken", "")))
    start, version = (int(position[1]), int(position[2])) if position else (0, table.version)
    page = min(request.prefer.max_page_size or MAX_PAGE_ROWS, MAX_PAGE_ROWS)
    columns = select_columns(options, table)
    render = row_renderer(table.schema, columns, request.prefer.annotations)
    found = list(islice(table.rows.values(), start, start + page + 1))
    document: dict[str, object] = {"@odata.context": f"{context_url(base, columns, entity=False)}/$delta"}
    document["value"] = [render(row) for row in found[:page]]
    if len(found) > page:
        following = quote(f"{start + page}!{version}", safe="")
        document["@odata.nextLink"] = _link(base, options, f"$skiptoken={following}")
    else:
        document["@odata.deltaLink"] = _link(base, options, _delta_token(version, now))
    return _respond(request, document)


def _delta_response(request: Request, options: QueryOptions, table: Table, base: str, now: float) -> Response:
    version = _parse_delta_token(options.system["$deltatoken"], table, now)
    columns = select_columns(options, table)
    render = row_renderer(table.schema, columns, request.prefer.annotations)
    changes = sorted(
        [(row.version, row.contactid) for row in table.rows.values() if row.version > version]
        + [deletion for deletion in table.deleted if deletion[0] > version and deletion[1] not in table.rows]
    )
    page = min(request.prefer.max_page_size or MAX_PAGE_ROWS, MAX_PAGE_ROWS)
    values: list[dict[str, object]] = []
    for _, contactid in changes[:page]:
        row = table.rows.get(contactid)
        deleted_entity: dict[str, object] = {
            "@odata.context": f"{base}$metadata#contacts/$deletedEntity",
            "id": contactid,
            "reason": "deleted",
        }
        values.append(deleted_entity if row is None else render(row))
    document: dict[str, object] = {"@odata.context": f"{context_url(base, columns, entity=False)}/$delta"}
    document["value"] = values
    if len(changes) > page:
        document["@odata.nextLink"] = _link(base, options, _delta_token(changes[page - 1][0], now))
    else:
        document["@odata.deltaLink"] = _link(base, options, _delta_token(table.version, now))
    return _respond(request, document)


def _respond(request: Request, document: dict[str, object]) -> Response:
    rows = document["value"]
    headers = request.prefer.preference_applied(annotations=True, pages=True, changes=True)
    return json_response(document, headers=headers, rows=len(rows) if isinstance(rows, list) else 0)


def _link(base: str, options: QueryOptions, token: str) -> str:
    kept = [f"$select={quote(options.system['$select'])}"] if "$select" in options.system else []
    return f"{base}contacts?{'&'.join([*kept, token])}"


def _delta_token(version: int, now: float) -> str:
    """The query option that continues after this version.

    >>> _delta_token(1008, 0)
    '$deltatoken=1008%2101%2F01%2F1970%2000%3A00%3A00'
    """
    return "$deltatoken=" + quote(f"{version}!{datetime.fromtimestamp(now, UTC):{_INSTANT}}", safe="")


def _parse_delta_token(token: str, table: Table, now: float) -> int:
    """The version after which changes are requested. Raises 400."""
    digits, _, instant = token.partition("!")
    try:
        version = int(digits)
        issued_at = datetime.strptime(instant, _INSTANT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise errors.query_syntax_error("'$deltatoken' is not one that was given here.") from None
    if now - issued_at > TOKEN_SECONDS or version < table.first_tracked_version:
        raise errors.ODataError(
            400,
            "0x80044352",
            "Version stamp associated with the client has expired. Please perform a full sync.",
        )
    return version
