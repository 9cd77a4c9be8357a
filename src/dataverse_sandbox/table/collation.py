"""When the database takes two values for the same (dataverse.md 1.5, comparison and whitespace)."""

import unicodedata
from collections.abc import Callable

from dataverse_sandbox.table.column import Value

Collation = Callable[[str], str]
"""Text → the form in which equal texts are equal."""

ComparisonKey = Value | tuple[Value, ...]
"""The comparable form of one value, or of the values of a key."""


def fold_case(text: str) -> str:
    """Ignores case and trailing blanks: the accent-sensitive collations (`_CI_AS`).

    >>> fold_case("René ") == fold_case("RENÉ"), fold_case("René") == fold_case("Rene")
    (True, False)
    """
    if text.isascii():
        return text.lower().rstrip(" ")
    return unicodedata.normalize("NFC", text).casefold().rstrip(" ")


def fold_case_and_accents(text: str) -> str:
    """Ignores case, accents and trailing blanks: most collations (`_CI_AI`).

    >>> fold_case_and_accents("René ")
    'rene'
    """
    if text.isascii():
        return text.lower().rstrip(" ")
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(mark for mark in decomposed if not unicodedata.combining(mark)).rstrip(" ")


def comparison_key(value: Value, collation: Collation) -> Value:
    """The form in which two values are the same to the database."""
    return collation(value) if isinstance(value, str) else value
