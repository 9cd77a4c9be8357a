"""`consents` → answers: which item got which value. Both generations of Didomi's schema, together or apart.

The shapes are those of didomi.md 2.1 and 2.3. Only what is certain becomes an answer: JSON `true` and `false`
are choices, `null` and absent are none, and everything else is noted and left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from didomi_dataverse.consent.model import Basis, Item, Selection, Value, restrictiveness
from didomi_dataverse.didomi.payload.warnings import ParseWarnings
from didomi_dataverse.text import clean, is_storable

MAX_ID_CHARACTERS = 500

Answers = Mapping[Item, Value]


@dataclass(slots=True)
class _ConsentCollector:
    """The answers of one `consents` object while they are collected."""

    regulation: str
    notes: ParseWarnings
    answers: dict[Item, Value] = field(default_factory=dict)
    refused: set[Item] = field(default_factory=set)
    is_refused_elsewhere: bool = False

    def put(self, item: Item, value: Value, path: str) -> None:
        before = self.answers.get(item)
        if before is not None:
            # didomi.md 8.2, question 12: a purpose that occurs twice keeps the restrictive answer.
            self.notes.add("repeated", path)
            value = min(before, value, key=restrictiveness)
        self.answers[item] = value

    def refuse(self, item: Item, path: str) -> None:
        self.notes.add("wrong_type", path)
        self.refused.add(item)

    def refuse_part(self, path: str, *, word: str = "wrong_type") -> None:
        self.notes.add(word, path)
        self.is_refused_elsewhere = True


def parse_consents(consents: object, *, regulation: str, notes: ParseWarnings) -> tuple[Answers, bool]:
    """Every readable answer, and whether something that may have been an answer had to be left out.

    An item with one unreadable answer has none, even if it is repeated with a readable one.
    """
    sheet = _ConsentCollector(regulation, notes)
    if isinstance(consents, dict):
        _read_purposes(consents.get("purposes"), sheet)
        for channel, entry, path in _entries(consents.get("channels"), "consents.channels", sheet):
            _read_choice(entry, "enabled", Item(regulation, channel=channel), path, sheet)
    elif consents is not None:
        sheet.refuse_part("consents")
    for item in sheet.refused:
        sheet.answers.pop(item, None)
    return sheet.answers, bool(sheet.refused) or sheet.is_refused_elsewhere


def _read_purposes(purposes: object, sheet: _ConsentCollector) -> None:
    regulation = sheet.regulation
    for purpose, entry, path in _entries(purposes, "consents.purposes", sheet):
        _read_choice(entry, "enabled", Item(regulation, purpose), path, sheet)
        # `false` is an objection, `null` no choice (didomi.md 2.3).
        objection = Item(regulation, purpose, basis=Basis.LEGITIMATE_INTEREST)
        _read_choice(entry, "enabled_li", objection, path, sheet)
        if "values" in entry:
            _read_values(entry["values"], purpose, f"{path}.values", sheet)
        if "channels" in entry:
            for channel, below, place in _entries(entry["channels"], f"{path}.channels", sheet):
                _read_choice(below, "enabled", Item(regulation, purpose, channel=channel), place, sheet)
        if "preferences" in entry:
            _read_preferences(entry["preferences"], purpose, f"{path}.preferences", sheet)


def _read_preferences(preferences: object, purpose: str, path: str, sheet: _ConsentCollector) -> None:
    """The nested preferences of schema v1, deprecated but still sent (didomi.md 2)."""
    for preference, entry, place in _entries(preferences, path, sheet):
        _read_choice(entry, "enabled", Item(sheet.regulation, purpose, preference), place, sheet)
        for channel, below, at in _entries(entry.get("channels"), f"{place}.channels", sheet):
            _read_choice(below, "enabled", Item(sheet.regulation, purpose, preference, channel), at, sheet)


def _read_values(values: object, purpose: str, path: str, sheet: _ConsentCollector) -> None:
    """The preferences of schema v2: `{preference id: {"value": "id1,id2"}}`."""
    if values is None:
        return
    if not isinstance(values, dict):
        sheet.refuse_part(path)
        return
    for number, (key, entry) in enumerate(values.items()):
        preference = key.strip()
        if not _is_id(preference):
            sheet.refuse_part(f"{path}[{number}]", word="unusable_id")
            continue
        item = Item(sheet.regulation, purpose, preference)
        place = f"{path}.{preference}"
        if isinstance(entry, dict):
            _read_selection(entry.get("value"), item, f"{place}.value", sheet)
        elif entry is not None:
            sheet.refuse(item, place)


def _read_selection(written: object, item: Item, path: str, sheet: _ConsentCollector) -> None:
    match written:
        case None:
            pass
        case str():
            sheet.put(item, selection(written), path)
        case list() if all(isinstance(value_id, str) for value_id in written):
            sheet.notes.add("list_for_text", path)
            sheet.put(item, _selection_of(written, ",".join(written)), path)
        case _:
            sheet.refuse(item, path)


def selection(text: str) -> Selection:
    """The value ids of a comma-separated string: trimmed, without empties and repeats (didomi.md 2.3)."""
    return _selection_of(text.split(","), text)


def _selection_of(value_ids: list[str], text: str) -> Selection:
    trimmed = {clean(value_id.strip()) for value_id in value_ids}
    return Selection(ids=tuple(sorted(trimmed - {""})), text=clean(text))


def _read_choice(entry: dict[str, object], key: str, item: Item, path: str, sheet: _ConsentCollector) -> None:
    written = entry.get(key)
    if isinstance(written, bool):
        sheet.put(item, written, f"{path}.{key}")
    elif written is not None:
        # "true", 0 and 1 are not choices: consent is never granted by guessing (docs/promises.md 6).
        sheet.refuse(item, f"{path}.{key}")


def _entries(
    found: object, path: str, sheet: _ConsentCollector
) -> Iterator[tuple[str, dict[str, object], str]]:
    """The usable entries of a list of `{id, ...}`: id, entry, and its path."""
    if found is None:
        return
    if not isinstance(found, list):
        sheet.refuse_part(path)
        return
    for number, entry in enumerate(found):
        place = f"{path}[{number}]"
        if not isinstance(entry, dict):
            sheet.refuse_part(place)
            continue
        written = entry.get("id")
        if not isinstance(written, str):
            sheet.refuse_part(f"{place}.id")
            continue
        entry_id = written.strip()
        if not _is_id(entry_id):
            sheet.refuse_part(f"{place}.id", word="unusable_id")
            continue
        yield entry_id, entry, place


def _is_id(text: str) -> bool:
    return 0 < len(text) <= MAX_ID_CHARACTERS and is_storable(text)
