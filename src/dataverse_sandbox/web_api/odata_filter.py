"""`$filter`: text → predicate over rows, with the equalities by which the table can use an index.

Grammar: `eq ne gt ge lt le`, `and`, `or`, `not`, parentheses, `contains`, `startswith`, `endswith`,
`Microsoft.Dynamics.CRM.In(PropertyName='…',PropertyValues=['…','…'])`.
Texts compare by the database's collation (dataverse.md 1.5).
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from dataverse_sandbox import errors
from dataverse_sandbox.guid import GUID
from dataverse_sandbox.table.collation import comparison_key
from dataverse_sandbox.table.column import DATE, EDM, INSTANT, TEXTUAL, Column, ColumnType, Value, converter
from dataverse_sandbox.table.row import Row
from dataverse_sandbox.table.table import Table, column_reader

Predicate = Callable[[Row], bool]
Token = tuple[str, str]
"""(kind, text): kind is the name of the group in `_TOKEN`."""

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
_MAX_DEPTH = 60
"""Nesting of a filter; Python's own stack limit is far above it."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter."""

    matches: Predicate
    """Whether a row passes."""

    equalities: tuple[tuple[str, Value], ...] | None = None
    """(column, value) pairs; each row that passes fulfils one of them. None: no index can be used."""

    def rows(self, table: Table) -> Iterable[Row]:
        """The rows of a table that pass, found by index where equalities allow it."""
        if self.equalities is None:
            return (row for row in table.rows.values() if self.matches(row))
        candidates = {row.contactid: row for pair in self.equalities for row in table.find_equal(*pair)}
        return (row for row in candidates.values() if self.matches(row))


def parse_filter(text: str, table: Table, aliases: Mapping[str, str]) -> Filter:
    """Parse a percent-decoded filter. Raises 400 and 501.

    `aliases` holds the parameter aliases of the URL by name with `@`.
    """
    return _Parser(_tokenize(text, aliases), table).parse()


def _tokenize(text: str, aliases: Mapping[str, str]) -> list[Token]:
    """Tokens of a filter, with each alias replaced by the tokens of its value. Raises 400.

    >>> _tokenize("lastname eq @p", {"@p": "'O''Neil'"})
    [('word', 'lastname'), ('word', 'eq'), ('text', "'O''Neil'")]
    """
    tokens: list[Token] = []
    position = 0
    text = text.strip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise errors.query_syntax_error(f"Syntax error at position {position} in the filter.")
        kind = str(found.lastgroup)
        token = found[kind]
        position = found.end()
        if token.startswith("@"):
            if token not in aliases:
                raise errors.query_syntax_error(f"The parameter alias '{token}' is not given.")
            tokens.extend(_tokenize(aliases[token], {}))
        else:
            tokens.append((kind, token))
    return tokens


