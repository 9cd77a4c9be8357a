"""Query options over metadata documents: `$select`, `$expand`, and `$filter` with `eq ne and or`."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from didomi_dataverse.sandbox import refusal
from didomi_dataverse.sandbox.query import Options

Document = Mapping[str, object]
_COMPARISON = re.compile(
    r"\s*(?P<path>[A-Za-z_][\w/]*)\s+(?P<operator>eq|ne)\s+"
    r"(?:(?:Microsoft\.Dynamics\.CRM\.\w+)?'(?P<text>(?:[^']|'')*)'|(?P<word>@?[\w-]+))\s*"
)
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
            raise refusal.no_such_property(name)
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
            raise refusal.query_syntax("'$expand' cannot be read.")
        inner = dict(option.strip().partition("=")[::2] for option in (piece[2] or "").split(";") if option)
        found.append(Expansion(piece[1], Options(inner, options.aliases)))
        position = piece.end()
    return found


def _parse(text: str, aliases: Mapping[str, str]) -> Callable[[Document], bool]:
    """`and` binds closer than `or`; no brackets."""
    alternatives: list[list[Callable[[Document], bool]]] = [[]]
    position, joiner = 0, "and"
    while joiner:
        found = _COMPARISON.match(text, position)
        if found is None:
            raise refusal.query_syntax("The filter cannot be read.")
        if joiner == "or":
            alternatives.append([])
        alternatives[-1].append(_comparison(found, aliases))
        position = found.end()
        following = re.compile(r"(and|or)\s").match(text, position)
        joiner = following[1] if following else ""
        position = following.end() if following else position
    if position != len(text):
        raise refusal.query_syntax("The filter goes on where it should end.")
    return lambda document: any(all(term(document) for term in terms) for terms in alternatives)


def _comparison(found: re.Match[str], aliases: Mapping[str, str]) -> Callable[[Document], bool]:
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
            raise refusal.query_syntax(f"'{'/'.join(path)}' leads nowhere.")
        if name not in document:
            raise refusal.no_such_property(name)
        document = document[name]
    return document
