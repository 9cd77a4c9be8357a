"""The configuration file as it was written: every value as text, and where each of them stands.

Every scalar stays text until the setting that takes it says what it is. YAML's own guesses would turn a
Didomi id `no` into false, a secret `12345678` into a number and `0123` into 83; only `typed` keeps them,
for the few values whose type nothing else decides.

Three things come from the environment: `${NAME}` inside a value, the file that `NAME_FILE` names where
`NAME` is not set, and whole values by `DIDOMI_DATAVERSE__SECTION__KEY`. None of them is ever repeated in a
problem's text.
"""

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import yaml

from didomi_dataverse.config.environment import OVERRIDE_ADVICE, Override, interpolated, overrides_of
from didomi_dataverse.errors import Problem

KeyPath = tuple[str | int, ...]
"""The keys (and list positions) that lead to a value."""

Node = str | None | list["Node"] | dict[str, "Node"]
"""A value as written: text, nothing, a list or a section."""

Typed = str | int | float | bool | None

MAX_FILE_BYTES = 1024 * 1024
MAX_VALUES = 50_000
"""Values a document may hold once its aliases are written out: a few lines of YAML can stand for billions."""

_WRITTEN_REFERENCE = re.compile(r"\$\{([^{}\n]*)\}")
_SHIELDED_REFERENCE = re.compile("\\$\ue000([^\ue000\ue001]*)\ue001")
_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(
    _TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp", "value", "merge")
)


