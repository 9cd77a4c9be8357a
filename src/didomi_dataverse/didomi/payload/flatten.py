"""The "flatten" option of Didomi's webhooks, undone where only one reading is possible (didomi.md 1.7).

The exact keys are not public, so this reads every spelling that the fact page thinks possible, and refuses to
choose between two.
"""

from collections.abc import Callable, Iterator, Mapping

from didomi_dataverse.didomi.payload.json_body import JsonObject

SEPARATOR = "__"
_WRAPPER = "parameters"
_PARTS = ("entity", "new_entity", "old_entity", "source")

_PURPOSE_LEAVES = frozenset(
    {"enabled", "enabled_li", "propagation", "values", "preferences", "channels", "metadata", "id"}
)
_SCALAR_LEAVES = frozenset({"enabled", "enabled_li", "propagation", "id"})

Path = tuple[str, ...]
Leaf = tuple[Path, object]
"""Where a value belongs below an entity, and the value."""


class AmbiguousError(Exception):
    """A flat key has no reading, or more than one."""


def is_flat(envelope: JsonObject) -> bool:
    """Was the option on? True when a part of the parameters is spelt in keys with a double underscore."""
    if any(_is_flat_key(key) for key in envelope):
        return True
    wrapped = envelope.get(_WRAPPER)
    if isinstance(wrapped, dict):
        return any(_is_flat_key(key) or _has_flat_keys(value) for key, value in wrapped.items())
    # An entity without the wrapper that every other notification has.
    return wrapped is None and any(isinstance(envelope.get(part), dict) for part in ("entity", "new_entity"))


def rebuild(envelope: JsonObject) -> JsonObject:
    """The envelope as it would be with the option off, `new_entity` excepted: it stays `entity`.

    Raises AmbiguousError when a flat key can be read in no way or in two ways.
    """
    whole: dict[str, object] = {}
    flat: dict[str, dict[str, object]] = {}
    for path, value in _members(envelope):
        part, _, rest = path.partition(SEPARATOR)
        if part not in _PARTS:
            continue
        if part in whole or (rest and rest in flat.get(part, {})):
            raise AmbiguousError(part)
        if rest:
            flat.setdefault(part, {})[rest] = value
        elif isinstance(value, dict) and _has_flat_keys(value):
            flat.setdefault(part, {}).update(value)
        else:
            whole[part] = value
    if "entity" in flat and "new_entity" in flat:
        raise AmbiguousError("entity")
    for part, members in flat.items():
        if whole.get(part) is not None:
            raise AmbiguousError(part)
        whole[part] = _entity(members)
    outside = {key: value for key, value in envelope.items() if not _is_flat_key(key) and key != _WRAPPER}
    return {**outside, _WRAPPER: whole}


def _is_flat_key(key: str) -> bool:
    head, separator, _ = key.partition(SEPARATOR)
    return bool(separator) and (head == _WRAPPER or head in _PARTS)


def _has_flat_keys(part: object) -> bool:
    return isinstance(part, dict) and any(SEPARATOR in key for key in part)


def _members(envelope: JsonObject) -> Iterator[tuple[str, object]]:
    """Every member of the parameters, wherever it stands, without the wrapper's name."""
    for key, value in envelope.items():
        if key == _WRAPPER:
            if isinstance(value, dict):
                yield from value.items()
        else:
            yield key.removeprefix(_WRAPPER + SEPARATOR), value


def _entity(members: Mapping[str, object]) -> JsonObject:
    """One entity from its flat keys."""
    entity: JsonObject = {}
    purposes: list[Leaf] = []
    channels: list[Leaf] = []
    for key, value in members.items():
        segments = tuple(key.split(SEPARATOR))
        match segments:
            case ("consents", "purposes", *rest) if rest:
                purposes.append((tuple(rest), value))
            case ("consents", "channels", *rest) if rest:
                channels.append((tuple(rest), value))
            case ("consents", "vendors" | "tcfcs", *_):
                pass  # no column is ever made of them
            case _:
                _place(entity, segments, value)
    for name, leaves, build in (("purposes", purposes, _purposes), ("channels", channels, _channels)):
        if leaves:
            consents = entity.setdefault("consents", {})
            if not isinstance(consents, dict) or name in consents:
                raise AmbiguousError(name)
            consents[name] = build(leaves)
    return entity


def _place(into: JsonObject, segments: Path, value: object) -> None:
    """Put a value at its path. No list outside of `consents` holds what we read: positions stay keys."""
    *parents, leaf = segments
    node = into
    for parent in parents:
        below = node.setdefault(parent, {})
        if not isinstance(below, dict):
            raise AmbiguousError(parent)
        node = below
    if leaf in node:
        raise AmbiguousError(leaf)
    # A copy, because other flat keys may add to it.
    node[leaf] = dict(value) if isinstance(value, dict) else value


