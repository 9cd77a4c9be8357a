"""The query options of a URL (`$select`, `$filter`, `$top`, `$orderby`, `$count`, paging), carried out."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from urllib.parse import quote, unquote_plus

from dataverse_sandbox import errors
from dataverse_sandbox.messages import Prefer, Request, Response, json_response
from dataverse_sandbox.table.column import Column
from dataverse_sandbox.table.row import Row
from dataverse_sandbox.table.row_index import folded
from dataverse_sandbox.table.table import Table, reader
from dataverse_sandbox.web_api.annotations import TOTAL_COUNT, TOTAL_EXCEEDED, is_wanted
from dataverse_sandbox.web_api.odata_filter import parse_filter
from dataverse_sandbox.web_api.row_body import renderer

LARGEST_PAGE = 5000
LIST_OPTIONS = frozenset({"$select", "$filter", "$top", "$orderby", "$count", "$skiptoken"})
COUNT_OPTIONS = frozenset({"$filter"})
ROW_OPTIONS = frozenset({"$select"})
# dataverse.md 2.1: `$expand` is ignored on a write that returns the row.
WRITE_OPTIONS = frozenset({"$select", "$expand"})
METADATA_OPTIONS = frozenset({"$select", "$filter", "$expand"})


# The service also reads these, some of them languages of their own. Passing them over would give wrong rows.
_NOT_SIMULATED = frozenset({"$expand", "$apply", "sql", "fetchXml", "savedQuery", "userQuery"})


@dataclass(frozen=True, slots=True)
class Options:
    """`system` holds the `$` options as given, `aliases` the `@` parameters; both percent-decoded."""

    system: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)


NO_OPTIONS = Options()


def parse_options(query: str, allowed: frozenset[str]) -> Options:
    """Read the query string; another `$` option is refused, most names without `$` or `@` are passed over."""
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
                raise errors.Refusal(400, "0x0", f"The query option '{name}' is not supported here.")
            if name in system:
                raise errors.query_syntax(f"'{name}' is given twice.")
            system[name] = value
        elif name.startswith("@"):
            aliases[name] = value
    return Options(system, aliases)


def selected_columns(options: Options, table: Table) -> list[Column] | None:
    """The columns of `$select`, or None for all."""
    text = options.system.get("$select")
    if not text or text.strip() == "*":
        return None
    columns = []
    for piece in text.split(","):
        name = piece.strip()
        column = table.schema.by_wire_name.get(name)
        if column is None:
            raise errors.no_such_property(name)
        columns.append(column)
    return columns


def context(base: str, columns: list[Column] | None, *, entity: bool) -> str:
    """`@odata.context` of a row or of a list."""
    chosen = "" if columns is None else f"({','.join(column.wire_name for column in columns)})"
    return f"{base}$metadata#contacts{chosen}{'/$entity' if entity else ''}"


def one_row(request: Request, row: Row, table: Table, base: str, status: int = 200) -> Response:
    """A row as an answer, narrowed by `$select`, with its ETag as a header too."""
    options = parse_options(request.query, ROW_OPTIONS if request.method == "GET" else WRITE_OPTIONS)
    columns = selected_columns(options, table)
    prefer = request.prefer
    render = renderer(table.schema, columns, prefer.annotations)
    document = {"@odata.context": context(base, columns, entity=True), **render(row)}
    headers = (("ETag", row.etag), *prefer.applied(annotations=request.method == "GET"))
    return json_response(document, status=status, headers=headers, rows=1)


def many_rows(request: Request, table: Table, base: str) -> Response:
    """`GET contacts`: filtered, ordered, paged."""
    options = parse_options(request.query, LIST_OPTIONS)
    prefer = request.prefer
    columns = selected_columns(options, table)
    rows = _matching(options, table)
    document: dict[str, object] = {"@odata.context": context(base, columns, entity=False)}
    if options.system.get("$count") == "true":
        rows = list(rows)
        document["@odata.count"] = min(len(rows), LARGEST_PAGE)
        document |= _totals(len(rows), prefer)
    if "$orderby" in options.system:
        rows = _ordered(rows, options.system["$orderby"], table)
    start = _whole_number(options, "$skiptoken") or 0
    top = _whole_number(options, "$top")
    page = min(prefer.max_page_size or LARGEST_PAGE, LARGEST_PAGE)
    wanted = page if top is None else min(page, max(top - start, 0))
    found = list(islice(rows, start, start + wanted + 1))
    render = renderer(table.schema, columns, prefer.annotations)
    document["value"] = [render(row) for row in found[:wanted]]
    if len(found) > wanted and (top is None or start + wanted < top):
        kept = [f"{name}={quote(value)}" for name, value in options.system.items() if name != "$skiptoken"]
        kept += [f"{name}={quote(value)}" for name, value in options.aliases.items()]
        document["@odata.nextLink"] = f"{base}contacts?{'&'.join([*kept, f'$skiptoken={start + wanted}'])}"
    return json_response(
        document, headers=prefer.applied(annotations=True, pages=True), rows=min(len(found), wanted)
    )


def count_rows(request: Request, table: Table) -> Response:
    """`GET contacts/$count`: plain text, at most 5,000; `$filter` narrows it."""
    options = parse_options(request.query, COUNT_OPTIONS)
    found = sum(1 for _ in islice(_matching(options, table), LARGEST_PAGE))
    return Response(200, (("Content-Type", "text/plain"), ("OData-Version", "4.0")), str(found).encode())


def _totals(found: int, prefer: Prefer) -> dict[str, object]:
    """The annotations that tell a count of exactly 5,000 from one that was cut there."""
    totals = {TOTAL_COUNT: min(found, LARGEST_PAGE), TOTAL_EXCEEDED: found > LARGEST_PAGE}
    return {f"@{name}": value for name, value in totals.items() if is_wanted(name, prefer.annotations)}


def _matching(options: Options, table: Table) -> Iterable[Row]:
    text = options.system.get("$filter")
    if text is None:
        return table.rows.values()
    return parse_filter(text, table, options.aliases).rows(table)


def _ordered(rows: Iterable[Row], text: str, table: Table) -> list[Row]:
    ordered = list(rows)
    for piece in reversed(text.split(",")):
        name, _, direction = piece.strip().partition(" ")
        column = table.schema.by_wire_name.get(name)
        if column is None:
            raise errors.no_such_property(name)
        if direction.strip() not in {"", "asc", "desc"}:
            raise errors.query_syntax("'$orderby' takes a column and asc or desc.")
        ordered.sort(key=_place(table, column), reverse=direction.strip() == "desc")
    return ordered


def _place(table: Table, column: Column) -> Callable[[Row], tuple[bool, Any]]:
    read, fold = reader(table, column.name), table.fold

    def place(row: Row) -> tuple[bool, Any]:
        value = folded(read(row), fold)
        return value is not None, value  # nulls first: the second half is compared among equals only

    return place


def _whole_number(options: Options, name: str) -> int | None:
    text = options.system.get(name)
    if text is None:
        return None
    if not text.isdecimal():
        raise errors.query_syntax(f"'{name}' takes a whole number.")
    return int(text)
