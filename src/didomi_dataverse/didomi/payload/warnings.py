"""What is odd about a body but did not stop it: short fixed words, each with its place in the body."""

from didomi_dataverse.text import clip

MAX_WARNINGS = 50
"""Per body. Too small: the cause of a wrong value is not in the list. Too large: a body full of mistakes
becomes a large row.
"""

MAX_PATH_CHARACTERS = 120
"""Per warning. A path is built from keys that others choose, so its length must be bounded."""


class ParseWarnings:
    """Collects the warnings of one body, each once and in order.

    A path names keys and positions of the body, never a value.
    """

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[str, None] = {}

    def add(self, word: str, path: str = "") -> None:
        """Add `word`, one of a fixed set, at `path`, e.g. `consents.purposes[3].enabled`.

        >>> warnings = ParseWarnings()
        >>> warnings.add("wrong_type", "consents")
        >>> warnings.to_tuple()
        ('wrong_type consents',)
        """
        if len(self._found) < MAX_WARNINGS:
            where = clip(path, max_characters=MAX_PATH_CHARACTERS)
            self._found[f"{word} {where}" if where else word] = None
        elif len(self._found) == MAX_WARNINGS:
            self._found["more_notes_left_out"] = None

    def to_tuple(self) -> tuple[str, ...]:
        """Everything collected so far. Ends with `more_notes_left_out` when there was more."""
        return tuple(self._found)
