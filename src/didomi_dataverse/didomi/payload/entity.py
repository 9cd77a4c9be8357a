"""Didomi's Event and User → one `Entity`. Didomi's field names end here (didomi.md 2.1, 2.2, 2.4)."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from didomi_dataverse.consent.model import Fact, FactValue
from didomi_dataverse.didomi.payload.consents import ItemValues, parse_consents
from didomi_dataverse.didomi.payload.timestamps import (
    UNREADABLE,
    ParsedTime,
    Unreadable,
    parse_timestamp,
)
from didomi_dataverse.didomi.payload.warnings import ParseWarnings
from didomi_dataverse.text import clean, clip, is_storable

# Others write into `metadata` what they like (didomi.md 2.3), and every fact becomes a register of its
# contact. Without these bounds one notification could make a contact's state too large to fold.
MAX_FACTS = 100
MAX_FACT_CHARACTERS = 4_000
MAX_FACT_PATH_CHARACTERS = 200
MAX_FACT_DEPTH = 8
MAX_FACT_NUMBER = 2**63 - 1
"""The largest integer that both stores and Dataverse can hold."""

_MAX_NAME_CHARACTERS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """An event or a user snapshot, in our words. An absent text is empty."""

    entity_id: str
    """The id of the event, or of the Didomi user for a snapshot."""
    organization_id: str | Unreadable
    """The Didomi customer. Empty when absent."""
    didomi_user: str = field(repr=False)
    """The Didomi user id, in practice one device."""
    organization_user_id: str | Unreadable | None = field(repr=False)
    """The person, in the customer's own words. None when absent, UNREADABLE when it cannot be an id."""
    status: str | Unreadable | None
    """An event's status. None when absent, which means confirmed (didomi.md 3.1)."""
    version: str
    """A snapshot's revision counter, as text."""
    created_at: ParsedTime
    updated_at: ParsedTime
    values: ItemValues = field(repr=False)
    """What it says of each item."""
    facts: Mapping[Fact, FactValue] = field(repr=False)
    """What it says of the person beside their choices."""
    has_unreadable_values: bool
    """Something that may have been a choice could not be read."""


def parse_event(members: Mapping[str, object], *, regulation: str, warnings: ParseWarnings) -> Entity:
    """An Event. The person is under `user`; `metadata` beside it is the event's own (didomi.md 2.4)."""
    user = members.get("user")
    if not isinstance(user, dict):
        if user is not None:
            warnings.add("wrong_type", "user")
        user = {}
    status = members.get("status")
    return _parse_entity(
        members,
        person=user,
        didomi_user=user.get("id"),
        person_path="user.",
        status=status if status is None or isinstance(status, str) else UNREADABLE,
        regulation=regulation,
        warnings=warnings,
    )


def parse_user(members: Mapping[str, object], *, regulation: str, warnings: ParseWarnings) -> Entity:
    """A User: the merged state of one Didomi user. It has no status (didomi.md 2.4)."""
    return _parse_entity(
        members,
        person=members,
        didomi_user=members.get("id"),
        person_path="",
        status=None,
        regulation=regulation,
        warnings=warnings,
    )


def _parse_entity(
    members: Mapping[str, object],
    *,
    person: Mapping[str, object],
    didomi_user: object,
    person_path: str,
    status: str | Unreadable | None,
    regulation: str,
    warnings: ParseWarnings,
) -> Entity:
    values, has_unreadable_values = parse_consents(
        members.get("consents"), regulation=regulation, warnings=warnings
    )
    organization = _parse_text(members.get("organization_id"), "organization_id", warnings)
    return Entity(
        entity_id=parse_id(members.get("id"), "id", warnings),
        organization_id="" if organization is None else organization,
        didomi_user=parse_id(didomi_user, f"{person_path}id", warnings),
        organization_user_id=_parse_text(
            person.get("organization_user_id"), f"{person_path}organization_user_id", warnings
        ),
        status=clip(status, max_characters=_MAX_NAME_CHARACTERS) if isinstance(status, str) else status,
        version=_parse_version(members.get("version"), warnings),
        created_at=_parse_time(members.get("created_at"), "created_at", warnings),
        updated_at=_parse_time(members.get("updated_at"), "updated_at", warnings),
        values=values,
        facts=_collect_facts(person, regulation=regulation, path=person_path, warnings=warnings),
        has_unreadable_values=has_unreadable_values,
    )


