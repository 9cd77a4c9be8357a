"""A section of the document as settings, and pydantic's errors in the words of the file."""

from collections.abc import Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from didomi_dataverse.config.document import Document, KeyPath, Node, near
from didomi_dataverse.config.environment import read_text_file
from didomi_dataverse.config.settings import Settings
from didomi_dataverse.errors import Problem

_MAX_QUOTED_CHARACTERS = 60


_UNREAD = "unread"


def read_settings(document: Document) -> tuple[Settings | None, tuple[Problem, ...]]:
    """The settings of a document (without `mapping`), or None and everything wrong with them."""
    written = {key: node for key, node in document.root.items() if key != "mapping"}
    problems: list[Problem] = []
    prepared = _prepared(document, (), written, Settings, problems)
    try:
        return Settings.model_validate(prepared), tuple(problems)
    except ValidationError as error:
        unread = {problem.key for problem in problems}
        translated = (
            _translated(document, details) for details in error.errors(include_url=False, include_input=False)
        )
        problems += [problem for problem in translated if problem is not None and problem.key not in unread]
        return None, tuple(problems)


def _prepared(
    document: Document,
    path: KeyPath,
    section: Mapping[str, Node],
    model: type[BaseModel],
    problems: list[Problem],
) -> dict[str, object]:
    """A section as pydantic is to see it: nothing where nothing is written, secrets read from their files."""
    prepared: dict[str, object] = {}
    for key, node in section.items():
        below = (*path, key)
        field = model.model_fields.get(key)
        secret = None if field is not None else model.model_fields.get(key.removesuffix("_file"))
        nested = None if field is None else _model_of(field)
        if node is None:
            continue
        if secret is not None and key.endswith("_file") and _is_secret(secret):
            stem = key.removesuffix("_file")
            if section.get(stem) is not None:
                problems.append(document.problem(below, f"stands beside `{stem}`.", "Keep one of them."))
            else:
                # A secret in any case, so that one mistake is not reported as a missing key as well.
                read = _secret_from_file(document, below, node, problems)
                prepared[stem] = _UNREAD if read is None else read
        elif nested is not None and isinstance(node, dict):
            prepared[key] = _prepared(document, below, node, nested, problems)
        elif nested is not None and isinstance(node, list):
            prepared[key] = [
                _prepared(document, (*below, place), one, nested, problems) if isinstance(one, dict) else one
                for place, one in enumerate(node)
            ]
        elif below == ("contact", "on_create") and isinstance(node, dict):
            # The only values whose type nothing but YAML decides.
            prepared[key] = {
                name: document.typed.get((*below, name), value)
                for name, value in node.items()
                if value is not None
            }
        else:
            prepared[key] = node
    return prepared


def _secret_from_file(
    document: Document, path: KeyPath, node: Node, problems: list[Problem]
) -> str | list[str] | None:
    files = node if isinstance(node, list) else [node]
    secrets: list[str] = []
    for file in files:
        if not isinstance(file, str):
            problems.append(document.problem(path, "must be the path of a file."))
            return None
        try:
            secrets.append(read_text_file(file))
        except ValueError as error:
            problems.append(document.problem(path, str(error), "Correct the path or its permissions."))
            return None
    return secrets if isinstance(node, list) else secrets[0]


def _translated(document: Document, error: ErrorDetails) -> Problem | None:
    """A pydantic error in the words of the file. None for one that only follows from another."""
    path = tuple(error["loc"])
    context: Mapping[str, Any] = error.get("ctx", {})
    if path and path[-1] == "[key]":
        return document.problem(
            path[:-1], f"{context['error']}." if "error" in context else "is no such key."
        )
    model, field = _place(path)
    match error["type"]:
        case "default_factory_not_called":
            return None
        case "extra_forbidden":
            advice = near(str(path[-1]), _keys_of(model))
            return document.problem(path, "is not a key of this section.", advice)
        case "missing":
            return document.problem(path, "is missing.", _example(path, field))
        case kind:
            message = _message(kind, context, field)
    if kind in _NO_SECTION:
        return document.problem(path, f"{message}.")
    quoted = None if field is None or not field.repr or _is_secret(field) else document.quotable(path)
    if quoted is not None and len(quoted) <= _MAX_QUOTED_CHARACTERS and quoted.isprintable():
        message = f"{message}, not `{quoted}`"
    return document.problem(path, f"{message}.", _example(path, field) if quoted is not None else "")


_MESSAGES: Mapping[str, str] = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number",
    "int_type": "must be a whole number",
    "string_pattern_mismatch": "holds a character that is not allowed there",
    "string_too_short": "is empty",
    "string_type": "must be text",
    "too_short": "needs at least one value",
    "tuple_type": "must be a value or a list of values",
}


_NO_SECTION = frozenset({"dict_type", "mapping_type", "model_attributes_type", "model_type"})


def _message(kind: str, context: Mapping[str, Any], field: FieldInfo | None) -> str:
    if kind in _MESSAGES:
        return _MESSAGES[kind]
    if kind in _NO_SECTION:
        nested = None if field is None else _model_of(field)
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
            return "is not of the kind that belongs here"


def _place(path: KeyPath) -> tuple[type[BaseModel], FieldInfo | None]:
    """The section that holds the last key of `path`, and the key's field if it is known."""
    model: type[BaseModel] = Settings
    field: FieldInfo | None = None
    for key in path:
        if not isinstance(key, str):
            continue
        below = None if field is None else _model_of(field)
        if field is not None and below is None:
            break
        model = below or model
        field = model.model_fields.get(key)
        if field is None:
            break
    return model, field


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
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


def _keys_of(model: type[BaseModel]) -> tuple[str, ...]:
    files = (f"{name}_file" for name, field in model.model_fields.items() if _is_secret(field))
    more = ("mapping",) if model is Settings else ()
    return (*model.model_fields, *more, *files)


def _example(path: KeyPath, field: FieldInfo | None) -> str:
    if field is None:
        return ""
    key = path[-1]
    if field.examples:
        return f"For example `{key}: {field.examples[0]}`."
    if _is_secret(field):
        return f"Write `{key}: ${{NAME_OF_A_VARIABLE}}`, or `{key}_file: <path>`."
    nested = _model_of(field)
    return "" if nested is None else f"It holds {', '.join(nested.model_fields)}."