def _purposes(leaves: list[Leaf]) -> list[object]:
    if _are_positions(leaves):
        return _list_at_positions(leaves, _place_at_position)
    purposes: dict[str, JsonObject] = {}
    for segments, value in leaves:
        purpose_id, path = _only_reading(segments, value)
        purpose = purposes.setdefault(purpose_id, {"id": purpose_id})
        if path != ("id",):
            _place_in_purpose(purpose, path, value)
    return list(purposes.values())


def _only_reading(segments: Path, value: object) -> tuple[str, Path]:
    """The purpose id and the path below it. Ids may contain the separator, so every split is tried."""
    readings = [
        (SEPARATOR.join(segments[:at]), segments[at:])
        for at in range(1, len(segments))
        if segments[at] in _PURPOSE_LEAVES and _fits(segments[at], segments[at + 1 :], value)
    ]
    if len(readings) != 1:
        raise AmbiguousError("purposes")
    return readings[0]


def _fits(leaf: str, below: Path, value: object) -> bool:
    """Whether these segments can stand below this leaf of a purpose (didomi.md 2.3)."""
    if leaf in _SCALAR_LEAVES:
        return not below
    if leaf == "values" and below:
        return len(below) > 1 or isinstance(value, dict) or value is None
    return bool(below) or isinstance(value, dict | list) or value is None


def _place_in_purpose(purpose: JsonObject, path: Path, value: object) -> None:
    leaf, *below = path
    match leaf:
        case "values" if below:
            _place(purpose, ("values", *_value_path(tuple(below), value)), value)
        case "channels" | "preferences" if below:
            # Deprecated lists inside a purpose keyed by id: nothing tells their ids and leaves apart.
            raise AmbiguousError(leaf)
        case _:
            _place(purpose, path, value)


def _value_path(below: Path, value: object) -> Path:
    """`freq__value` → the preference id, which may contain the separator, and the key below it."""
    if isinstance(value, dict):
        return (SEPARATOR.join(below),)
    *preference, key = below
    if not preference:
        return (key,)
    if key not in {"value", "from_propagation"}:
        raise AmbiguousError("values")
    return (SEPARATOR.join(preference), key)


def _channels(leaves: list[Leaf]) -> list[object]:
    if _are_positions(leaves):
        return _list_at_positions(leaves, _place)
    channels: dict[str, JsonObject] = {}
    for segments, value in leaves:
        *channel, leaf = segments
        if not channel or "metadata" in channel or leaf not in {"id", "enabled", "metadata"}:
            raise AmbiguousError("channels")
        channel_id = SEPARATOR.join(channel)
        entry = channels.setdefault(channel_id, {"id": channel_id})
        if leaf != "id":
            entry[leaf] = value
    return list(channels.values())


def _are_positions(leaves: list[Leaf]) -> bool:
    """Do all first segments count 0, 1, 2 ...? Ids that are numbers too would be a second reading."""
    firsts = {segments[0] for segments, _ in leaves}
    if not any(first.isascii() and first.isdigit() for first in firsts):
        return False
    if firsts != {str(position) for position in range(len(firsts))}:
        raise AmbiguousError("positions")
    return True


def _list_at_positions(leaves: list[Leaf], place: Callable[[JsonObject, Path, object], None]) -> list[object]:
    """A list from `<position>__<path>`. Each element must say its own id."""
    entries: dict[str, JsonObject] = {}
    for (position, *path), value in leaves:
        if path:
            place(entries.setdefault(position, {}), tuple(path), value)
        elif position in entries or not isinstance(value, dict):
            raise AmbiguousError("positions")
        else:
            entries[position] = dict(value)
    if any("id" not in entry for entry in entries.values()):
        raise AmbiguousError("positions")
    return [entries[str(position)] for position in range(len(entries))]


def _place_at_position(purpose: JsonObject, path: Path, value: object) -> None:
    """Below a purpose whose place in a list is known, all lists are spelt with positions."""
    match path:
        case ("channels" | "preferences", _, *_):
            _place_listed(purpose, path, value)
        case (leaf, *_) if leaf in _PURPOSE_LEAVES:
            _place_in_purpose(purpose, path, value)
        case _:
            _place(purpose, path, value)


def _place_listed(into: JsonObject, path: Path, value: object) -> None:
    """`channels__0__id`: the lists grow as their positions come, in order."""
    name, position, *rest = path
    found = into.setdefault(name, [])
    if not isinstance(found, list) or position not in {str(len(found)), str(len(found) - 1)}:
        raise AmbiguousError(name)
    if position == str(len(found)):
        found.append({})
    entry = found[-1]
    match rest:
        case []:
            if entry or not isinstance(value, dict):
                raise AmbiguousError(name)
            entry.update(value)
        case ["channels", _, *_]:
            _place_listed(entry, tuple(rest), value)
        case _:
            _place(entry, tuple(rest), value)
