"""Undoes the "flatten" option of Didomi's webhooks where only one structure is possible (didomi.md 1.7).

The exact keys are not public. This module accepts every spelling that the fact page considers possible, and
refuses to choose where the keys allow two structures.
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
"""The path of a value below an entity, and the value."""


class AmbiguousKeyError(Exception):
    """A flat key allows no structure, or more than one."""


def is_flat(envelope: JsonObject) -> bool:
    """Whether the option was on: a part of the parameters is spelt in keys with a double underscore.

    >>> is_flat({"type": "event.created", "parameters": {"entity__id": "E1"}})
    True
    >>> is_flat({"type": "event.created", "parameters": {"entity": {"id": "E1"}}})
    False
    """
    if any(_is_flat_key(key) for key in envelope):
        return True
    wrapped = envelope.get(_WRAPPER)
    if isinstance(wrapped, dict):
        return any(_is_flat_key(key) or _has_flat_keys(value) for key, value in wrapped.items())
    # An entity without the wrapper that every other notification has.
    return wrapped is None and any(isinstance(envelope.get(part), dict) for part in ("entity", "new_entity"))


def rebuild(envelope: JsonObject) -> JsonObject:
    """The envelope as it would be with the option off, except that `new_entity` stays `entity`.

    Raises AmbiguousKeyError when a flat key allows no structure or two.

    >>> rebuild({"type": "event.created", "parameters": {"entity__user__id": "U1"}})
    {'type': 'event.created', 'parameters': {'entity': {'user': {'id': 'U1'}}}}
    """
    whole: dict[str, object] = {}
    flat: dict[str, dict[str, object]] = {}
    for path, value in _iterate_parameters(envelope):
        part, _, rest = path.partition(SEPARATOR)
        if part not in _PARTS:
            continue
        if part in whole or (rest and rest in flat.get(part, {})):
            raise AmbiguousKeyError(part)
        if rest:
            flat.setdefault(part, {})[rest] = value
        elif isinstance(value, dict) and _has_flat_keys(value):
            flat.setdefault(part, {}).update(value)
        else:
            whole[part] = value
    if "entity" in flat and "new_entity" in flat:
        raise AmbiguousKeyError("entity")
    for part, members in flat.items():
        if whole.get(part) is not None:
            raise AmbiguousKeyError(part)
        whole[part] = _rebuild_entity(members)
    outside = {key: value for key, value in envelope.items() if not _is_flat_key(key) and key != _WRAPPER}
    return {**outside, _WRAPPER: whole}


def _is_flat_key(key: str) -> bool:
    head, separator, _ = key.partition(SEPARATOR)
    return bool(separator) and (head == _WRAPPER or head in _PARTS)


def _has_flat_keys(part: object) -> bool:
    return isinstance(part, dict) and any(SEPARATOR in key for key in part)


def _iterate_parameters(envelope: JsonObject) -> Iterator[tuple[str, object]]:
    """Every member of the parameters, wherever it stands, without the wrapper's name."""
    for key, value in envelope.items():
        if key == _WRAPPER:
            if isinstance(value, dict):
                yield from value.items()
        else:
            yield key.removeprefix(_WRAPPER + SEPARATOR), value


def _rebuild_entity(members: Mapping[str, object]) -> JsonObject:
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
                pass  # they are never mapped to a column
            case _:
                _place(entity, segments, value)
    for name, leaves, build in (
        ("purposes", purposes, _rebuild_purposes),
        ("channels", channels, _rebuild_channels),
    ):
        if leaves:
            consents = entity.setdefault("consents", {})
            if not isinstance(consents, dict) or name in consents:
                raise AmbiguousKeyError(name)
            consents[name] = build(leaves)
    return entity


def _place(into: JsonObject, segments: Path, value: object) -> None:
    """Put a value at its path. Lists outside of `consents` hold nothing that we read: positions stay keys."""
    *parents, leaf = segments
    node = into
    for parent in parents:
        below = node.setdefault(parent, {})
        if not isinstance(below, dict):
            raise AmbiguousKeyError(parent)
        node = below
    if leaf in node:
        raise AmbiguousKeyError(leaf)
    # A copy, because other flat keys may add to it.
    node[leaf] = dict(value) if isinstance(value, dict) else value


