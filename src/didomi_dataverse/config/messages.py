"""A document → settings, and pydantic's errors in the words of the file."""

from collections.abc import Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from didomi_dataverse.config.document import Document, KeyPath, Node, suggest_key
from didomi_dataverse.config.environment import read_text_file
from didomi_dataverse.config.settings import Settings
from didomi_dataverse.errors import Problem

_MAX_QUOTED_CHARACTERS = 60
"""Longer values are not quoted. Too small: the reader cannot see which value is meant. Too large: the message
is lost in it."""

_UNREAD = "unread"
"""Stands for a secret whose file cannot be read. The file is a problem, so these settings are never used."""


def read_settings(document: Document) -> tuple[Settings | None, tuple[Problem, ...]]:
    """The settings of a document, without its section `mapping`. None, and everything wrong with them, if
    there is a mistake.
    """
    written = {key: node for key, node in document.root.items() if key != "mapping"}
    problems: list[Problem] = []
    prepared = _prepare(document, (), written, Settings, problems)
    try:
        return Settings.model_validate(prepared), tuple(problems)
    except ValidationError as error:
        unread = {problem.key for problem in problems}
        translated = (
            _translate(document, details) for details in error.errors(include_url=False, include_input=False)
        )
        problems += [problem for problem in translated if problem is not None and problem.key not in unread]
        return None, tuple(problems)


def _prepare(
    document: Document,
    path: KeyPath,
    section: Mapping[str, Node],
    model: type[BaseModel],
    problems: list[Problem],
) -> dict[str, object]:
    """A section as pydantic takes it: keys without a value left out, secrets read from their files."""
    prepared: dict[str, object] = {}
    for key, node in section.items():
        below = (*path, key)
        field = model.model_fields.get(key)
        secret = None if field is not None else model.model_fields.get(key.removesuffix("_file"))
        nested = None if field is None else _section_type(field)
        if node is None:
            continue
        if secret is not None and key.endswith("_file") and _is_secret(secret):
            stem = key.removesuffix("_file")
            if section.get(stem) is not None:
                problems.append(
                    document.problem(below, f"cannot be combined with `{stem}`.", "Keep one of them.")
                )
            else:
                # Set in any case, so that one mistake is not reported as a missing key as well.
                read = _read_secret_files(document, below, node, problems)
                prepared[stem] = _UNREAD if read is None else read
        elif nested is not None and isinstance(node, dict):
            prepared[key] = _prepare(document, below, node, nested, problems)
        elif nested is not None and isinstance(node, list):
            prepared[key] = [
                _prepare(document, (*below, place), one, nested, problems) if isinstance(one, dict) else one
                for place, one in enumerate(node)
            ]
        elif below == ("contact", "on_create") and isinstance(node, dict):
            # The only values whose type only YAML can tell.
            prepared[key] = {
                name: document.typed.get((*below, name), value)
                for name, value in node.items()
                if value is not None
            }
        else:
            prepared[key] = node
    return prepared


def _read_secret_files(
    document: Document, path: KeyPath, node: Node, problems: list[Problem]
) -> str | list[str] | None:
    """The secret in a file, or those in a list of files. None, and a problem, if one cannot be read."""
    files = node if isinstance(node, list) else [node]
    secrets: list[str] = []
    for file in files:
        if not isinstance(file, str):
            problems.append(document.problem(path, "must be the path of a file."))
            return None
        try:
            secrets.append(read_text_file(file))
        except ValueError as error:
            problems.append(
                document.problem(path, str(error), "Correct the path, or the file and its permissions.")
            )
            return None
    return secrets if isinstance(node, list) else secrets[0]


