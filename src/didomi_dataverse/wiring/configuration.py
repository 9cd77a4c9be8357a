"""Configuration file and environment → settings and mapping, or every problem at once."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from didomi_dataverse.config.document import Document, read_document
from didomi_dataverse.config.messages import read_settings
from didomi_dataverse.config.settings import Settings
from didomi_dataverse.config.types import LOOPBACK_HOSTS
from didomi_dataverse.errors import ConfigurationError, Problem
from didomi_dataverse.mapping import rules
from didomi_dataverse.mapping.parse import load_mapping

MIN_SECRET_CHARACTERS = 16
LONGEST_DATAVERSE_CALL = timedelta(seconds=120)
_KNOWN_SUFFIXES = (".dynamics.com", ".microsoftdynamics.us", ".appsplatform.us", ".dynamics.cn")
_KNOWN_REGULATIONS = frozenset({"gdpr", "cpra", "cpa", "ctdpa", "vcdpa"})
"""didomi.md 1.10. Others are possible, so an unknown one is only a reason to look twice."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything an operator configures. `warnings` are worth a line in the log and stop nothing."""

    settings: Settings
    mapping: rules.ColumnMapping
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


def _warnings(document: Document, settings: Settings, mapping: rules.ColumnMapping) -> Iterator[Problem]:
    for regulation in sorted(rules.mapped_regulations(mapping) - _KNOWN_REGULATIONS):
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
        advice = "Calls that Dataverse still completes are then sent again."
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
