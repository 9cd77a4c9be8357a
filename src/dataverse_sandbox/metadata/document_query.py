"""Query options over metadata: `$select`, `$expand`, and `$filter` with `eq ne and or` and brackets."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dataverse_sandbox import errors
from dataverse_sandbox.web_api.query import Options

Document = Mapping[str, object]
Predicate = Callable[[Document], bool]
_COMPARISON = re.compile(
    r"\s*(?P<path>[A-Za-z_][\w/]*)\s+(?P<operator>eq|ne)\s+"
    r"(?:(?:Microsoft\.Dynamics\.CRM\.\w+)?'(?P<text>(?:[^']|'')*)'|(?P<word>@?[\w-]+))\s*"
)
_JOINER = re.compile(r"\s*(and|or)\b")
_OPENED = re.compile(r"\s*\(")
_CLOSED = re.compile(r"\s*\)")
_EXPANSION = re.compile(r"\s*(\w+)\s*(?:\(([^()]*)\))?\s*(?:,|$)")
_WORDS: Mapping[str, object] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Expansion:
    """One name of `$expand` with the options in its brackets."""

    name: str
    options: Options


def select(document: Document, options: Options, known: Sequence[str]) -> dict[str, object]:
    """The document narrowed by `$select`. Raises 400 for a name that the type does not have."""
    text = options.system.get("$select")
    if text is None:
        return dict(document)
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise errors.no_such_property(name)
    always = ("@odata.type", "MetadataId")
    return {name: document[name] for name in dict.fromkeys([*always, *names]) if name in document}


def matching(documents: Sequence[Document], options: Options) -> list[Document]:
    """The documents that `$filter` lets through."""
    text = options.system.get("$filter")
    if text is None:
        return list(documents)
    matches = _parse(text, options.aliases)
    return [document for document in documents if matches(document)]


def expansions(options: Options) -> list[Expansion]:
    """What `$expand` asks for; the options in brackets are separated by semicolons."""
    text = options.system.get("$expand")
    if not text:
        return []
    found, position = [], 0
    while position < len(text):
        piece = _EXPANSION.match(text, position)
        if piece is None or piece.end() == position:
            raise errors.query_syntax("'$expand' cannot be read.")
        inner = dict(option.strip().partition("=")[::2] for option in (piece[2] or "").split(";") if option)
        found.append(Expansion(piece[1], Options(inner, options.aliases)))
        position = piece.end()
    return found


def _parse(text: str, aliases: Mapping[str, str]) -> Predicate:
    matches, position = _alternatives(text, 0, aliases)
    if text[position:].strip():
        raise errors.query_syntax("The filter goes on where it should end.")
    return matches


def _alternatives(text: str, position: int, aliases: Mapping[str, str]) -> tuple[Predicate, int]:
    """What stands before the end or a closing bracket, and where that is; `and` binds closer than `or`."""
    alternatives: list[list[Predicate]] = [[]]
    joiner = "and"
    while joiner:
        term, position = _term(text, position, aliases)
        if joiner == "or":
            alternatives.append([])
        alternatives[-1].append(term)
        following = _JOINER.match(text, position)
        joiner = following[1] if following else ""
        position = following.end() if following else position
    return (
        lambda document: any(all(term(document) for term in terms) for terms in alternatives),
        position,
    )


def _term(text: str, position: int, aliases: Mapping[str, str]) -> tuple[Predicate, int]:
    found = _COMPARISON.match(text, position)
    if found is not None:
        return _comparison(found, aliases), found.end()
    opened = _OPENED.match(text, position)
    if opened is None:
        raise errors.query_syntax("The filter cannot be read.")
    inner, position = _alternatives(text, opened.end(), aliases)
    closed = _CLOSED.match(text, position)
    if closed is None:
        raise errors.query_syntax("A bracket of the filter is not closed.")
    return inner, closed.end()


def _comparison(found: re.Match[str], aliases: Mapping[str, str]) -> Predicate:
    path = found["path"].split("/")
    wanted = _value(found, aliases)
    if found["operator"] == "eq":
        return lambda document: _at(document, path) == wanted
    return lambda document: _at(document, path) != wanted


def _value(found: re.Match[str], aliases: Mapping[str, str]) -> object:
    if found["text"] is not None:
        return str(found["text"]).replace("''", "'")
    word = str(found["word"])
    given = aliases.get(word, word)
    if given.startswith("'"):
        return given[1:-1].replace("''", "'")
    return _WORDS.get(given, given)


def _at(document: object, path: Sequence[str]) -> object:
    for name in path:
        if not isinstance(document, Mapping):
            raise errors.query_syntax(f"'{'/'.join(path)}' leads nowhere.")
        if name not in document:
            raise errors.no_such_property(name)
        document = document[name]
    return document
