"""What every column must hold in the end, by a fold of its own.

Written from the rules (design: what a contact holds, the mapping of the sandbox's configuration) and from the
bodies alone. It shares nothing with the package, so that a mistake of the ledger cannot hide in it.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Item = tuple[str, ...]
Json = dict[str, Any]

COLUMNS = (
    "new_newsletter",
    "donotbulkemail",
    "new_profiling",
    "new_profilingobjection",
    "new_profilingbyemail",
    "new_profilingon",
    "new_topics",
    "new_frequency",
    "new_likesmusic",
    "new_likesfilm",
    "new_remark",
    "new_language",
    "donotphone",
    "address1_country",
    "new_loyaltyid",
    "new_consentchangedon",
    "new_didomievent",
)
_TOPICS = {"sport": "100000000", "culture": "100000001"}
_FREQUENCIES = {"daily": 1, "weekly": 2}
_NEVER_ANSWERED = {"donotbulkemail": False, "donotphone": False}


@dataclass(frozen=True, slots=True)
class Said:
    """One item's value, when, on which device, by which event; repeated by a snapshot, or decided."""

    value: object
    at: str
    device: str
    source: str
    repeated: bool


@dataclass(slots=True)
class Person:
    said: dict[Item, list[Said]] = field(default_factory=lambda: defaultdict(list))


def fold(bodies: Iterable[bytes]) -> dict[str, Person]:
    """Everything that was said, by person. Order and repetition of the bodies make no difference."""
    people: dict[str, Person] = defaultdict(Person)
    for body in set(bodies):
        document = json.loads(body)
        parameters = document["parameters"]
        if document["type"] == "user.updated":
            _hear_snapshot(people, parameters)
            continue
        entity = parameters.get("new_entity") or parameters["entity"]
        if entity["status"] == "confirmed":
            user = entity["user"]
            for item, value in _answers(entity["consents"], user):
                said = Said(value, entity["updated_at"], user["id"], entity["id"], repeated=False)
                people[user["organization_user_id"]].said[item].append(said)
    return people


def _hear_snapshot(people: dict[str, Person], parameters: Json) -> None:
    old, new, source = parameters["old_entity"], parameters["new_entity"], parameters["source"]
    before = dict(_answers(old["consents"], old))
    for item, value in _answers(new["consents"], new):
        repeated = item in before and before[item] == value
        at = new["updated_at"] if repeated else source["created_at"]
        said = Said(value, at, new["id"], "" if repeated else source["id"], repeated)
        people[new["organization_user_id"]].said[item].append(said)


def _answers(consents: Json, user: Json) -> Iterator[tuple[Item, object]]:
    for entry in consents["purposes"]:
        name = entry["id"]
        yield from _choice(("purpose", name), entry.get("enabled"))
        yield from _choice(("interest", name), entry.get("enabled_li"))
        for preference, found in (entry.get("values") or {}).items():
            if found["value"] is not None:
                yield ("value", name, preference), found["value"]
        for channel in entry.get("channels", []):
            yield from _choice(("channel", name, channel["id"]), channel["enabled"])
    for channel in consents["channels"]:
        yield from _choice(("channel", channel["id"]), channel["enabled"])
    yield ("fact", "country"), user["country"]
    yield ("fact", "loyalty"), user["metadata"]["loyalty_id"]


def _choice(item: Item, enabled: object) -> Iterator[tuple[Item, object]]:
    if enabled is not None:
        yield item, enabled


def _resolved(said: list[Said]) -> Said:
    """The newest that was decided; what the same device repeated later, if that is something else; and of two
    of the same second the refusal.
    """
    decided = [one for one in said if not one.repeated]
    newest = _newest(decided or said)
    if not decided:
        return newest
    repeated = [one for one in said if one.repeated and one.device == newest.device]
    if repeated:
        latest = _newest(repeated)
        if latest.at > newest.at and latest.value != newest.value:
            return latest
    return newest


def _newest(said: list[Said]) -> Said:
    at = max(one.at for one in said)
    return min((one for one in said if one.at == at), key=lambda one: one.value is not False)


def expected(person: Person) -> dict[str, set[object]]:
    """For each column what it may hold in the end: one value, but for stamps of equal or healed choices."""
    known = {item: _resolved(said) for item, said in person.said.items()}

    def value(*item: str) -> object:
        found = known.get(item)
        return None if found is None else found.value

    def flag(*item: str, invert: bool = False) -> object:
        found = value(*item)
        return found if found is None or not invert else not found

    def picked(preference: str) -> list[str] | None:
        found = value("value", "profiling", preference)
        return None if found is None else [name for name in str(found).split(",") if name]

    profiling, topics, interests = value("purpose", "profiling"), picked("topics"), picked("interests")
    row: dict[str, object] = {
        "new_newsletter": flag("purpose", "newsletter"),
        "donotbulkemail": flag("purpose", "email_ads", invert=True),
        "new_profiling": None if profiling is None else 100000000 if profiling else 100000001,
        "new_profilingobjection": flag("interest", "profiling", invert=True),
        "new_profilingbyemail": flag("channel", "profiling", "email"),
        "new_topics": None if not topics else ",".join(sorted(_TOPICS[name] for name in topics)),
        "new_frequency": _FREQUENCIES.get(str(value("value", "profiling", "frequency"))),
        "new_likesmusic": None if interests is None else "music" in interests,
        "new_likesfilm": None if interests is None else "film" in interests,
        "new_remark": value("value", "profiling", "remark"),
        "new_language": value("value", "profiling", "language"),
        "donotphone": flag("channel", "sms", invert=True),
        "address1_country": value("fact", "country"),
        "new_loyaltyid": value("fact", "loyalty"),
    }
    allowed: dict[str, set[object]] = {
        column: {_NEVER_ANSWERED.get(column) if cell is None else cell} for column, cell in row.items()
    }
    mapped = {item: one for item, one in known.items() if item[0] != "fact" and item[-1] != "not_mapped"}
    profiled = [
        one for item, one in mapped.items() if item in {("purpose", "profiling"), ("interest", "profiling")}
    ]
    allowed["new_profilingon"] = _stamps(profiled, "at")
    allowed["new_consentchangedon"] = _stamps(list(mapped.values()), "at")
    allowed["new_didomievent"] = _stamps(list(mapped.values()), "source")
    return allowed


ANYTHING: set[object] = {"*"}


def _stamps(said: list[Said], what: str) -> set[object]:
    """When a snapshot healed something, which of several repetitions came first is not defined."""
    if any(one.repeated for one in said):
        return ANYTHING
    if not said:
        return {None}
    at = max(one.at for one in said)
    return {getattr(one, what) for one in said if one.at == at}


def differing(rows: Mapping[str, Mapping[str, object]], people: Mapping[str, Person]) -> list[str]:
    """Every cell that is not as it must be, as `person column: held, not one of expected`."""
    found: list[str] = []
    for key, row in rows.items():
        allowed = expected(people.get(key, Person()))
        for column in COLUMNS:
            held = row.get(column)
            if column == "new_topics":
                held = ",".join(sorted(str(held).split(","))) if held else None
            if allowed[column] is not ANYTHING and held not in allowed[column]:
                found.append(f"{key} {column}: {held!r}, not one of {sorted(map(repr, allowed[column]))}")
    return found