def parse_id(written: object, path: str, warnings: ParseWarnings) -> str:
    """An id that we only compare and show: text, or empty when there is none that could be one."""
    text = _parse_text(written, path, warnings)
    return clip(text, max_characters=_MAX_NAME_CHARACTERS) if isinstance(text, str) else ""


def _parse_text(written: object, path: str, warnings: ParseWarnings) -> str | Unreadable | None:
    match written:
        case None:
            return None
        case str():
            return written
        case bool():
            pass
        case int():
            # The schema says string; a customer number sent without quotes names the same person.
            warnings.add("number_for_text", path)
            return str(written)
        case _:
            pass
    warnings.add("wrong_type", path)
    return UNREADABLE


def _parse_version(written: object, warnings: ParseWarnings) -> str:
    match written:
        case None:
            return ""
        case bool():
            pass
        case int() | str():
            return clip(str(written), max_characters=_MAX_NAME_CHARACTERS)
        case float() if written.is_integer():
            return str(int(written))
    warnings.add("wrong_type", "version")
    return ""


def _parse_time(written: object, path: str, warnings: ParseWarnings) -> ParsedTime:
    parsed = parse_timestamp(written)
    if parsed is UNREADABLE:
        warnings.add("unreadable_time", path)
    return parsed


def _collect_facts(
    person: Mapping[str, object], *, regulation: str, path: str, warnings: ParseWarnings
) -> dict[Fact, FactValue]:
    facts: dict[Fact, FactValue] = {}
    for key in ("country", "last_seen_country", "organization_user_id_type"):
        written = person.get(key)
        if isinstance(written, str):
            if written.strip():
                facts[Fact(regulation, key)] = clip(written.strip(), max_characters=_MAX_NAME_CHARACTERS)
        elif written is not None:
            warnings.add("wrong_type", f"{path}{key}")
    metadata = person.get("metadata")
    if isinstance(metadata, dict):
        facts.update(_collect_metadata(metadata, regulation=regulation, warnings=warnings))
    elif metadata is not None:
        warnings.add("wrong_type", f"{path}metadata")
    return facts


def _collect_metadata(
    metadata: dict[str, object], *, regulation: str, warnings: ParseWarnings
) -> dict[Fact, FactValue]:
    """The scalar leaves, by dotted path, as far as they are within the bounds of this module."""
    facts: dict[Fact, FactValue] = {}
    ambiguous: set[Fact] = set()
    # Sorted, so that the same leaves are kept however the object is spelt.
    for path, written in sorted(_iterate_leaves(metadata, "metadata", warnings), key=lambda leaf: leaf[0]):
        value = _parse_fact_value(written)
        fact = Fact(regulation, path)
        if value is None or len(path) > MAX_FACT_PATH_CHARACTERS or not is_storable(path):
            warnings.add("unusable_fact", path)
        elif fact in facts:
            warnings.add("ambiguous_path", path)  # {"a.b": 1, "a": {"b": 2}}
            ambiguous.add(fact)
        elif len(facts) >= MAX_FACTS:
            warnings.add("too_many_facts")
            break
        else:
            facts[fact] = value
    return {fact: value for fact, value in facts.items() if fact not in ambiguous}


def _iterate_leaves(
    metadata: dict[str, object], path: str, warnings: ParseWarnings
) -> Iterator[tuple[str, object]]:
    stack = [(path, metadata, 1)]
    while stack:
        path, members, depth = stack.pop()
        for key, below in members.items():
            place = f"{path}.{key}"
            if isinstance(below, dict):
                if depth < MAX_FACT_DEPTH:
                    stack.append((place, below, depth + 1))
                else:
                    warnings.add("too_deep", place)
            elif below is not None and not isinstance(below, list):
                yield place, below


def _parse_fact_value(written: object) -> FactValue | None:
    match written:
        case bool():
            return written
        case str() if len(written) <= MAX_FACT_CHARACTERS:
            return clean(written)
        case int() if abs(written) <= MAX_FACT_NUMBER:
            return written
        case float() if math.isfinite(written):
            return written
    return None
