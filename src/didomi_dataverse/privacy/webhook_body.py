"""A body with everything personal replaced, so that its shape can be shown and passed on."""

import json

from didomi_dataverse.privacy.mask import _NAME, MASKED, shown_id

# Text that Didomi's schema gives a meaning to (didomi.md 2); anything else may be anything.
_OPEN_KEYS = frozenset(
    {
        "type",
        "regulation",
        "status",
        "created_at",
        "updated_at",
        "version",
        "organization_id",
        "organization_user_id_type",
    }
)
# Below these, an `id` names something of the organization's, and a text in a list does.
_OPEN_LISTS = frozenset({"purposes", "preferences", "channels", "vendors"})


def masked_body(body: bytes) -> object:
    """The JSON of a body with its structure, times, switches and the organization's own ids; None where it
    is no JSON. Identifiers, metadata, proofs, free text and unknown keys' values are replaced.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return _masked(found, "", is_open=False)


def _masked(found: object, key: str, *, is_open: bool) -> object:
    match found:
        case dict():
            below = is_open or key in _OPEN_LISTS
            closed = key in {"metadata", "user", "delegate"}
            return {
                (name if _NAME.fullmatch(name) else MASKED): _masked(
                    value, name, is_open=below and not closed
                )
                for name, value in found.items()
            }
        case list():
            return [_masked(one, key, is_open=is_open or key in _OPEN_LISTS) for one in found]
        case None | bool():
            return found
        case str() if key in _OPEN_KEYS or (is_open and key not in {"value", "metadata"}):
            return shown_id(found)
        case int() if key == "version":
            return found
        case _:
            return MASKED
