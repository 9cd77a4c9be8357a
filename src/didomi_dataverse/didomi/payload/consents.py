"""`consents` → a value for each item. Both generations of Didomi's schema, together or apart.

The shapes are those of didomi.md 2.1 and 2.3. Only what is certain becomes a value: JSON `true` and `false`
are choices, `null` and absent are not, and everything else is left out with a warning.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from didomi_dataverse.consent.model import Basis, Item, Selection, Value, restrictiveness
from didomi_dataverse.didomi.payload.warnings import ParseWarnings
from didomi_dataverse.text import clean, is_storable

MAX_ID_CHARACTERS = 500
"""Of a purpose, preference or channel id. Didomi's own ids are far shorter; a longer one cannot be mapped."""

ItemValues = Mapping[Item, Value]
"""What one body says of each item."""


@dataclass(slots=True)
class _ConsentCollector:
    """Collects the values of one `consents` object, and what of it could not be read."""

    regulation: str
    warnings: ParseWarnings
    values: dict[Item, Value] = field(default_factory=dict)
    unreadable_items: set[Item] = field(default_factory=set)
    has_unreadable_part: bool = False
    """Something is unreadable that cannot be attributed to one item."""

    def add(self, item: Item, value: Value, path: str) -> None:
        known = self.values.get(item)
        if known is not None:
            # didomi.md 8.2, question 12: a purpose that occurs twice keeps the restrictive value.
            self.warnings.add("repeated", path)
            value = min(known, value, key=restrictiveness)
        self.values[item] = value

    def reject_item(self, item: Item, path: str) -> None:
        self.warnings.add("wrong_type", path)
        self.unreadable_items.add(item)

    def reject_part(self, path: str, *, word: str = "wrong_type") -> None:
        self.warnings.add(word, path)
        self.has_unreadable_part = True


def parse_consents(consents: object, *, regulation: str, warnings: ParseWarnings) -> tuple[ItemValues, bool]:
    """Every readable value, and whether something that may have been a choice had to be left out.

    An item with one unreadable value has none, even if it is repeated with a readable one.
    """
    collector = _ConsentCollector(regulation, warnings)
    if isinstance(consents, dict):
        _read_purposes(consents.get("purposes"), collector)
        for channel, entry, path in _iterate_entries(
            consents.get("channels"), "consents.channels", collector
        ):
            _read_flag(entry, "enabled", Item(regulation, channel=channel), path, collector)
    elif consents is not None:
        collector.reject_part("consents")
    for item in collector.unreadable_items:
        collector.values.pop(item, None)
    return collector.values, bool(collector.unreadable_items) or collector.has_unreadable_part


def _read_purposes(purposes: object, collector: _ConsentCollector) -> None:
    regulation = collector.regulation
    for purpose, entry, path in _iterate_entries(purposes, "consents.purposes", collector):
        _read_flag(entry, "enabled", Item(regulation, purpose), path, collector)
        # `false` is an objection, `null` is not a choice (didomi.md 2.3).
        objection = Item(regulation, purpose, basis=Basis.LEGITIMATE_INTEREST)
        _read_flag(entry, "enabled_li", objection, path, collector)
        if "values" in entry:
            _read_values(entry["values"], purpose, f"{path}.values", collector)
        if "channels" in entry:
            for channel, below, place in _iterate_entries(entry["channels"], f"{path}.channels", collector):
                _read_flag(below, "enabled", Item(regulation, purpose, channel=channel), place, collector)
        if "preferences" in entry:
            _read_preferences(entry["preferences"], purpose, f"{path}.preferences", collector)


def _read_preferences(preferences: object, purpose: str, path: str, collector: _ConsentCollector) -> None:
    """The nested preferences of schema v1, deprecated but still sent (didomi.md 2)."""
    regulation = collector.regulation
    for preference, entry, place in _iterate_entries(preferences, path, collector):
        _read_flag(entry, "enabled", Item(regulation, purpose, preference), place, collector)
        for channel, below, at in _iterate_entries(entry.get("channels"), f"{place}.channels", collector):
            _read_flag(below, "enabled", Item(regulation, purpose, preference, channel), at, collector)


def _read_values(values: object, purpose: str, path: str, collector: _ConsentCollector) -> None:
    """The preferences of schema v2: `{preference id: {"value": "id1,id2"}}`."""
    if values is None:
        return
    if not isinstance(values, dict):
        collector.reject_part(path)
        return
    for number, (key, entry) in enumerate(values.items()):
        preference = key.strip()
        if not _is_id(preference):
            collector.reject_part(f"{path}[{number}]", word="unusable_id")
            continue
        item = Item(collector.regulation, purpose, preference)
        place = f"{path}.{preference}"
        if isinstance(entry, dict):
            _read_selection(entry.get("value"), item, f"{place}.value", collector)
        elif entry is not None:
            collector.reject_item(item, place)


def _read_selection(written: object, item: Item, path: str, collector: _ConsentCollector) -> None:
    match written:
        case None:
            pass
        case str():
            collector.add(item, parse_selection(written), path)
        case list() if all(isinstance(value_id, str) for value_id in written):
            collector.warnings.add("list_for_text", path)
            collector.add(item, _build_selection(written, ",".join(written)), path)
        case _:
            collector.reject_item(item, path)


def parse_selection(text: str) -> Selection:
    """The value ids of a comma-separated string, without empties and repeats (didomi.md 2.3).

    >>> parse_selection("sport, culture,,sport").ids
    ('culture', 'sport')
    >>> parse_selection("").ids
    ()
    """
    return _build_selection(text.split(","), text)


def _build_selection(value_ids: list[str], text: str) -> Selection:
    trimmed = {clean(value_id.strip()) for value_id in value_ids}
    return Selection(ids=tuple(sorted(trimmed - {""})), text=clean(text))


def _read_flag(
    entry: dict[str, object], key: str, item: Item, path: str, collector: _ConsentCollector
) -> None:
    written = entry.get(key)
    if isinstance(written, bool):
        collector.add(item, written, f"{path}.{key}")
    elif written is not None:
        # "true", 0 and 1 are not choices: consent is never granted by guessing (docs/promises.md 6).
        collector.reject_item(item, f"{path}.{key}")


def _iterate_entries(
    written: object, path: str, collector: _ConsentCollector
) -> Iterator[tuple[str, dict[str, object], str]]:
    """The usable entries of a list of `{id, ...}`: id, entry, and its path."""
    if written is None:
        return
    if not isinstance(written, list):
        collector.reject_part(path)
        return
    for number, entry in enumerate(written):
        place = f"{path}[{number}]"
        if not isinstance(entry, dict):
            collector.reject_part(place)
            continue
        written_id = entry.get("id")
        if not isinstance(written_id, str):
            collector.reject_part(f"{place}.id")
            continue
        entry_id = written_id.strip()
        if not _is_id(entry_id):
            collector.reject_part(f"{place}.id", word="unusable_id")
            continue
        yield entry_id, entry, place


def _is_id(text: str) -> bool:
    return 0 < len(text) <= MAX_ID_CHARACTERS and is_storable(text)
