"""What of an error message of Dataverse may be stored, logged and shown. Pure."""

import re
from collections.abc import Iterable
from typing import Final

from didomi_dataverse.privacy.mask import MASKED

MAX_CHARACTERS: Final = 500
"""Longer messages are cut. Too small: the end of Dataverse's longer messages is lost. Too large: rows and log
lines grow, and so does what a mask may have missed."""

# Names that every environment has: hiding them hides what the message is about, and protects no person.
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
    """The message as it may be stored and logged, at most `MAX_CHARACTERS` long.

    Messages are in the language of the user and can quote what was sent (dataverse.md 5.1). So they are
    masked by shape: everything in quotation marks, everything that looks like an e-mail address, and runs of
    five or more digits, grouped or not (phone numbers, card numbers). In addition, each of `values` is masked
    wherever it stands: pass the identifier and the texts that were written, because the message may repeat
    them without quotation marks.

    Three kinds of quoted things stay, because an operator needs them to act: `known_names` (the columns of
    the write, the key column), the names of the tables, and GUIDs. A GUID names a row, which only people with
    access to the environment can resolve. Error codes stay as well. `values` win over all of these.

    >>> safe_message("The value 'Ada' of 'new_title' is too long.", known_names=["new_title"])
    "The value '***' of 'new_title' is too long."
    >>> safe_message("A contact for ada lovelace exists.", values=["Ada Lovelace"])
    'A contact for *** exists.'
    """
    if not text:
        # Nearly every reply is a success, which has no message.
        return ""
    for value in sorted({value for value in values if len(value.strip()) > 2}, key=len, reverse=True):
        text = re.sub(re.escape(value), MASKED, text, flags=re.IGNORECASE)
    plain = _PLAIN_WORDS | {name.lower() for name in known_names}
    text = _TELLING.sub(lambda found: _mask_match(found, plain), text)
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 2].rstrip() + " …"


def _mask_match(found: re.Match[str], plain: frozenset[str]) -> str:
    whole = found[0]
    if found["kept"] is not None:
        return whole
    if found["quoted"] is not None and len(whole) > 2:
        inner = whole[1:-1]
        if inner.lower() in plain or re.fullmatch(_GUID_PATTERN, inner):
            return whole
        return whole[0] + MASKED + (whole[-1] if not whole[-1].isalnum() else "")
    return MASKED
