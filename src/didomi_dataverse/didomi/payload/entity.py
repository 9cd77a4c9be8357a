"""Didomi's Event and User → one `Entity`. Didomi's field names end here (didomi.md 2.1, 2.2, 2.4)."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from didomi_dataverse.consent.model import Fact, FactValue
from didomi_dataverse.didomi.payload.consents import Answers, parse_consents
from didomi_dataverse.didomi.payload.timestamps import UNREADABLE, Instant, Unreadable, parse_timestamp
from didomi_dataverse.didomi.payload.warnings import ParseWarnings
from didomi_dataverse.text import clean, clip, is_storable

MAX_FACTS = 100
MAX_FACT_CHARACTERS = 4_000
MAX_FACT_PATH_CHARACTERS = 200
MAX_FACT_DEPTH = 8
MAX_FACT_NUMBER = 2**63 - 1
_MAX_NAME_CHARACTERS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """An event or a user snapshot, in our words. An absent text is empty.

    `organization_user_id` is None when nobody is named, UNREADABLE when something is there that is no
    identifier. `status` is None when absent, which means confirmed (didomi.md 3.1). `left_out` says that
    something that may have been an answer could not be read.
    """

    entity_id: str
    organization_id: str | Unreadable
    didomi_user: str = field(repr=False)
    organization_user_id: str | Unreadable | None = field(repr=False)
    status: str | Unreadable | None
    version: str
    created_at: Instant
    updated_at: Instant
    answers: Answers = field(repr=False)
    facts: Mapping[Fact, FactValue] = field(repr=False)
    left_out: bool


def parse_event(found: Mapping[str, object], *, regulation: str, notes: ParseWarnings) -> Entity:
    """An Event. The person is under `user`; `metadata` beside it is the event's own (didomi.md 2.4)."""
    user = found.get("user")
    if not isinstance(user, dict):
        if user is not None:
            notes.add("wrong_type", "user")
        user = {}
    status = found.get("status")
    return _entity(
        found,
        person=user,
        didomi_user=user.get("id"),
        person_path="user.",
        status=status if status is None or isinstance(status, str) else UNREADABLE,
        regulation=regulation,
        notes=notes,
    )


def parse_user(found: Mapping[str, object], *, regulation: str, notes: ParseWarnings) -> Entity:
    """A User: the merged state of one Didomi user. It has no status (didomi.md 2.4)."""
    return _entity(
        found,
        person=found,
        didomi_user=found.get("id"),
        person_path="",
        status=None,
        regulation=regulation,
        notes=notes,
    )


def _entity(
    found: Mapping[str, object],
    *,
    person: Mapping[str, object],
    didomi_user: object,
    person_path: str,
    status: str | Unreadable | None,
    regulation: str,
    notes: ParseWarnings,
) -> Entity:
    answers, left_out = parse_consents(found.get("consents"), regulation=regulation, notes=notes)
    organization = _named(found.get("organization_id"), "organization_id", notes)
    return Entity(
        entity_id=name_of(found.get("id"), "id", notes),
        organization_id="" if organization is None else organization,
        didomi_user=name_of(didomi_user, f"{person_path}id", notes),
        organization_user_id=_named(
            person.get("organization_user_id"), f"{person_path}organization_user_id", notes
        ),
        status=clip(status, max_characters=_MAX_NAME_CHARACTERS) if isinstance(status, str) else status,
        version=_version(found.get("version"), notes),
        created_at=_time(found.get("created_at"), "created_at", notes),
        updated_at=_time(found.get("updated_at"), "updated_at", notes),
        answers=answers,
        facts=_facts(person, regulation=regulation, path=person_path, notes=notes),
        left_out=left_out,
    )


def name_of(written: object, path: str, notes: ParseWarnings) -> str:
    """An id that we only compare and show: text, or empty when there is none that could be one."""
    name = _named(written, path, notes)
    return clip(name, max_characters=_MAX_NAME_CHARACTERS) if isinstance(name, str) else ""


def _named(written: object, path: str, notes: ParseWarnings) -> str | Unreadable | None:
    match written:
        case None:
            return None
        case str():
            return written
        case bool():
            pass
        case int():
            # The schema says string; a customer number sent without quotes names the same person.
            notes.add("number_for_text", path)
            return str(written)
        case _:
            pass
    notes.add("wrong_type", path)
    return UNREADABLE


def _version(written: object, notes: ParseWarnings) -> str:
    match written:
        case None:
            return ""
        case bool():
            pass
        case int() | str():
            return clip(str(written), max_characters=_MAX_NAME_CHARACTERS)
        case float() if written.is_integer():
            return str(int(written))
    notes.add("wrong_type", "version")
    return ""


def _time(written: object, path: str, notes: ParseWarnings) -> Instant:
    read = parse_timestamp(written)
    if read is UNREADABLE:
        notes.add("unreadable_time", path)
    return read


def _facts(
    person: Mapping[str, object], *, regulation: str, path: str, notes: ParseWarnings
) -> dict[Fact, FactValue]:
    facts: dict[Fact, FactValue] = {}
    for key in ("country", "last_seen_country", "organization_user_id_type"):
        written = person.get(key)
        if isinstance(written, str):
            if written.strip():
                facts[Fact(regulation, key)] = clip(written.strip(), max_characters=_MAX_NAME_CHARACTERS)
        elif written is not None:
            notes.add("wrong_type", f"{path}{key}")
    metadata = person.get("metadata")
    if isinstance(metadata, dict):
        facts.update(_metadata(metadata, regulation=regulation, notes=notes))
    elif metadata is not None:
        notes.add("wrong_type", f"{path}metadata")
    return facts


def _metadata(metadata: dict[str, object], *, regulation: str, notes: ParseWarnings) -> dict[Fact, FactValue]:
    """The scalar leaves, by dotted path. Others write here what they like (didomi.md 2.3): all is bounded."""
    facts: dict[Fact, FactValue] = {}
    ambiguous: set[Fact] = set()
    # Sorted, so that the same leaves are kept however the object is spelt.
    for path, written in sorted(_leaves(metadata, "metadata", notes), key=lambda leaf: leaf[0]):
        value = _fact_value(written)
        fact = Fact(regulation, path)
        if value is None or len(path) > MAX_FACT_PATH_CHARACTERS or not is_storable(path):
            notes.add("unusable_fact", path)
        elif fact in facts:
            notes.add("ambiguous_path", path)  # {"a.b": 1, "a": {"b": 2}}
            ambiguous.add(fact)
        elif len(facts) >= MAX_FACTS:
            notes.add("too_many_facts")
            break
        else:
            facts[fact] = value
    return {fact: value for fact, value in facts.items() if fact not in ambiguous}


def _leaves(metadata: dict[str, object], path: str, notes: ParseWarnings) -> Iterator[tuple[str, object]]:
    waiting = [(path, metadata, 1)]
    while waiting:
        path, members, depth = waiting.pop()
        for key, below in members.items():
            place = f"{path}.{key}"
            if isinstance(below, dict):
                if depth < MAX_FACT_DEPTH:
                    waiting.append((place, below, depth + 1))
                else:
                    notes.add("too_deep", place)
            elif below is not None and not isinstance(below, list):
                yield place, below


def _fact_value(written: object) -> FactValue | None:
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
