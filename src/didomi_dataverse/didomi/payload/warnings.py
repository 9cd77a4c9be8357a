"""Oddities that did not stop a notification: short fixed words, each with the place in the body."""

from didomi_dataverse.text import clip

MAX_NOTES = 50
MAX_PATH_CHARACTERS = 120


class ParseWarnings:
    """Collects notes while one body is read; bounded, so that a body full of errors stays a small row.

    A path names keys and positions of the body, never a value.
    """

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[str, None] = {}

    def add(self, word: str, path: str = "") -> None:
        """Note `word`, one of a fixed set, at `path`, e.g. `consents.purposes[3].enabled`."""
        if len(self._found) < MAX_NOTES:
            where = clip(path, max_characters=MAX_PATH_CHARACTERS)
            self._found[f"{word} {where}" if where else word] = None
        elif len(self._found) == MAX_NOTES:
            self._found["more_notes_left_out"] = None

    def found(self) -> tuple[str, ...]:
        """Everything noted so far, in order, each once."""
        return tuple(self._found)
