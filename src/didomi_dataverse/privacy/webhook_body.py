"""The body of a webhook with everything personal masked: its shape can be shown and passed on. Pure."""

import json

from didomi_dataverse.privacy.mask import MASKED, shown_id

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
"""Keys whose text Didomi's schema gives a meaning to (didomi.md 2). Any other text may be about a person."""

_OPEN_LISTS = frozenset({"purposes", "preferences", "channels", "vendors"})
"""Below these keys an `id`, or a text in a list, names something of the organization's."""

_CLOSED_SECTIONS = frozenset({"metadata", "user", "delegate"})
"""Directly below these keys, ids are masked as well: they are about a person."""

_FREE_OBJECTS = frozenset({"metadata", "delegate"})
"""Below these keys, customers choose the names (didomi.md 2.1): a name of the schema means nothing there."""


def masked_body(body: bytes) -> object:
    """The JSON of a body with its structure, times, switches and the organization's own ids. None if it is
    not JSON. Identifiers, metadata, proofs, free text and the values of unknown keys are masked.

    >>> masked_body(b'{"user": {"id": "ada"}, "purposes": [{"id": "news", "enabled": true}]}')
    {'user': {'id': '***'}, 'purposes': [{'id': 'news', 'enabled': True}]}
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return _mask_value(found, "", is_open=False, is_free=False)


def _mask_value(value: object, key: str, *, is_open: bool, is_free: bool) -> object:
    """`value` stands under `key`; `is_open`: below one of `_OPEN_LISTS`; `is_free`: below `_FREE_OBJECTS`."""
    is_free = is_free or key in _FREE_OBJECTS
    is_open = not is_free and (is_open or key in _OPEN_LISTS)
    match value:
        case dict():
            is_open = is_open and key not in _CLOSED_SECTIONS
            return {
                shown_id(name): _mask_value(one, name, is_open=is_open, is_free=is_free)
                for name, one in value.items()
            }
        case list():
            return [_mask_value(one, key, is_open=is_open, is_free=is_free) for one in value]
        case None | bool():
            return value
        case str() if not is_free and (key in _OPEN_KEYS or (is_open and key != "value")):
            return shown_id(value)
        case int() if key == "version" and not is_free:
            return value
        case _:
            return MASKED
