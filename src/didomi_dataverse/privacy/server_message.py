"""What of a message of the server may be stored, logged and shown."""

import re
from collections.abc import Iterable
from typing import Final

_MAX_KEPT: Final = 500


_MASKED: Final = "***"


# Names that every environment has: hiding them hides what the message is about, and protects nobody.
_PLAIN_WORDS: Final = frozenset(
    {"contact", "contacts", "contactid", "systemuser", "microsoft.dynamics.crm.contact"}
)


_GUID_PATTERN: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


_TELLING: Final = re.compile(
    rf"""
    (?P<kept>\b(?:{_GUID_PATTERN}|0x[0-9a-fA-F]+)\b)
    # An opening quote follows no letter ("doesn't" opens nothing) and the closing one precedes none
    # ("O'Brien" closes nothing). A quote that is never closed hides everything after it: it may have been
    # clipped.
    | (?P<quoted>
          (?<!\w)'.*?(?:'(?!\w)|$) | "[^"]*(?:"|$) | `[^`]*(?:`|$)
        | “[^”]*(?:”|$) | „[^“”]*(?:[“”]|$) | «[^»]*(?:»|$) | (?<!\w)\u2018.*?(?:\u2019(?!\w)|$)
      )
    | (?P<email>[^\s@"'<>()\[\],;:]+@[^\s@"'<>()\[\],;:]+)
    | (?P<digits>\+?\d(?:[\s().\-/]?\d){{4,}})
    """,
    re.VERBOSE,
)


def safe_message(text: str, values: Iterable[str] = (), known_names: Iterable[str] = ()) -> str:
    """The message as it may be stored and logged, at most 500 characters.

    Messages are in the language of the user and can quote what was sent (dataverse.md 5.1), so they are
    masked by shape: everything in quotation marks, whatever looks like an e-mail address, and runs of five or
    more digits however grouped (phone numbers, card numbers). Besides, every one of `values` wherever it
    stands: the identifier and the texts that were written, for those the message repeats without marks.

    Three kinds of quoted things stay, because without them nobody could act: `known_names` (the columns of
    the write, the key column), the names of the tables, and GUIDs. A GUID names a row, which only people with
    access to the environment can resolve; error codes stay as well. `values` win over all of these.
    """
    if not text:
        # What went well says nothing, and that is nearly every answer.
        return ""
    for value in sorted({value for value in values if len(value.strip()) > 2}, key=len, reverse=True):
        text = re.sub(re.escape(value), _MASKED, text, flags=re.IGNORECASE)
    plain = _PLAIN_WORDS | {name.lower() for name in known_names}
    text = _TELLING.sub(lambda found: _masked(found, plain), text)
    return text if len(text) <= _MAX_KEPT else text[: _MAX_KEPT - 2].rstrip() + " …"


def _masked(found: re.Match[str], plain: frozenset[str]) -> str:
    whole = found[0]
    if found["kept"] is not None:
        return whole
    if found["quoted"] is not None and len(whole) > 2:
        inner = whole[1:-1]
        if inner.lower() in plain or re.fullmatch(_GUID_PATTERN, inner):
            return whole
        return whole[0] + _MASKED + (whole[-1] if not whole[-1].isalnum() else "")
    return _MASKED
