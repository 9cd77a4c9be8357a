"""`$filter`: text → predicate over rows, with the equalities that let the table look it up, not scan.

Grammar: `eq ne gt ge lt le`, `and`, `or`, `not`, parentheses, `contains`, `startswith`, `endswith`,
`Microsoft.Dynamics.CRM.In(PropertyName='…',PropertyValues=['…','…'])`.
Texts compare as the database does: by its collation (dataverse.md 1.5).
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from dataverse_sandbox import errors
from dataverse_sandbox.table.column import (
    DATE,
    EDM,
    GUID,
    INSTANT,
    TEXTUAL,
    Column,
    ColumnType,
    Value,
    converter,
)
from dataverse_sandbox.table.row import Row
from dataverse_sandbox.table.row_index import folded
from dataverse_sandbox.table.table import Table, reader

Predicate = Callable[[Row], bool]
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')"
    r"|(?P<literal>[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![\w-])"
    r"|\d{4}-\d{2}-\d{2}(?:T[0-9:.]+(?:Z|[+-]\d{2}:\d{2})?)?(?![\w-])"
    r"|-?\d+(?:\.\d+)?(?![\w.]))"
    r"|(?P<word>@?[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_]\w*)*)"
    r"|(?P<quoted>\"(?:[^\"\\]|\\.)*\")"
    r"|(?P<mark>[(),=\[\]]))"
)
_COMPARISONS = frozenset({"eq", "ne", "gt", "ge", "lt", "le"})
_FUNCTIONS = frozenset({"contains", "startswith", "endswith"})
_NAMESPACE = "Microsoft.Dynamics.CRM."
_NUMERIC = frozenset(
    {
        ColumnType.INTEGER,
        ColumnType.PICKLIST,
        ColumnType.DECIMAL,
        ColumnType.MONEY,
        ColumnType.VERSION,
    }
)
_GUIDS = frozenset({ColumnType.GUID, ColumnType.LOOKUP})
_DEEPEST = 60


@dataclass(frozen=True, slots=True)
class Filter:
    """`matches` decides; `equal`, if given, holds (column, value) pairs of which each match fulfils one."""

    matches: Predicate
    equal: tuple[tuple[str, Value], ...] | None = None

    def rows(self, table: Table) -> Iterable[Row]:
        """The matching rows of a table, by index where equalities allow it."""
        if self.equal is None:
            return (row for row in table.rows.values() if self.matches(row))
        candidates = {row.contactid: row for pair in self.equal for row in table.where_equal(*pair)}
        return (row for row in candidates.values() if self.matches(row))


def parse_filter(text: str, table: Table, aliases: Mapping[str, str]) -> Filter:
    """Read a filter, percent-decoded; `aliases` holds the `@name` parameters of the URL."""
    return _Parser(_tokens(text, aliases), table).whole()


Token = tuple[str, str]


def _tokens(text: str, aliases: Mapping[str, str]) -> list[Token]:
    tokens: list[Token] = []
    position = 0
    text = text.strip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise errors.query_syntax(f"Syntax error at position {position} in the filter.")
        kind = str(found.lastgroup)
        token = found[kind]
        position = found.end()
        if token.startswith("@"):
            if token not in aliases:
                raise errors.query_syntax(f"The parameter alias '{token}' is not given.")
            tokens.extend(_tokens(aliases[token], {}))
        else:
            tokens.append((kind, token))
    return tokens


class _Parser:
    def __init__(self, tokens: list[Token], table: Table) -> None:
        self._tokens = tokens
        self._table = table
        self._position = 0
        self._depth = 0

    def whole(self) -> Filter:
        found = self._either()
        if self._position != len(self._tokens):
            raise errors.query_syntax("The filter goes on where it should end.")
        return found

    def _next(self) -> Token:
        if self._position >= len(self._tokens):
            raise errors.query_syntax("The filter ends too early.")
        self._position += 1
        return self._tokens[self._position - 1]

    def _takes(self, token: Token) -> bool:
        if self._position < len(self._tokens) and self._tokens[self._position] == token:
            self._position += 1
            return True
        return False

    def _expect(self, mark: str) -> None:
        if not self._takes(("mark", mark)):
            raise errors.query_syntax(f"'{mark}' was expected in the filter.")

    def _either(self) -> Filter:
        options = [self._all()]
        while self._takes(("word", "or")):
            options.append(self._all())
        if len(options) == 1:
            return options[0]
        predicates = [option.matches for option in options]
        pairs = [option.equal for option in options]
        equal = None if None in pairs else tuple(pair for given in pairs if given for pair in given)
        return Filter(lambda row: any(matches(row) for matches in predicates), equal)

    def _all(self) -> Filter:
        terms = [self._one()]
        while self._takes(("word", "and")):
            terms.append(self._one())
        if len(terms) == 1:
            return terms[0]
        predicates = [term.matches for term in terms]
        equal = next((term.equal for term in terms if term.equal is not None), None)
        return Filter(lambda row: all(matches(row) for matches in predicates), equal)

    def _one(self) -> Filter:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise errors.query_syntax("The filter is nested too deeply.")
        try:
            if self._takes(("word", "not")):
                inner = self._one().matches
                return Filter(lambda row: not inner(row))
            if self._takes(("mark", "(")):
                found = self._either()
                self._expect(")")
                return found
            kind, word = self._next()
            if kind != "word":
                raise errors.query_syntax("A column was expected in the filter.")
            if word.startswith(_NAMESPACE):
                return self._query_function(word.removeprefix(_NAMESPACE))
            return self._function(word) if word in _FUNCTIONS else self._comparison(word)
        finally:
            self._depth -= 1

    def _function(self, function: str) -> Filter:
        self._expect("(")
        column = self._column(self._next()[1])
        self._expect(",")
        kind, literal = self._next()
        self._expect(")")
        if column.type not in TEXTUAL or kind != "text":
            raise errors.wrong_literal(literal, EDM[column.type])
        fold, read = self._table.fold, reader(self._table, column.name)
        wanted = fold(_text(literal))
        test: Callable[[str], bool]
        if function == "contains":
            test = lambda text: wanted in text  # noqa: E731
        elif function == "startswith":
            test = lambda text: text.startswith(wanted)  # noqa: E731
        else:
            test = lambda text: text.endswith(wanted)  # noqa: E731

        def matches(row: Row) -> bool:
            value = read(row)
            return value is not None and test(fold(str(value)))

        return Filter(matches)

    def _query_function(self, function: str) -> Filter:
        if function != "In":
            raise errors.not_simulated(f"The query function '{_NAMESPACE}{function}'")
        self._expect("(")
        self._parameter("PropertyName")
        column = self._column(_plain(self._next()))
        self._expect(",")
        self._parameter("PropertyValues")
        self._expect("[")
        values = [_listed(_plain(self._next()), column)]
        while self._takes(("mark", ",")):
            values.append(_listed(_plain(self._next()), column))
        self._expect("]")
        self._expect(")")
        fold, read = self._table.fold, reader(self._table, column.name)
        wanted = {folded(value, fold) for value in values}
        return Filter(
            lambda row: folded(read(row), fold) in wanted, tuple((column.name, value) for value in values)
        )

    def _parameter(self, name: str) -> None:
        if not self._takes(("word", name)):
            raise errors.query_syntax(f"The parameter '{name}' was expected in the filter.")
        self._expect("=")

    def _comparison(self, name: str) -> Filter:
        column = self._column(name)
        operator = self._next()[1]
        if operator not in _COMPARISONS:
            raise errors.query_syntax(f"'{operator}' is not a comparison.")
        value = _literal(self._next(), column)
        fold, read = self._table.fold, reader(self._table, column.name)
        wanted = folded(value, fold)
        if operator == "eq":
            return Filter(lambda row: folded(read(row), fold) == wanted, ((column.name, value),))
        if operator == "ne":
            return Filter(lambda row: folded(read(row), fold) != wanted)
        if value is None or isinstance(value, bool):
            raise errors.query_syntax(f"'{operator}' needs a value with an order.")

        def form(held: Value) -> Value:
            # Instants are stored as text: without the zone letter, fractions of a second sort rightly.
            return (
                str(held).removesuffix("Z")
                if held and column.type is ColumnType.DATETIME
                else folded(held, fold)
            )

        limit = form(value)
        return Filter(lambda row: _ordered(form(read(row)), operator, limit))

    def _column(self, name: str) -> Column:
        column = self._table.schema.by_wire_name.get(name)
        if column is None:
            raise errors.no_such_property(name)
        return column


def _ordered(held: Value, operator: str, wanted: Value) -> bool:
    less = _less(held, wanted)
    if less is None:
        return False  # null, or of another kind: has no place in the order
    match operator:
        case "lt":
            return less
        case "le":
            return less or held == wanted
        case "gt":
            return not less and held != wanted
        case _:
            return not less


def _less(held: Value, wanted: Value) -> bool | None:
    if isinstance(held, str) and isinstance(wanted, str):
        return held < wanted
    if isinstance(held, int | float) and isinstance(wanted, int | float):
        return held < wanted
    return None


def _text(literal: str) -> str:
    return literal[1:-1].replace("''", "'")


def _plain(token: Token) -> str:
    """A text in single or, as in JSON, in double quotes."""
    kind, literal = token
    if kind == "text":
        return _text(literal)
    if kind == "quoted":
        with suppress(ValueError):
            return str(json.loads(literal))
    raise errors.query_syntax("A text in quotes was expected in the filter.")


def _listed(text: str, column: Column) -> Value:
    """`PropertyValues` are always texts, whatever the column's type is."""
    if column.type in TEXTUAL or column.type is ColumnType.MULTISELECT:
        return text
    found = _TOKEN.fullmatch(text)
    if found is None:
        raise errors.wrong_literal(text, EDM[column.type])
    return _literal((str(found.lastgroup), text), column)


def _literal(token: Token, column: Column) -> Value:
    kind, literal = token
    expected = column.type
    if token == ("word", "null"):
        return None
    if kind == "text" and (expected in TEXTUAL or expected is ColumnType.MULTISELECT):
        return _text(literal)
    if kind == "word" and expected is ColumnType.BOOLEAN and literal in {"true", "false"}:
        return literal == "true"
    if kind == "literal":
        if expected in _GUIDS and GUID.fullmatch(literal):
            return literal.lower()
        if expected is ColumnType.DATE and DATE.fullmatch(literal):
            return literal
        if expected is ColumnType.DATETIME and INSTANT.fullmatch(literal):
            return converter(column)(literal)
        if expected in _NUMERIC and not GUID.fullmatch(literal) and not DATE.match(literal):
            return float(literal) if "." in literal else int(literal)
    raise errors.Refusal(
        400,
        "0x0",
        f"A binary operator with incompatible types was detected: '{column.wire_name}' is {EDM[expected]}.",
    )
