"""Text from outside, made safe for every supported store."""

import re

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# JSON can spell both; PostgreSQL's text cannot hold NUL, and UTF-8 (so SQLite) no half of a surrogate pair.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def is_storable(text: str) -> bool:
    r"""Whether every supported store can hold the text unchanged.

    >>> is_storable("Zoë"), is_storable("a\x00b"), is_storable("\ud800")
    (True, False, False)
    """
    # Nearly all text is ASCII, and Python knows that without scanning the text.
    return (text.isascii() and "\x00" not in text) or _UNSTORABLE.search(text) is None


def clean(text: str) -> str:
    r"""The text with every character that cannot be stored replaced by U+FFFD.

    Only for values taken out of a body: the body itself is kept as received.

    >>> clean("a\x00b")
    'a\ufffdb'
    """
    return text if is_storable(text) else _UNSTORABLE.sub(REPLACEMENT, text)


def clip(text: str, *, max_characters: int) -> str:
    """The text, cleaned and cut to a length that a column can hold.

    >>> clip("abcdef", max_characters=3)
    'abc'
    """
    cut = text[:max_characters]
    # As in `is_storable`, without the calls: every stored notification comes by here several times.
    return cut if cut.isascii() and "\x00" not in cut else clean(cut)
