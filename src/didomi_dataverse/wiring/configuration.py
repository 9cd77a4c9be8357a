"""Configuration file and environment → settings and mapping, or every problem at once.

The only module that knows both `config` and `mapping`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from didomi_dataverse.config.document import Document, nearest_key
from didomi_dataverse.config.messages import read_settings
from didomi_dataverse.config.settings import Auth, Contact, Dataverse, Settings
from didomi_dataverse.config.types import LOOPBACK_HOSTS
from didomi_dataverse.config.yaml_reader import read_document
from didomi_dataverse.errors import ConfigurationError, Problem
from didomi_dataverse.mapping.parse import parse_mapping
from didomi_dataverse.mapping.rules import ColumnMapping, mapped_regulations

MIN_SECRET_CHARACTERS = 16
"""Shorter secrets of callers get a warning. Too small: a secret that can be guessed passes. Too large: good
secrets get a warning."""

LONGEST_DATAVERSE_CALL = timedelta(seconds=120)
"""How long Dataverse may take for a call (dataverse.md 3.5). A shorter `read_timeout` gets a warning."""

_KNOWN_DOMAINS = (".dynamics.com", ".microsoftdynamics.us", ".appsplatform.us", ".dynamics.cn")
_KNOWN_REGULATIONS = frozenset({"gdpr", "cpra", "cpa", "ctdpa", "vcdpa"})
"""didomi.md 1.10. Others are possible, so an unknown one is only a reason to look twice."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything an operator configures."""

    settings: Settings
    """Every section of the file except `mapping`."""

    mapping: ColumnMapping
    """The section `mapping`."""

    warnings: tuple[Problem, ...] = ()
    """What is probably a mistake, but possible. Each is worth a line in the log; none stops the start."""


def load_configuration(path: Path, environ: Mapping[str, str]) -> Configuration:
    """Read the configuration file at `path`, with the references and overrides that `environ` holds.

    Raises ConfigurationError, with everything wrong with the configuration in the order of the file.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        message = f"cannot be read ({error.strerror})."
        problem = Problem(str(path), None, "", message, "Name the file with --config.")
        raise ConfigurationError((problem,)) from error
    document = read_document(raw, str(path), environ, existing_only=("mapping",))
    if not document.root:
        raise ConfigurationError(document.problems)
    settings, settings_problems = read_settings(document)
    mapping, mapping_problems = parse_mapping(document, reserved=_reserved_columns(document))
    broken = {problem.key for problem in document.problems}
    # A value that could not be read has one problem. What it then lacks is not a second one.
    later = (problem for problem in (*settings_problems, *mapping_problems) if problem.key not in broken)
    problems = (*document.problems, *later)
    if problems or settings is None:
        raise ConfigurationError(
            tuple(sorted(problems, key=lambda problem: (problem.line or 0, problem.key)))
        )
    return Configuration(settings, mapping, tuple(_warnings(document, settings, mapping)))


def _reserved_columns(document: Document) -> dict[str, str]:
    """Columns that the mapping must not write, with the reason. Taken from the document, so that they are
    known even if the settings have mistakes.
    """
    reserved = {"contactid": "which is the row's own id"}
    contact = document.root.get("contact")
    if isinstance(contact, dict):
        on_create, match = contact.get("on_create"), contact.get("match")
        if isinstance(on_create, dict):
            reserved |= dict.fromkeys(on_create, "which contact.on_create already writes")
        for key in ("alternate_key", "column"):
            column = match.get(key) if isinstance(match, dict) else None
            if isinstance(column, str):
                # dataverse.md 2.2: a key cannot be changed through itself, and wins over the key when
                # creating.
                reserved[column] = f"which contact.match.{key} uses to find the row"
    return reserved


def _warnings(document: Document, settings: Settings, mapping: ColumnMapping) -> Iterator[Problem]:
    yield from _mapping_warnings(document, mapping)
    yield from _dataverse_warnings(document, settings.dataverse)
    yield from _contact_warnings(document, settings.contact)
    yield from _auth_warnings(document, settings.didomi.auth)


def _mapping_warnings(document: Document, mapping: ColumnMapping) -> Iterator[Problem]:
    for regulation in sorted(mapped_regulations(mapping) - _KNOWN_REGULATIONS):
        nearest = nearest_key(regulation, _KNOWN_REGULATIONS)
        if nearest is not None:
            advice = f"Did you mean `{nearest}`? Notifications of a regulation without a mapping are skipped."
            yield document.problem(("mapping", regulation), "is not a known regulation.", advice)


def _dataverse_warnings(document: Document, dataverse: Dataverse) -> Iterator[Problem]:
    host = urlsplit(dataverse.url).hostname or ""
    if not host.endswith(_KNOWN_DOMAINS) and host not in LOOPBACK_HOSTS:
        # dataverse.md 1.1: new regions appear, so this cannot be an error.
        message = "does not end with a known domain of Dataverse."
        yield document.problem(("dataverse", "url"), message, "Check the host name.")
    if dataverse.read_timeout < LONGEST_DATAVERSE_CALL:
        message = "is shorter than a call of Dataverse may take (120s)."
        advice = "Calls that Dataverse still completes are then sent again."
        yield document.problem(("dataverse", "read_timeout"), message, advice)


def _contact_warnings(document: Document, contact: Contact) -> Iterator[Problem]:
    match = contact.match
    if match.alternate_key is not None and match.alternate_key.startswith("emailaddress"):
        # dataverse.md 1.4: values that a key URL cannot carry take the filter path, so this works, but
        # slowly.
        message = (
            "is an e-mail column: addresses with characters that a key URL cannot contain are looked up."
        )
        advice = "A column of your own that holds the Didomi organization user id is faster."
        yield document.problem(("contact", "match", "alternate_key"), message, advice)
    if match.column is not None and contact.upsert:
        message = (
            "creates rows matched by a column without an alternate key: another program may create the same"
            " row."
        )
        yield document.problem(("contact", "upsert"), message, "Prefer `match: { alternate_key: ... }`.")


def _auth_warnings(document: Document, auth: Auth) -> Iterator[Problem]:
    shared = {
        ("didomi", "auth", "oauth", "client_secret"): auth.oauth.client_secret if auth.oauth else (),
        ("didomi", "auth", "header", "value"): auth.header.value if auth.header else (),
    }
    for path, secrets in shared.items():
        if any(len(secret.get_secret_value()) < MIN_SECRET_CHARACTERS for secret in secrets):
            advice = f"Use at least {MIN_SECRET_CHARACTERS} random characters."
            yield document.problem(path, "is short enough to be guessed.", advice)
