"""Change tracking by `Prefer: odata.track-changes` and delta links (dataverse.md 2.6)."""

import re
from datetime import UTC, datetime
from itertools import islice
from urllib.parse import quote, unquote_plus

from dataverse_sandbox import errors
from dataverse_sandbox.messages import Request, Response, json_response
from dataverse_sandbox.table.table import Table
from dataverse_sandbox.web_api.query import LARGEST_PAGE, Options, context, parse_options, selected_columns
from dataverse_sandbox.web_api.row_body import renderer

TOKEN_SECONDS = 7 * 24 * 3600
TRACK_OPTIONS = frozenset({"$select", "$count", "$deltatoken", "$skiptoken"})
_INSTANT = "%m/%d/%Y %H:%M:%S"
_POSITION = re.compile(r"(\d+)!(\d+)")


def is_asked_for(request: Request) -> bool:
    """Whether a read of the table is one of changes: by preference, by a delta link, or by a page of it."""
    position = unquote_plus(request.query.partition("$skiptoken=")[2].partition("&")[0])
    return request.prefer.track_changes or "$deltatoken=" in request.query or "!" in position


def tracked_rows(request: Request, table: Table, base: str, now: float) -> Response:
    """All rows at first, later what changed since; the last page brings the link for the next time.

    Raises 400 for a token that is older than seven days or than the table's present contents.
    """
    options = parse_options(request.query, TRACK_OPTIONS)
    token = options.system.get("$deltatoken")
    if token is None:
        return _first_time(request, options, table, base, now)
    return _since(request, options, table, base, now)


def _first_time(request: Request, options: Options, table: Table, base: str, now: float) -> Response:
    place = _POSITION.fullmatch(unquote_plus(options.system.get("$skiptoken", "")))
    start, version = (int(place[1]), int(place[2])) if place else (0, table.version)
    page = min(request.prefer.max_page_size or LARGEST_PAGE, LARGEST_PAGE)
    columns = selected_columns(options, table)
    render = renderer(table.schema, columns, request.prefer.annotations)
    found = list(islice(table.rows.values(), start, start + page + 1))
    document: dict[str, object] = {"@odata.context": f"{context(base, columns, entity=False)}/$delta"}
    document["value"] = [render(row) for row in found[:page]]
    if len(found) > page:
        following = quote(f"{start + page}!{version}", safe="")
        document["@odata.nextLink"] = _link(base, options, f"$skiptoken={following}")
    else:
        document["@odata.deltaLink"] = _link(base, options, _delta_token(version, now))
    return _answered(request, document)


def _since(request: Request, options: Options, table: Table, base: str, now: float) -> Response:
    version = _version(options.system["$deltatoken"], table, now)
    columns = selected_columns(options, table)
    render = renderer(table.schema, columns, request.prefer.annotations)
    changed = sorted(
        [(row.version, row.contactid) for row in table.rows.values() if row.version > version]
        + [gone for gone in table.deleted if gone[0] > version and gone[1] not in table.rows]
    )
    page = min(request.prefer.max_page_size or LARGEST_PAGE, LARGEST_PAGE)
    shown: list[dict[str, object]] = []
    for _, contactid in changed[:page]:
        row = table.rows.get(contactid)
        gone: dict[str, object] = {
            "@odata.context": f"{base}$metadata#contacts/$deletedEntity",
            "id": contactid,
            "reason": "deleted",
        }
        shown.append(gone if row is None else render(row))
    document: dict[str, object] = {"@odata.context": f"{context(base, columns, entity=False)}/$delta"}
    document["value"] = shown
    if len(changed) > page:
        document["@odata.nextLink"] = _link(base, options, _delta_token(changed[page - 1][0], now))
    else:
        document["@odata.deltaLink"] = _link(base, options, _delta_token(table.version, now))
    return _answered(request, document)


def _answered(request: Request, document: dict[str, object]) -> Response:
    rows = document["value"]
    headers = request.prefer.applied(annotations=True, pages=True, changes=True)
    return json_response(document, headers=headers, rows=len(rows) if isinstance(rows, list) else 0)


def _link(base: str, options: Options, token: str) -> str:
    kept = [f"$select={quote(options.system['$select'])}"] if "$select" in options.system else []
    return f"{base}contacts?{'&'.join([*kept, token])}"


def _delta_token(version: int, now: float) -> str:
    return "$deltatoken=" + quote(f"{version}!{datetime.fromtimestamp(now, UTC):{_INSTANT}}", safe="")


def _version(token: str, table: Table, now: float) -> int:
    written, _, instant = token.partition("!")
    try:
        version = int(written)
        given_at = datetime.strptime(instant, _INSTANT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise errors.query_syntax("'$deltatoken' is not one that was given here.") from None
    if now - given_at > TOKEN_SECONDS or version < table.version_of_oldest_change:
        raise errors.Refusal(
            400,
            "0x80044352",
            "Version stamp associated with the client has expired. Please perform a full sync.",
        )
    return version
