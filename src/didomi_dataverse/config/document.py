"""A configuration file as it was written: its values as text, and the place of each. Pure."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from didomi_dataverse.errors import Problem

KeyPath = tuple[str | int, ...]
"""The keys (and list positions) that lead to a value."""

Node = str | None | list["Node"] | dict[str, "Node"]
"""A value as written: text, nothing, a list or a section."""

JsonScalar = str | int | float | bool | None
"""A scalar with a type: what YAML takes it for, and what a column can hold."""


@dataclass(frozen=True, slots=True)
class Document:
    """A configuration file with the overrides of the environment applied."""

    file: str
    """Its path, as the operator named it."""

    root: dict[str, Node] = field(default_factory=dict)
    """The whole file. Empty if it cannot be read."""

    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    """The 1-based line of every key and list element. What the environment set has none."""

    typed: Mapping[KeyPath, JsonScalar] = field(default_factory=dict)
    """The number or truth value that YAML takes a scalar for. Scalars that YAML takes for text are left
    out."""

    overrides: Mapping[KeyPath, str] = field(default_factory=dict)
    """The environment variable that set a whole value."""

    references: Mapping[KeyPath, tuple[str, ...]] = field(default_factory=dict)
    """The environment variables that a value quotes by `${NAME}`."""

    problems: tuple[Problem, ...] = ()
    """Everything wrong with the file as text: syntax, keys written twice, variables that are not set."""

    def problem(self, path: KeyPath, message: str, advice: str = "") -> Problem:
        """A problem at `path`, with its line. What is not written has the line of the nearest section above.

        A problem with a value from the environment names the variables instead.
        """
        variables = self.references.get(path, ())
        line = None
        for length in range(len(path), 0, -1):
            override = self.overrides.get(path[:length])
            if override is not None:
                variables = (override,)
                break
            line = self.lines.get(path[:length])
            if line is not None:
                break
        if variables:
            message = f"{message} The value comes from the environment: {', '.join(variables)}."
        return Problem(self.file, line, dotted_path(path), message, advice)

    def quotable_value(self, path: KeyPath) -> str | None:
        """The value at `path`, if a message may quote it. None unless it is text in the file itself: a value
        from the environment may be a secret.
        """
        if path in self.references or any(path[:length] in self.overrides for length in range(len(path) + 1)):
            return None
        node: Node = self.root
        for key in path:
            if isinstance(node, dict) and isinstance(key, str):
                node = node.get(key)
            elif isinstance(node, list) and isinstance(key, int) and key < len(node):
                node = node[key]
            else:
                return None
        return node if isinstance(node, str) else None


def dotted_path(path: KeyPath) -> str:
    """A path as people write it.

    >>> dotted_path(("didomi", "auth", "allowed_addresses", 0))
    'didomi.auth.allowed_addresses.0'
    """
    return ".".join(str(key) for key in path)


def nearest_key(key: str, known: Collection[str]) -> str | None:
    """The known key that `key` was probably meant to be. None if none is close.

    >>> nearest_key("Prot", ["host", "port"])
    'port'
    """
    close = difflib.get_close_matches(key.lower(), sorted(known), n=1)
    return close[0] if close else None


def suggest_key(key: str, known: Collection[str]) -> str:
    """Advice for an unknown key: the nearest known key, or all of them.

    >>> suggest_key("prot", ["host", "port"])
    'Did you mean `port`?'
    >>> suggest_key("colour", ["host", "port"])
    'Known keys: host, port.'
    """
    nearest = nearest_key(key, known)
    return f"Known keys: {', '.join(sorted(known))}." if nearest is None else f"Did you mean `{nearest}`?"
