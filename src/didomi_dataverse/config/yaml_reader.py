"""A configuration file and its environment → a `Document`.

Every scalar stays text until the setting that takes it decides its type. YAML's own guesses would turn a
Didomi id `no` into false, a secret `12345678` into a number and `0123` into 83. `Document.typed` keeps the
guesses, for the few values whose type only YAML can tell.

Three things come from the environment: `${NAME}` inside a value, the file that `NAME_FILE` names where
`NAME` is not set, and whole values by `DIDOMI_DATAVERSE__SECTION__KEY`. The text of a problem never repeats
their values.
"""

import re
from collections.abc import Collection, Mapping

import yaml

from didomi_dataverse.config.document import Document, JsonScalar, KeyPath, Node, dotted_path
from didomi_dataverse.config.environment import OVERRIDE_ADVICE, Override, find_overrides, interpolate
from didomi_dataverse.errors import Problem

MAX_FILE_BYTES = 1024 * 1024
"""Larger files are refused. Too small: a mapping of thousands of columns does not fit. Too large: a wrong
file, such as a database, is parsed before it is refused."""

MAX_VALUES = 50_000
"""Values of a document with its aliases written out: a few lines of YAML can stand for billions. Too small: a
large mapping does not fit. Too large: such a file takes long, and much memory."""

# In `{ key: ${NAME} }` YAML would take the inner braces for its own. These private characters replace them
# while it parses.
_WRITTEN_REFERENCE = re.compile(r"\$\{([^{}\n]*)\}")
_SHIELDED_REFERENCE = re.compile("\\$\ue000([^\ue000\ue001]*)\ue001")
_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(
    _TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp", "value", "merge")
)