class _Parser:
    """Recursive descent; each method consumes tokens from the present position on."""

    def __init__(self, tokens: list[Token], table: Table) -> None:
        self._tokens = tokens
        self._table = table
        self._position = 0
        self._depth = 0

    def parse(self) -> Filter:
        found = self._parse_or()
        if self._position != len(self._tokens):
            raise errors.query_syntax_error("The filter goes on where it should end.")
        return found

    def _next(self) -> Token:
        if self._position >= len(self._tokens):
            raise errors.query_syntax_error("The filter ends too early.")
        self._position += 1
        return self._tokens[self._position - 1]

    def _accept(self, token: Token) -> bool:
        if self._position < len(self._tokens) and self._tokens[self._position] == token:
            self._position += 1
            return True
        return False

    def _expect(self, mark: str) -> None:
        if not self._accept(("mark", mark)):
            raise errors.query_syntax_error(f"'{mark}' was expected in the filter.")

    def _parse_or(self) -> Filter:
        options = [self._parse_and()]
        while self._accept(("word", "or")):
            options.append(self._parse_and())
        if len(options) == 1:
            return options[0]
        predicates = [option.matches for option in options]
        known = [option.equalities for option in options]
        equalities = None if None in known else tuple(pair for pairs in known if pairs for pair in pairs)
        return Filter(lambda row: any(matches(row) for matches in predicates), equalities)

    def _parse_and(self) -> Filter:
        terms = [self._parse_term()]
        while self._accept(("word", "and")):
            terms.append(self._parse_term())
        if len(terms) == 1:
            return terms[0]
        predicates = [term.matches for term in terms]
        equalities = next((term.equalities for term in terms if term.equalities is not None), None)
        return Filter(lambda row: all(matches(row) for matches in predicates), equalities)

    def _parse_term(self) -> Filter:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise errors.query_syntax_error("The filter is nested too deeply.")
        try:
            if self._accept(("word", "not")):
                inner = self._parse_term().matches
                return Filter(lambda row: not inner(row))
            if self._accept(("mark", "(")):
                found = self._parse_or()
                self._expect(")")
                return found
            kind, word = self._next()
            if kind != "word":
                raise errors.query_syntax_error("A column was expected in the filter.")
            if word.startswith(_NAMESPACE):
                return self._parse_query_function(word.removeprefix(_NAMESPACE))
            return self._parse_text_function(word) if word in _FUNCTIONS else self._parse_comparison(word)
        finally:
            self._depth -= 1

    def _parse_text_function(self, function: str) -> Filter:
        self._expect("(")
        column = self._column(self._next()[1])
        self._expect(",")
        kind, literal = self._next()
        self._expect(")")
        if column.type not in TEXTUAL or kind != "text":
            raise errors.literal_mismatch(literal, EDM[column.type])
        collation, read = self._table.collation, column_reader(self._table, column.name)
        wanted = collation(_unquote(literal))
        test: Callable[[str], bool]
        if function == "contains":
            test = lambda text: wanted in text  # noqa: E731
        elif function == "startswith":
            test = lambda text: text.startswith(wanted)  # noqa: E731
        else:
            test = lambda text: text.endswith(wanted)  # noqa: E731

        def matches(row: Row) -> bool:
            value = read(row)
            return value is not None and test(collation(str(value)))

        return Filter(matches)

    def _parse_query_function(self, function: str) -> Filter:
        if function != "In":
            raise errors.not_simulated(f"The query function '{_NAMESPACE}{function}'")
        self._expect("(")
        self._expect_parameter("PropertyName")
        column = self._column(_parse_quoted(self._next()))
        self._expect(",")
        self._expect_parameter("PropertyValues")
        self._expect("[")
        values = [_parse_listed(_parse_quoted(self._next()), column)]
        while self._accept(("mark", ",")):
            values.append(_parse_listed(_parse_quoted(self._next()), column))
        self._expect("]")
        self._expect(")")
        collation, read = self._table.collation, column_reader(self._table, column.name)
        wanted = {comparison_key(value, collation) for value in values}
        return Filter(
            lambda row: comparison_key(read(row), collation) in wanted,
            tuple((column.name, value) for value in values),
        )

    def _expect_parameter(self, name: str) -> None:
        if not self._accept(("word", name)):
            raise errors.query_syntax_error(f"The parameter '{name}' was expected in the filter.")
        self._expect("=")

    def _parse_comparison(self, name: str) -> Filter:
        column = self._column(name)
        operator = self._next()[1]
        if operator not in _COMPARISONS:
            raise errors.query_syntax_error(f"'{operator}' is not a comparison.")
        value = _parse_literal(self._next(), column)
        collation, read = self._table.collation, column_reader(self._table, column.name)
        wanted = comparison_key(value, collation)
        if operator == "eq":
            return Filter(lambda row: comparison_key(read(row), collation) == wanted, ((column.name, value),))
        if operator == "ne":
            return Filter(lambda row: comparison_key(read(row), collation) != wanted)
        if value is None or isinstance(value, bool):
            raise errors.query_syntax_error(f"'{operator}' needs a value with an order.")

        def sort_key(held: Value) -> Value:
            # Instants are stored as text. Without the zone letter, fractions of a second sort correctly.
            return (
                str(held).removesuffix("Z")
                if held and column.type is ColumnType.DATETIME
                else comparison_key(held, collation)
            )

        limit = sort_key(value)
        return Filter(lambda row: _compare(sort_key(read(row)), operator, limit))

    def _column(self, name: str) -> Column:
        column = self._table.schema.by_wire_name.get(name)
        if column is None:
            raise errors.unknown_property(name)
        return column


def _compare(held: Value, operator: str, wanted: Value) -> bool:
    """Whether `held operator wanted`; False for null and for values of different kinds.

    >>> _compare(2, "gt", 1), _compare(None, "lt", 1)
    (True, False)
    """
    less = _is_less(held, wanted)
    if less is None:
        return False
    match operator:
        case "lt":
            return less
        case "le":
            return less or held == wanted
        case "gt":
            return not less and held != wanted
        case _:
            return not less


def _is_less(held: Value, wanted: Value) -> bool | None:
    """None when the two have no order."""
    if isinstance(held, str) and isinstance(wanted, str):
        return held < wanted
    if isinstance(held, int | float) and isinstance(wanted, int | float):
        return held < wanted
    return None


def _unquote(literal: str) -> str:
    """The text of a literal in single quotes.

    >>> _unquote("'O''Neil'")
    "O'Neil"
    """
    return literal[1:-1].replace("''", "'")


def _parse_quoted(token: Token) -> str:
    """A text in single or, as in JSON, in double quotes."""
    kind, literal = token
    if kind == "text":
        return _unquote(literal)
    if kind == "quoted":
        with suppress(ValueError):
            return str(json.loads(literal))
    raise errors.query_syntax_error("A text in quotes was expected in the filter.")


def _parse_listed(text: str, column: Column) -> Value:
    """A member of `PropertyValues`: always a text, for any type of column. Raises 400."""
    if column.type in TEXTUAL or column.type is ColumnType.MULTISELECT:
        return text
    found = _TOKEN.fullmatch(text)
    if found is None:
        raise errors.literal_mismatch(text, EDM[column.type])
    return _parse_literal((str(found.lastgroup), text), column)


def _parse_literal(token: Token, column: Column) -> Value:
    """The value of a literal that fits the column's type. Raises 400."""
    kind, literal = token
    expected = column.type
    if token == ("word", "null"):
        return None
    if kind == "text" and (expected in TEXTUAL or expected is ColumnType.MULTISELECT):
        return _unquote(literal)
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
    raise errors.bad_request(
        f"A binary operator with incompatible types was detected: '{column.wire_name}' is {EDM[expected]}."
    )
