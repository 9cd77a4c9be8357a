"""Masks: what is shown in place of an identifier or of free text. Pure."""

import re

MASKED = "***"
"""Stands for a text that must not be shown."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")


def mask(identifier: str) -> str:
    """An identifier for people who already know it: its first and last character, and its length.

    Not a pseudonym: two identifiers can have the same mask.

    >>> mask("ada@example.com")
    'a***m (15 characters)'
    >>> mask("ab")
    '**'
    """
    if len(identifier) <= 2:
        return "*" * len(identifier)
    return f"{identifier[0]}***{identifier[-1]} ({len(identifier)} characters)"


def is_id(text: str) -> bool:
    """Whether a text has the form of an id that an organization gives: a word of at most 64 letters, digits
    and `_.:-`. It says nothing about a person, so it may be shown. Free text and e-mail addresses are not
    ids.

    >>> is_id("newsletter-2"), is_id("please call me"), is_id("ada@example.com")
    (True, False, False)
    """
    return _ID.fullmatch(text) is not None


def shown_id(text: str) -> str:
    """An id as it is; any other text masked. A preference may hold ids or a person's own words.

    >>> shown_id("sport"), shown_id("please call me")
    ('sport', '***')
    """
    return text if is_id(text) else MASKED