def read_document(
    raw: bytes, file: str, environ: Mapping[str, str], *, existing_only: Collection[str] = ()
) -> Document:
    """Read a configuration file. Never raises for its content: `Document.problems` says what is wrong.

    `file` is its path, for messages. In the sections named by `existing_only` an override must name a key
    that the file contains, because only the file knows their keys. In other sections the parser of the
    section refuses unknown keys.
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


class _EndlessError(Exception):
    """A value that aliases make endless, or too large to write out."""

    def __init__(self, path: KeyPath) -> None:
        super().__init__(path)
        self.path = path


class _Reader:
    """Builds one document. Its lists and maps grow while it reads. What they hold: see `Document`."""

    def __init__(self, file: str, environ: Mapping[str, str]) -> None:
        self._file = file
        self._environ = environ
        self._values_left = MAX_VALUES
        # The nodes that are being built, by identity: a node below itself would never end.
        self._ancestors: set[int] = set()
        # False once the file is read: the overrides have no lines, and no references.
        self._in_file = True
        self.lines: dict[KeyPath, int] = {}
        self.typed: dict[KeyPath, JsonScalar] = {}
        self.overrides: dict[KeyPath, str] = {}
        self.references: dict[KeyPath, tuple[str, ...]] = {}
        self._found: list[tuple[KeyPath, Problem]] = []

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything wrong with the values that no override replaced."""
        return tuple(problem for _, problem in self._found)

    def read_file(self, raw: bytes) -> dict[str, Node] | None:
        """The file's root section. None if the file cannot be used at all."""
        if len(raw) > MAX_FILE_BYTES:
            self._report((), f"is larger than {MAX_FILE_BYTES} bytes, the limit for a configuration file.")
            return None
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line: int | None = raw.count(b"\n", 0, error.start) + 1
            self._report((), "is not UTF-8 text.", "Save the file as UTF-8.", line=line)
            return None
        try:
            shielded = _WRITTEN_REFERENCE.sub("$\ue000\\1\ue001", text)
            node = yaml.SafeLoader(shielded).get_single_node()
            root = None if node is None else self._build(node, ())
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            self._report((), "contains a control character, which YAML does not allow.", line=line)
            return None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._report((), *_describe_yaml_error(error), line=None if mark is None else mark.line + 1)
            return None
        except _EndlessError as error:
            advice = "Write the values out instead of repeating them with `*name`."
            line = self.lines.get(error.path)
            self._report(
                error.path,
                f"contains itself, or expands to more than {MAX_VALUES} values.",
                advice,
                line=line,
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
                (), "must contain sections (`dataverse:`, `contact:`, ...), not a list or text.", line=1
            )
            return None
        return root

    def apply_overrides(self, root: dict[str, Node], existing_only: Collection[str]) -> None:
        """Replace values of `root` by those of DIDOMI_DATAVERSE__SECTION__KEY in the environment."""
        self._in_file = False
        seen: dict[KeyPath, str] = {}
        for override in find_overrides(self._environ):
            keys, name = override.keys, override.variable
            if not all(keys):
                self._report((), f"The environment variable {name} does not name a key.", OVERRIDE_ADVICE)
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
                text = f"The environment variable {name} overrides a key that the file does not contain."
                self._report(keys[: position + 1], text, f"Correct {name}, or add the key to the file.")
                return
            path = (*path, found or key)
            if position < len(keys) - 1:
                below = section.get(found or key)
                if below is None:
                    below = section[found or key] = {}
                if not isinstance(below, dict):
                    text = f"is not a section, so the environment variable {name} cannot set a key in it."
                    self._report(path, text, OVERRIDE_ADVICE)
                    return
                section = below
        self._forget(path)
        self.overrides[path] = name
        section[str(path[-1])] = self._override_value(override.text, path)

    def _forget(self, path: KeyPath) -> None:
        """Drop what is known of a value that the environment replaces, its problems included."""
        for table in (self.lines, self.typed, self.references):
            for below in [below for below in table if below[: len(path)] == path]:
                del table[below]
        self._found = [(at, problem) for at, problem in self._found if at[: len(path)] != path]

    def _override_value(self, text: str, path: KeyPath) -> Node:
        # Lists and sections are YAML. Anything else is taken literally: a secret may contain `#`, `:` or
        # quotes.
        if text.lstrip()[:1] in ("[", "{"):
            try:
                node = yaml.SafeLoader(text).get_single_node()
                if isinstance(node, yaml.CollectionNode):
                    return self._build(node, path)
            except (yaml.YAMLError, _EndlessError, RecursionError):
                # Not YAML after all: the setting that takes the value checks the text.
                self.typed.pop(path, None)
        tag = yaml.SafeLoader("").resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        return self._scalar(yaml.ScalarNode(tag, text), path)

    def _build(self, node: yaml.Node, path: KeyPath) -> Node:
        if self._in_file:
            self.lines.setdefault(path, node.start_mark.line + 1)
        self._values_left -= 1
        if self._values_left < 0 or id(node) in self._ancestors:
            raise _EndlessError(path)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if node.tag not in (_TAG + "map", _TAG + "seq"):
            self._refuse_tag(path)
            return None
        self._ancestors.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self._build(element, (*path, index)) for index, element in enumerate(node.value)]
            return self._section(node, path)
        finally:
            self._ancestors.remove(id(node))

    def _section(self, node: yaml.Node, path: KeyPath) -> dict[str, Node]:
        section: dict[str, Node] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._report(path, "has a key that is a list or a section.", line=line)
                continue
            key = _unshield(key_node.value)
            below = (*path, key)
            if key_node.tag == _TAG + "merge":
                advice = "Write the keys out, or repeat whole values with `&name` and `*name`."
                self._report(below, "Merge keys are not supported.", advice, line=line)
                continue
            if key in section:
                first = self.lines.get(below)
                where = "" if first is None else f", first on line {first}"
                self._report(below, f"is written twice{where}.", "Keep one of them.", line=line)
                continue
            if self._in_file:
                self.lines[below] = line
            section[key] = self._build(value_node, below)
        return section

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Node:
        if node.tag not in _PLAIN_TAGS:
            self._refuse_tag(path)
            return None
        if node.tag == _TAG + "null":
            return None
        text = self._interpolate(_unshield(node.value), path) if self._in_file else node.value
        # YAML 1.1 takes `12:30` for a number in base 60. People mean a time.
        if node.tag[len(_TAG) :] in ("int", "float", "bool") and ":" not in text:
            try:
                self.typed[path] = yaml.SafeLoader("").construct_object(node)
            except ValueError:
                self.typed.pop(path, None)
        return str(text)

    def _refuse_tag(self, path: KeyPath) -> None:
        message = "has a YAML tag (`!...`), which is not supported here."
        self._report(path, message, "Put text that begins with `!` in quotes.", line=self.lines.get(path))

    def _interpolate(self, text: str, path: KeyPath) -> str:
        filled = interpolate(text, self._environ)
        for mistake in filled.mistakes:
            self._report(path, mistake.message, mistake.advice, line=self.lines.get(path))
        if filled.variables:
            self.references[path] = filled.variables
        return filled.text

    def _report(self, path: KeyPath, message: str, advice: str = "", *, line: int | None = None) -> None:
        if not self._in_file:
            line = None
            set_by = next((name for at, name in self.overrides.items() if at == path[: len(at)]), None)
            if set_by is not None:
                message = f"{message} The value comes from the environment: {set_by}."
        self._found.append((path, Problem(self._file, line, dotted_path(path), message, advice)))


def _describe_yaml_error(error: yaml.MarkedYAMLError) -> tuple[str, str]:
    """Message and advice, without the names that PyYAML quotes: one may be a secret that needed quotes."""
    problem = error.problem or "cannot be read"
    advice = "Put values that contain `: ` or ` #`, or begin with one of `&*!%@[{`, in quotes."
    if "'\\t'" in problem:
        advice = "Indent with spaces: YAML does not allow tabs there."
    unquoted = re.sub(r"'[^']*'", lambda quoted: quoted[0] if len(quoted[0]) == 3 else "something", problem)
    return f"is not valid YAML: {_unshield(unquoted)}.", advice


def _unshield(text: str) -> str:
    return _SHIELDED_REFERENCE.sub(r"${\1}", text)
