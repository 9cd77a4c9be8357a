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
    return _mask_value(found, "", is_open=False)


def _mask_value(value: object, key: str, *, is_open: bool) -> object:
    """`value` stands under `key`; `is_open`: below one of `_OPEN_LISTS`."""
    match value:
        case dict():
            below = is_open or key in _OPEN_LISTS
            return {
                shown_id(name): _mask_value(one, name, is_open=below and key not in _CLOSED_SECTIONS)
                for name, one in value.items()
            }
        case list():
            return [_mask_value(one, key, is_open=is_open or key in _OPEN_LISTS) for one in value]
        case None | bool():
            return value
        case str() if key in _OPEN_KEYS or (is_open and key not in {"value", "metadata"}):
            return shown_id(value)
        case int() if key == "version":
            return value
        case _:
            return MASKED
