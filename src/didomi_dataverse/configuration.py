"""Configuration file and environment → settings and mapping, or every problem at once."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from didomi_dataverse.config_document import Document, KeyPath, Node, near, read_document
from didomi_dataverse.config_environment import read_text_file
from didomi_dataverse.errors import ConfigurationError, Problem
from didomi_dataverse.mapping import schema
from didomi_dataverse.mapping.load import load_mapping
from didomi_dataverse.setting_values import LOOPBACK_HOSTS
from didomi_dataverse.settings import Settings

MIN_SECRET_CHARACTERS = 16
LONGEST_DATAVERSE_CALL = timedelta(seconds=120)
_KNOWN_SUFFIXES = (".dynamics.com", ".microsoftdynamics.us", ".appsplatform.us", ".dynamics.cn")
_MAX_QUOTED_CHARACTERS = 60
_UNREAD = "unread"
_KNOWN_REGULATIONS = frozenset({"gdpr", "cpra", "cpa", "ctdpa", "vcdpa"})
"""didomi.md 1.10. Others are possible, so an unknown one is only a reason to look twice."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything an operator configures. `warnings` are worth a line in the log and stop nothing."""

    settings: Settings
    mapping: schema.Mapping
    warnings: tuple[Problem, ...] = ()


def load_configuration(path: Path, environ: Mapping[str, str]) -> Configuration:
    """Read a configuration file. Raises ConfigurationError with everything wrong with it."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        problem = Problem(str(path), None, "", f"cannot be read ({error.strerror}).", "Name it by --config.")
        raise ConfigurationError((problem,)) from error
    document = read_document(raw, str(path), environ, existing_only=("mapping",))
    if not document.root:
        raise ConfigurationError(document.problems)
    settings, settings_problems = read_settings(document)
    mapping, mapping_problems = load_mapping(document, reserved=_reserved_columns(document))
    broken = {problem.key for problem in document.problems}
    # A value that could not be read is wrong once, not once more for what it is not.
    later = (problem for problem in (*settings_problems, *mapping_problems) if problem.key not in broken)
    problems = (*document.problems, *later)
    if problems or settings is None:
        raise ConfigurationError(
            tuple(sorted(problems, key=lambda problem: (problem.line or 0, problem.key)))
        )
    return Configuration(settings, mapping, tuple(_warnings(document, settings, mapping)))


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


def _reserved_columns(document: Document) -> dict[str, str]:
    """Columns that the mapping must not write, read without regard to whether the settings are right."""
    reserved = {"contactid": "which is the row's own id"}
    contact = document.root.get("contact")
    if isinstance(contact, dict):
        on_create, match = contact.get("on_create"), contact.get("match")
        if isinstance(on_create, dict):
            reserved |= dict.fromkeys(on_create, "which contact.on_create writes already")
        for key in ("alternate_key", "column"):
            column = match.get(key) if isinstance(match, dict) else None
            if isinstance(column, str):
                # dataverse.md 2.2: a key cannot be changed through itself, and wins over the key when
                # creating.
                reserved[column] = f"which contact.match.{key} matches by"
    return reserved


def _warnings(document: Document, settings: Settings, mapping: schema.Mapping) -> Iterator[Problem]:
    for regulation in sorted(schema.mapped_regulations(mapping) - _KNOWN_REGULATIONS):
        meant = difflib.get_close_matches(regulation, sorted(_KNOWN_REGULATIONS), n=1)
        if meant:
            advice = f"Did you mean `{meant[0]}`? Notifications of that regulation are skipped as it is."
            yield document.problem(("mapping", regulation), "is no regulation known so far.", advice)
    dataverse, match = settings.dataverse, settings.contact.match
    host = urlsplit(dataverse.url).hostname or ""
    if not host.endswith(_KNOWN_SUFFIXES) and host not in LOOPBACK_HOSTS:
        # dataverse.md 1.1: new regions appear, so this cannot be an error.
        yield document.problem(
            ("dataverse", "url"), "does not end like an address of Dataverse.", "Check it."
        )
    if dataverse.read_timeout < LONGEST_DATAVERSE_CALL:
        advice = "Calls that Dataverse still completes are then sent again (dataverse.md 3.5)."
        yield document.problem(
            ("dataverse", "read_timeout"), "is shorter than Dataverse may take (120s).", advice
        )
    if match.alternate_key is not None and match.alternate_key.startswith("emailaddress"):
        # dataverse.md 1.4: values that a key URL cannot carry take the filter path, so this works, but
        # slowly.
        advice = "A column of your own that holds the Didomi organization user id is faster."
        message = (
            "is an e-mail column: addresses with characters that no key URL can carry are looked up first."
        )
        yield document.problem(("contact", "match", "alternate_key"), message, advice)
    if match.column is not None and settings.contact.upsert:
        message = (
            "creates rows matched by a column without an alternate key: somebody else may create the same."
        )
        yield document.problem(("contact", "upsert"), message, "Prefer `match: { alternate_key: ... }`.")
    auth = settings.didomi.auth
    shared = {
        ("didomi", "auth", "oauth", "client_secret"): auth.oauth.client_secret if auth.oauth else (),
        ("didomi", "auth", "header", "value"): auth.header.value if auth.header else (),
    }
    for path, secrets in shared.items():
        if any(len(secret.get_secret_value()) < MIN_SECRET_CHARACTERS for secret in secrets):
            advice = f"Use at least {MIN_SECRET_CHARACTERS} random characters."
            yield document.problem(path, "is short enough to be guessed.", advice)