@dataclass(frozen=True, slots=True)
class Document:
    """A configuration file with its overrides applied.

    `lines` holds the 1-based line of every key and list element of the file. `overrides` names the
    environment variable that set a value as a whole, `references` those that a value quotes. `typed` holds
    what YAML takes a scalar for where that is not its text.
    """

    file: str
    root: dict[str, Node] = field(default_factory=dict)
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    typed: Mapping[KeyPath, Typed] = field(default_factory=dict)
    overrides: Mapping[KeyPath, str] = field(default_factory=dict)
    references: Mapping[KeyPath, tuple[str, ...]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def problem(self, path: KeyPath, message: str, advice: str = "") -> Problem:
        """A problem at `path`: at its line, or at that of the nearest section above if it is not written."""
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
        return Problem(self.file, line, dotted(path), message, advice)

    def quotable(self, path: KeyPath) -> str | None:
        """The value at `path` for an error text: None unless it is text that stands in the file itself."""
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


def dotted(path: KeyPath) -> str:
    """A path as people write it, e.g. `didomi.auth.allowed_addresses.0`."""
    return ".".join(str(key) for key in path)


def read_document(
    raw: bytes, file: str, environ: Mapping[str, str], *, existing_only: Collection[str] = ()
) -> Document:
    """Read a configuration file. Never raises for what it holds: what is wrong is in `problems`.

    Sections named in `existing_only` have keys that only the file knows, so that an override there must name
    one that it holds; elsewhere whoever knows the keys must judge (config.example.yaml).
    """
    reader = _Reader(file, environ)
    root = reader.read_file(raw)
    if root is not None:
        reader.apply_overrides(root, existing_only)
    return Document(
        file=file,
        root=root or {},
        lines=reader.lines,
        typed=reader.typed,
        overrides=reader.overrides,
        references=reader.references,
        problems=reader.problems,
    )


def near(key: str, known: Collection[str]) -> str:
    """What may have been meant by a key, as advice."""
    close = difflib.get_close_matches(key.lower(), sorted(known), n=1)
    return f"Did you mean `{close[0]}`?" if close else f"Keys: {', '.join(sorted(known))}."


class _EndlessError(Exception):
    """A value that aliases make endless, or as good as endless."""

    def __init__(self, path: KeyPath) -> None:
        super().__init__(path)
        self.path = path


class _Reader:
    """Builds one document. Its lists and maps grow while it reads."""

    def __init__(self, file: str, environ: Mapping[str, str]) -> None:
        self._file = file
        self._environ = environ
        self._values_left = MAX_VALUES
        self._open: set[int] = set()
        self._in_file = True
        self.lines: dict[KeyPath, int] = {}
        self.typed: dict[KeyPath, Typed] = {}
        self.overrides: dict[KeyPath, str] = {}
        self.references: dict[KeyPath, tuple[str, ...]] = {}
        self._found: list[tuple[KeyPath, Problem]] = []

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything wrong with what is left after the overrides."""
        return tuple(problem for _, problem in self._found)

    def read_file(self, raw: bytes) -> dict[str, Node] | None:
        """The file's root section, None if there is nothing to go on with."""
        if len(raw) > MAX_FILE_BYTES:
            self._report((), f"is larger than {MAX_FILE_BYTES} bytes, which no configuration needs to be.")
            return None
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line: int | None = raw.count(b"\n", 0, error.start) + 1
            self._report((), "is not UTF-8 text.", "Save the file as UTF-8.", line=line)
            return None
        try:
            # In `{ key: ${NAME} }` YAML would take the inner braces for its own: they are shielded while it
            # parses.
            shielded = _WRITTEN_REFERENCE.sub("$\ue000\\1\ue001", text)
            node = yaml.SafeLoader(shielded).get_single_node()
            root = None if node is None else self._built(node, ())
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            self._report((), "holds a control character, which YAML does not allow.", line=line)
            return None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._report((), *_yaml_trouble(error), line=None if mark is None else mark.line + 1)
            return None
        except _EndlessError as error:
            advice = "Write the values out instead of repeating them by `*name`."
            line = self.lines.get(error.path)
            self._report(
                error.path, f"holds itself, or stands for more than {MAX_VALUES} values.", advice, line=line
            )
            return None
        except RecursionError:
            self._report((), "is nested too deeply.")
            return None
        if root is None:
            self._report((), "is empty.", "Start from config.example.yaml.")
            return None
        if not isinstance(root, dict):
            self._report(
                (), "must hold sections (`dataverse:`, `contact:`, ...), not a list or text.", line=1
            )
            return None
        return root

    def apply_overrides(self, root: dict[str, Node], existing_only: Collection[str]) -> None:
        """Put every DIDOMI_DATAVERSE__SECTION__KEY of the environment in its place."""
        self._in_file = False
        seen: dict[KeyPath, str] = {}
        for override in overrides_of(self._environ):
            keys, name = override.keys, override.variable
            if not all(keys):
                self._report((), f"The environment variable {name} names no key.", OVERRIDE_ADVICE)
            elif keys in seen:
                self._report(keys, f"is set by two environment variables, {seen[keys]} and {name}.")
            else:
                seen[keys] = name
                self._override(root, override, existing_only)

    def _override(self, root: dict[str, Node], override: Override, existing_only: Collection[str]) -> None:
        keys, name = override.keys, override.variable
        section = root
        path: KeyPath = ()
        for position, key in enumerate(keys):
            found = next((known for known in section if known.lower() == key), None)
            if found is None and keys[0] in existing_only:
                text = f"The environment variable {name} overrides a key that the file does not hold."
                self._report(keys[: position + 1], text, f"Correct {name}, or write the key in the file.")
                return
            path = (*path, found or key)
            if position < len(keys) - 1:
                below = section.get(found or key)
                if below is None:
                    below = section[found or key] = {}
                if not isinstance(below, dict):
                    text = f"is no section, so that the environment variable {name} cannot set a key in it."
                    self._report(path, text, OVERRIDE_ADVICE)
                    return
                section = below
        self._forget(path)
        self.overrides[path] = name
        section[str(path[-1])] = self._override_value(override.text, path)

    def _forget(self, path: KeyPath) -> None:
        """Drops what is known of a value of the file that the environment replaces, its problems included."""
        for table in (self.lines, self.typed, self.references):
            for below in [below for below in table if below[: len(path)] == path]:
                del table[below]
        self._found = [(at, problem) for at, problem in self._found if at[: len(path)] != path]

    def _override_value(self, text: str, path: KeyPath) -> Node:
        # Lists and sections are YAML; anything else is taken to the letter: a secret may hold `#`, `:` or
        # quotes.
        if text.lstrip()[:1] in ("[", "{"):
            try:
                node = yaml.SafeLoader(text).get_single_node()
                if isinstance(node, yaml.CollectionNode):
                    return self._built(node, path)
            except (yaml.YAMLError, _EndlessError, RecursionError):
                # Not YAML after all: whoever takes the value judges the text.
                self.typed.pop(path, None)
        tag = yaml.SafeLoader("").resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        return self._scalar(yaml.ScalarNode(tag, text), path)

    def _built(self, node: yaml.Node, path: KeyPath) -> Node:
        if self._in_file:
            self.lines.setdefault(path, node.start_mark.line + 1)
        self._values_left -= 1
        if self._values_left < 0 or id(node) in self._open:
            raise _EndlessError(path)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if node.tag not in (_TAG + "map", _TAG + "seq"):
            self._tagged(path)
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self._built(element, (*path, index)) for index, element in enumerate(node.value)]
            return self._section(node, path)
        finally:
            self._open.remove(id(node))

    def _section(self, node: yaml.Node, path: KeyPath) -> dict[str, Node]:
        section: dict[str, Node] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._report(path, "has a key that is a list or a section.", line=line)
                continue
            key = _unshielded(key_node.value)
            below = (*path, key)
            if key_node.tag == _TAG + "merge":
                advice = "Repeat the keys, or give whole values by `&name` and `*name`."
                self._report(below, "Merge keys are not supported.", advice, line=line)
                continue
            if key in section:
                first = self.lines.get(below)
                where = "" if first is None else f", first in line {first}"
                self._report(below, f"is written twice{where}.", "Keep one of them.", line=line)
                continue
            if self._in_file:
                self.lines[below] = line
            section[key] = self._built(value_node, below)
        return section

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Node:
        if node.tag not in _PLAIN_TAGS:
            self._tagged(path)
            return None
        if node.tag == _TAG + "null":
            return None
        text = self._interpolated(_unshielded(node.value), path) if self._in_file else node.value
        # `12:30` is a number to YAML 1.1 (base 60), and to nobody else.
        if node.tag[len(_TAG) :] in ("int", "float", "bool") and ":" not in text:
            try:
                self.typed[path] = yaml.SafeLoader("").construct_object(node)
            except ValueError:
                self.typed.pop(path, None)
        return str(text)

    def _tagged(self, path: KeyPath) -> None:
        message = "carries a YAML tag (`!...`), which has no meaning here."
        self._report(path, message, "Put text that begins with `!` in quotes.", line=self.lines.get(path))

    def _interpolated(self, text: str, path: KeyPath) -> str:
        filled = interpolated(text, self._environ)
        for trouble, advice in filled.troubles:
            self._report(path, trouble, advice, line=self.lines.get(path))
        if filled.variables:
            self.references[path] = filled.variables
        return filled.text

    def _report(self, path: KeyPath, message: str, advice: str = "", *, line: int | None = None) -> None:
        if not self._in_file:
            line = None
            set_by = next((name for at, name in self.overrides.items() if at == path[: len(at)]), None)
            if set_by is not None:
                message = f"{message} The value comes from the environment: {set_by}."
        self._found.append((path, Problem(self._file, line, dotted(path), message, advice)))


def _yaml_trouble(error: yaml.MarkedYAMLError) -> tuple[str, str]:
    """What PyYAML found, without the names it quotes: one of them may be a secret that needed quotes."""
    problem = error.problem or "cannot be read"
    advice = "Put values that hold `: `, `#`, or begin with one of `&*!%@[{` in quotes."
    if "'\\t'" in problem:
        advice = "Indent with spaces; YAML does not allow tabs there."
    told = re.sub(r"'[^']*'", lambda quoted: quoted[0] if len(quoted[0]) == 3 else "something", problem)
    return f"is not valid YAML: {_unshielded(told)}.", advice


def _unshielded(text: str) -> str:
    return _SHIELDED_REFERENCE.sub(r"${\1}", text)