def _translate(document: Document, error: ErrorDetails) -> Problem | None:
    """A pydantic error in the words of the file. None for one that only follows from another."""
    path = tuple(error["loc"])
    context: Mapping[str, Any] = error.get("ctx", {})
    if path and path[-1] == "[key]":
        return document.problem(
            path[:-1], f"{context['error']}." if "error" in context else "is not a valid key."
        )
    model, field = _find_field(path)
    match error["type"]:
        case "default_factory_not_called":
            return None
        case "extra_forbidden":
            advice = suggest_key(str(path[-1]), _known_keys(model))
            return document.problem(path, "is not a key of this section.", advice)
        case "missing":
            return document.problem(path, "is missing.", _advise(path, field))
        case kind:
            message = _message(kind, context, field)
    if kind in _NOT_A_SECTION:
        return document.problem(path, f"{message}.")
    quoted = None if field is None or not field.repr or _is_secret(field) else document.quotable_value(path)
    if quoted is not None and len(quoted) <= _MAX_QUOTED_CHARACTERS and quoted.isprintable():
        message = f"{message}, not `{quoted}`"
    return document.problem(path, f"{message}.", _advise(path, field) if quoted is not None else "")


_MESSAGES: Mapping[str, str] = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number",
    "int_type": "must be a whole number",
    "string_pattern_mismatch": "contains a character that is not allowed",
    "string_too_short": "is empty",
    "string_type": "must be text",
    "too_short": "needs at least one value",
    "tuple_type": "must be a value or a list of values",
}
"""The message for each of pydantic's types of error that needs no number."""

_NOT_A_SECTION = frozenset({"dict_type", "mapping_type", "model_attributes_type", "model_type"})


def _message(kind: str, context: Mapping[str, Any], field: FieldInfo | None) -> str:
    if kind in _MESSAGES:
        return _MESSAGES[kind]
    if kind in _NOT_A_SECTION:
        nested = None if field is None else _section_type(field)
        return (
            "must be a section"
            if nested is None
            else f"must be a section with {', '.join(nested.model_fields)}"
        )
    match kind:
        case "value_error":
            return str(context["error"])
        case "literal_error":
            return f"must be one of {context['expected']}"
        case "greater_than_equal":
            return f"must be at least {context['ge']}"
        case "less_than_equal":
            return f"must be at most {context['le']}"
        case "too_long":
            return f"takes at most {context['max_length']} values"
        case _:
            return "is not a valid value"


def _find_field(path: KeyPath) -> tuple[type[BaseModel], FieldInfo | None]:
    """The section that holds the last key of `path`, and the key's field if it is known."""
    model: type[BaseModel] = Settings
    field: FieldInfo | None = None
    for key in path:
        if not isinstance(key, str):
            continue
        below = None if field is None else _section_type(field)
        if field is not None and below is None:
            break
        model = below or model
        field = model.model_fields.get(key)
        if field is None:
            break
    return model, field


def _section_type(field: FieldInfo) -> type[BaseModel] | None:
    """The type of the section (or of each section of the list) that a key holds. None for other keys."""
    annotation = field.annotation
    origin = get_origin(annotation)
    candidates = get_args(annotation) if origin in (Union, UnionType, tuple) else (annotation,)
    return next((one for one in candidates if isinstance(one, type) and issubclass(one, BaseModel)), None)


def _is_secret(field: FieldInfo) -> bool:
    return field.annotation is SecretStr or SecretStr in _inner_types(field.annotation)


def _inner_types(annotation: object) -> set[object]:
    inner = set(get_args(annotation))
    for one in get_args(annotation):
        inner |= _inner_types(one)
    return inner


def _known_keys(model: type[BaseModel]) -> tuple[str, ...]:
    """The keys of a section, those of files of secrets included."""
    files = (f"{name}_file" for name, field in model.model_fields.items() if _is_secret(field))
    more = ("mapping",) if model is Settings else ()
    return (*model.model_fields, *more, *files)


def _advise(path: KeyPath, field: FieldInfo | None) -> str:
    """What to write for a key, as advice. Empty if the message says enough."""
    if field is None:
        return ""
    key = path[-1]
    if field.examples:
        return f"For example `{key}: {field.examples[0]}`."
    if _is_secret(field):
        return f"Write `{key}: ${{NAME_OF_A_VARIABLE}}`, or `{key}_file: <path>`."
    nested = _section_type(field)
    return "" if nested is None else f"Its keys are {', '.join(nested.model_fields)}."