def _rebuild_purposes(leaves: list[Leaf]) -> list[object]:
    if _has_positions(leaves):
        return _rebuild_list(leaves, _place_in_listed_purpose)
    purposes: dict[str, JsonObject] = {}
    for segments, value in leaves:
        purpose_id, path = _split_purpose_id(segments, value)
        purpose = purposes.setdefault(purpose_id, {"id": purpose_id})
        if path != ("id",):
            _place_in_purpose(purpose, path, value)
    return list(purposes.values())


def _split_purpose_id(segments: Path, value: object) -> tuple[str, Path]:
    """The purpose id and the path below it. Ids may contain the separator, so every split is tried."""
    splits = [
        (SEPARATOR.join(segments[:at]), segments[at:])
        for at in range(1, len(segments))
        if segments[at] in _PURPOSE_LEAVES and _is_valid_below(segments[at], segments[at + 1 :], value)
    ]
    if len(splits) != 1:
        raise AmbiguousKeyError("purposes")
    return splits[0]


def _is_valid_below(leaf: str, below: Path, value: object) -> bool:
    """Whether a leaf of a purpose can have these segments below it (didomi.md 2.3)."""
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
            # Deprecated lists inside a purpose keyed by id: their ids and leaves cannot be told apart.
            raise AmbiguousKeyError(leaf)
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
        raise AmbiguousKeyError("values")
    return (SEPARATOR.join(preference), key)


def _rebuild_channels(leaves: list[Leaf]) -> list[object]:
    if _has_positions(leaves):
        return _rebuild_list(leaves, _place)
    channels: dict[str, JsonObject] = {}
    for segments, value in leaves:
        *channel, leaf = segments
        if not channel or "metadata" in channel or leaf not in {"id", "enabled", "metadata"}:
            raise AmbiguousKeyError("channels")
        channel_id = SEPARATOR.join(channel)
        entry = channels.setdefault(channel_id, {"id": channel_id})
        if leaf != "id":
            entry[leaf] = value
    return list(channels.values())


def _has_positions(leaves: list[Leaf]) -> bool:
    """Whether all first segments count 0, 1, 2 ... Raises AmbiguousKeyError where only some are numbers."""
    firsts = {segments[0] for segments, _ in leaves}
    if not any(first.isascii() and first.isdigit() for first in firsts):
        return False
    if firsts != {str(position) for position in range(len(firsts))}:
        raise AmbiguousKeyError("positions")
    return True


def _rebuild_list(leaves: list[Leaf], place: Callable[[JsonObject, Path, object], None]) -> list[object]:
    """A list from `<position>__<path>`. Each element must have an `id` of its own."""
    entries: dict[str, JsonObject] = {}
    for (position, *path), value in leaves:
        if path:
            place(entries.setdefault(position, {}), tuple(path), value)
        elif position in entries or not isinstance(value, dict):
            raise AmbiguousKeyError("positions")
        else:
            entries[position] = dict(value)
    if any("id" not in entry for entry in entries.values()):
        raise AmbiguousKeyError("positions")
    return [entries[str(position)] for position in range(len(entries))]


def _place_in_listed_purpose(purpose: JsonObject, path: Path, value: object) -> None:
    """Put a value into a purpose whose position is known: all lists below it are spelt with positions."""
    match path:
        case ("channels" | "preferences", _, *_):
            _place_in_list(purpose, path, value)
        case (leaf, *_) if leaf in _PURPOSE_LEAVES:
            _place_in_purpose(purpose, path, value)
        case _:
            _place(purpose, path, value)


def _place_in_list(into: JsonObject, path: Path, value: object) -> None:
    """Put a value into a list by its position, e.g. `channels__0__id`. Positions must come in order."""
    name, position, *rest = path
    found = into.setdefault(name, [])
    if not isinstance(found, list) or position not in {str(len(found)), str(len(found) - 1)}:
        raise AmbiguousKeyError(name)
    if position == str(len(found)):
        found.append({})
    entry = found[-1]
    match rest:
        case []:
            if entry or not isinstance(value, dict):
                raise AmbiguousKeyError(name)
            entry.update(value)
        case ["channels", _, *_]:
            _place_in_list(entry, tuple(rest), value)
        case _:
            _place(entry, tuple(rest), value)
