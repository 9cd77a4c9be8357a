"""Text from outside, made safe for every store that it may end up in."""

import re

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# JSON can spell both; PostgreSQL's text cannot hold NUL, and UTF-8 (so SQLite) no half of a surrogate pair.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> bool:
    """Whether every supported store can hold the text as it is."""
    # Nearly all text is ASCII, and that is known without looking at it.
    return (text.isascii() and "\x00" not in text) or _UNSTORABLE.search(text) is None


def cleaned(text: str) -> str:
    """The text with what cannot be stored replaced by U+FFFD. The body that is kept stays as it came."""
    return text if storable(text) else _UNSTORABLE.sub(REPLACEMENT, text)


def clipped(text: str, *, max_characters: int) -> str:
    """The text, cleaned and cut to a length that a column can hold."""
    return cleaned(text[:max_characters])
