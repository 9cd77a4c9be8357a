"""Spellings that hide an identifier and still tell it from others."""

import re


def mask(identifier: str) -> str:
    """A spelling for people who already know the identifier: first and last character, and the length."""
    if len(identifier) <= 2:
        return "*" * len(identifier)
    return f"{identifier[0]}***{identifier[-1]} ({len(identifier)} characters)"


MASKED = "***"


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")


def shown_id(text: str) -> str:
    """A value id as it is; free text, which a preference may hold as well, is replaced."""
    return text if _NAME.fullmatch(text) else MASKED
