"""The query options of a URL (`$select`, `$filter`, `$top`, `$orderby`, `$count`, paging), and reads."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from urllib.parse import quote, unquote_plus

from dataverse_sandbox import errors
from dataverse_sandbox.messages import ODATA_VERSION, Prefer, Request, Response, json_response
from dataverse_sandbox.table.collation import comparison_key
from dataverse_sandbox.table.column import Column
from dataverse_sandbox.table.row import Row
from dataverse_sandbox.table.table import Table, column_reader
from dataverse_sandbox.web_api.odata_filter import parse_filter
from dataverse_sandbox.web_api.render_row import TOTAL_COUNT, TOTAL_EXCEEDED, is_requested, row_renderer

MAX_PAGE_ROWS = 5000
"""Rows of a page, and the highest number that a count states."""

LIST_OPTIONS = frozenset({"$select", "$filter", "$top", "$orderby", "$count", "$skiptoken"})
COUNT_OPTIONS = frozenset({"$filter"})
ROW_OPTIONS = frozenset({"$select"})
# dataverse.md 2.1: `$expand` is ignored on a write that returns the row.
WRITE_OPTIONS = frozenset({"$select", "$expand"})
METADATA_OPTIONS = frozenset({"$select", "$filter", "$expand"})

# The service also reads these, some of them languages of their own. Ignoring them would return wrong rows.
_NOT_SIMULATED = frozenset({"$expand", "$apply", "sql", "fetchXml", "savedQuery", "userQuery"})


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """The options of a query string, percent-decoded."""

    system: Mapping[str, str] = field(default_factory=dict)
    """Values of the `$` options, by name with `$`."""

    aliases: Mapping[str, str] = field(default_factory=dict)
    """Values of the parameter aliases, by name with `@`."""


NO_OPTIONS = QueryOptions()


def parse_options(query: str, allowed: frozenset[str]) -> QueryOptions:
    """Parse a query string. Raises 400 or 501 for an option that is not allowed here.

    Most names without `$` or `@` are ignored.

    >>> parse_options("$select=a,b&@p=1&tag=x", ROW_OPTIONS)
    QueryOptions(system={'$select': 'a,b'}, aliases={'@p': '1'})
    """
    if not query:
        return NO_OPTIONS
    system: dict[str, str] = {}
    aliases: dict[str, str] = {}
    for piece in query.split("&"):
        name, _, value = piece.partition("=")
        # dataverse.md 1.4: in a query string a bare `+` is a blank.
        name, value = unquote_plus(name), unquote_plus(value)
        if name in _NOT_SIMULATED and name not in allowed:
            raise errors.not_simulated(f"The query parameter '{name}' on contacts")
        if name.startswith("$"):
            if name not in allowed:
                raise errors.bad_request(f"The query option '{name}' is not supported here.")
            if name in system:
                raise errors.query_syntax_error(f"'{name}' is given twice.")
            system[name] = value
        elif name.startswith("@"):
            aliases[name] = value
    return QueryOptions(system, aliases)


def select_columns(options: QueryOptions, table: Table) -> list[Column] | None:
    """The columns of `$select`, or None for all. Raises 400 for an unknown one."""
    text = options.system.get("$select")
    if not text or text.strip() == "*":
        return None
    columns = []
    for piece in text.split(","):
        name = piece.strip()
        column = table.schema.by_wire_name.get(name)
        if column is None:
            raise errors.unknown_property(name)
        columns.append(column)
    return columns


def context_url(base: str, columns: list[Column] | None, *, entity: bool) -> str:
    """`@odata.context` of one row (`entity`) or of a list."""
    selection = "" if columns is None else f"({','.join(column.wire_name for column in columns)})"
    return f"{base}$metadata#contacts{selection}{'/$entity' if entity else ''}"


def row_response(request: Request, row: Row, table: Table, base: str, status: int = 200) -> Response:
    """A row as a response, narrowed by `$select`; its ETag is a header too."""
    options = parse_options(request.query, ROW_OPTIONS if request.method == "GET" else WRITE_OPTIONS)
    columns = select_columns(options, table)
    prefer = request.prefer
    render = row_renderer(table.schema, columns, prefer.annotations)
    document = {"@odata.context": context_url(base, columns, entity=True), **render(row)}
    headers = (("ETag", row.etag), *prefer.preference_applied(annotations=request.method == "GET"))
    return json_response(document, status=status, headers=headers, rows=1)


def list_response(request: Request, table: Table, base: str) -> Response:
    """`GET contacts`: filtered, ordered, paged."""
    options = parse_options(request.query, LIST_OPTIONS)
    prefer = request.prefer
    columns = select_columns(options, table)
    rows = _filter_rows(options, table)
    document: dict[str, object] = {"@odata.context": context_url(base, columns, entity=False)}
    if options.system.get("$count") == "true":
        rows = list(rows)
        document["@odata.count"] = min(len(rows), MAX_PAGE_ROWS)
        document |= _total_annotations(len(rows), prefer)
    if "$orderby" in options.system:
        rows = _sort_rows(rows, options.system["$orderby"], table)
    start = _parse_number(options, "$skiptoken") or 0
    top = _parse_number(options, "$top")
    page = min(prefer.max_page_size or MAX_PAGE_ROWS, MAX_PAGE_ROWS)
    wanted = page if top is None else min(page, max(top - start, 0))
    found = list(islice(rows, start, start + wanted + 1))
    render = row_renderer(table.schema, columns, prefer.annotations)
    document["value"] = [render(row) for row in found[:wanted]]
    if len(found) > wanted and (top is None or start + wanted < top):
        kept = [f"{name}={quote(value)}" for name, value in options.system.items() if name != "$skiptoken"]
        kept += [f"{name}={quote(value)}" for name, value in options.aliases.items()]
        document["@odata.nextLink"] = f"{base}contacts?{'&'.join([*kept, f'$skiptoken={start + wanted}'])}"
    return json_response(
        document,
        headers=prefer.preference_applied(annotations=True, pages=True),
        rows=min(len(found), wanted),
    )


def count_response(request: Request, table: Table) -> Response:
    """`GET contacts/$count`: plain text, at most 5,000; `$filter` narrows it."""
    options = parse_options(request.query, COUNT_OPTIONS)
    found = sum(1 for _ in islice(_filter_rows(options, table), MAX_PAGE_ROWS))
    return Response(200, (("Content-Type", "text/plain"), ODATA_VERSION), str(found).encode())


def _total_annotations(found: int, prefer: Prefer) -> dict[str, object]:
    """The annotations that distinguish a count of exactly 5,000 from one that stopped there."""
    totals = {TOTAL_COUNT: min(found, MAX_PAGE_ROWS), TOTAL_EXCEEDED: found > MAX_PAGE_ROWS}
    return {f"@{name}": value for name, value in totals.items() if is_requested(name, prefer.annotations)}


def _filter_rows(options: QueryOptions, table: Table) -> Iterable[Row]:
    text = options.system.get("$filter")
    if text is None:
        return table.rows.values()
    return parse_filter(text, table, options.aliases).rows(table)


def _sort_rows(rows: Iterable[Row], text: str, table: Table) -> list[Row]:
    ordered = list(rows)
    for piece in reversed(text.split(",")):
        name, _, direction = piece.strip().partition(" ")
        column = table.schema.by_wire_name.get(name)
        if column is None:
            raise errors.unknown_property(name)
        if direction.strip() not in {"", "asc", "desc"}:
            raise errors.query_syntax_error("'$orderby' takes a column and asc or desc.")
        ordered.sort(key=_sort_key(table, column), reverse=direction.strip() == "desc")
    return ordered


def _sort_key(table: Table, column: Column) -> Callable[[Row], tuple[bool, Any]]:
    read, collation = column_reader(table, column.name), table.collation

    def sort_key(row: Row) -> tuple[bool, Any]:
        value = comparison_key(read(row), collation)
        return value is not None, value  # nulls first: the second half is compared among equals only

    return sort_key


def _parse_number(options: QueryOptions, name: str) -> int | None:
    text = options.system.get(name)
    if text is None:
        return None
    if not text.isdecimal():
        raise errors.query_syntax_error(f"'{name}' takes a whole number.")
    return int(text)
