"""Query options over metadata: `$select`, `$expand`, and `$filter` with `eq ne and or` and brackets."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dataverse_sandbox import errors
from dataverse_sandbox.web_api.query import QueryOptions

Document = Mapping[str, object]
Predicate = Callable[[Document], bool]
_COMPARISON = re.compile(
    r"\s*(?P<path>[A-Za-z_][\w/]*)\s+(?P<operator>eq|ne)\s+"
    r"(?:(?:Microsoft\.Dynamics\.CRM\.\w+)?'(?P<text>(?:[^']|'')*)'|(?P<word>@?[\w-]+))\s*"
)
_CONJUNCTION = re.compile(r"\s*(and|or)\b")
_OPENING = re.compile(r"\s*\(")
_CLOSING = re.compile(r"\s*\)")
_EXPANSION = re.compile(r"\s*(\w+)\s*(?:\(([^()]*)\))?\s*(?:,|$)")
_WORDS: Mapping[str, object] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Expansion:
    """One name of `$expand`, with the options in its brackets."""

    name: str
    options: QueryOptions


def select(document: Document, options: QueryOptions, known: Sequence[str]) -> dict[str, object]:
    """The document narrowed by `$select`. Raises 400 for a name that the type does not have."""
    text = options.system.get("$select")
    if text is None:
        return dict(document)
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise errors.unknown_property(name)
    always = ("@odata.type", "MetadataId")
    return {name: document[name] for name in dict.fromkeys([*always, *names]) if name in document}


def filter_documents(documents: Sequence[Document], options: QueryOptions) -> list[Document]:
    """The documents that pass `$filter`. Raises 400.

    >>> filter_documents([{"A": 1}, {"A": True}], QueryOptions({"$filter": "A eq true"}))[-1]
    {'A': True}
    """
    text = options.system.get("$filter")
    if text is None:
        return list(documents)
    matches = _parse_filter(text, options.aliases)
    return [document for document in documents if matches(document)]


def parse_expansions(options: QueryOptions) -> list[Expansion]:
    """The names of `$expand`; the options in brackets are separated by semicolons. Raises 400.

    >>> expansion, = parse_expansions(QueryOptions({"$expand": "Keys($select=A)"}))
    >>> expansion.name, expansion.options.system
    ('Keys', {'$select': 'A'})
    """
    text = options.system.get("$expand")
    if not text:
        return []
    found, position = [], 0
    while position < len(text):
        piece = _EXPANSION.match(text, position)
        if piece is None or piece.end() == position:
            raise errors.query_syntax_error("'$expand' cannot be read.")
        inner = dict(option.strip().partition("=")[::2] for option in (piece[2] or "").split(";") if option)
        found.append(Expansion(piece[1], QueryOptions(inner, options.aliases)))
        position = piece.end()
    return found


def _parse_filter(text: str, aliases: Mapping[str, str]) -> Predicate:
    matches, position = _parse_alternatives(text, 0, aliases)
    if text[position:].strip():
        raise errors.query_syntax_error("The filter goes on where it should end.")
    return matches


def _parse_alternatives(text: str, position: int, aliases: Mapping[str, str]) -> tuple[Predicate, int]:
    """(predicate, position after it), up to the end or a closing bracket; `and` binds closer than `or`."""
    alternatives: list[list[Predicate]] = [[]]
    conjunction = "and"
    while conjunction:
        term, position = _parse_term(text, position, aliases)
        if conjunction == "or":
            alternatives.append([])
        alternatives[-1].append(term)
        following = _CONJUNCTION.match(text, position)
        conjunction = following[1] if following else ""
        position = following.end() if following else position
    return (
        lambda document: any(all(term(document) for term in terms) for terms in alternatives),
        position,
    )


def _parse_term(text: str, position: int, aliases: Mapping[str, str]) -> tuple[Predicate, int]:
    comparison = _COMPARISON.match(text, position)
    if comparison is not None:
        return _comparison(comparison, aliases), comparison.end()
    opening = _OPENING.match(text, position)
    if opening is None:
        raise errors.query_syntax_error("The filter cannot be read.")
    inner, position = _parse_alternatives(text, opening.end(), aliases)
    closing = _CLOSING.match(text, position)
    if closing is None:
        raise errors.query_syntax_error("A bracket of the filter is not closed.")
    return inner, closing.end()


def _comparison(found: re.Match[str], aliases: Mapping[str, str]) -> Predicate:
    path = found["path"].split("/")
    wanted = _literal_value(found, aliases)
    if found["operator"] == "eq":
        return lambda document: _property_value(document, path) == wanted
    return lambda document: _property_value(document, path) != wanted


def _literal_value(found: re.Match[str], aliases: Mapping[str, str]) -> object:
    if found["text"] is not None:
        return str(found["text"]).replace("''", "'")
    word = str(found["word"])
    literal = aliases.get(word, word)
    if literal.startswith("'"):
        return literal[1:-1].replace("''", "'")
    return _WORDS.get(literal, literal)


def _property_value(document: object, path: Sequence[str]) -> object:
    """The value at a path of property names. Raises 400 for an unknown one."""
    for name in path:
        if not isinstance(document, Mapping):
            raise errors.query_syntax_error(f"'{'/'.join(path)}' leads nowhere.")
        if name not in document:
            raise errors.unknown_property(name)
        document = document[name]
    return document
