"""When the database takes two texts for the same (dataverse.md 1.5, comparison and whitespace)."""

import unicodedata


def fold_case(text: str) -> str:
    """Case-insensitive, blind to trailing blanks: the accent-sensitive collations (`_CI_AS`)."""
    if text.isascii():
        return text.lower().rstrip(" ")
    return unicodedata.normalize("NFC", text).casefold().rstrip(" ")


def fold_case_and_accents(text: str) -> str:
    """Case- and accent-insensitive, blind to trailing blanks: most collations (`_CI_AI`)."""
    if text.isascii():
        return text.lower().rstrip(" ")
    parted = unicodedata.normalize("NFKD", text.casefold())
    return "".join(mark for mark in parted if not unicodedata.combining(mark)).rstrip(" ")
