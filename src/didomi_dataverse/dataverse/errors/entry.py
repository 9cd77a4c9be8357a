"""What a row of the error table says (dataverse.md 5.2 and 5.3)."""

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """The classes of action that an answer can call for (dataverse.md 5.2)."""

    DONE = "done"
    """Nothing: the write was carried out, or the read was answered."""

    RETRY = "retry"
    """Send the same again later: bounded, with exponential pauses and jitter."""

    WAIT = "wait"
    """Honour `retry_after` and pause the whole sender. Not counted as an attempt."""

    TOKEN = "token"  # noqa: S105 - a word, not a secret
    """Renew the token and repeat. The client has done so already, so everywhere else this is an alert."""

    REUPSERT = "reupsert"
    """The row exists, or a race was lost: send again, once, as update-only. After that as DEAD."""

    RE_RESOLVE = "re_resolve"
    """No row has this GUID (deleted, merged): look it up again, once. Where it was not looked up, as SKIP."""

    SPLIT = "split"
    """Send again in halves, so that one bad row does not fail the others. `Entry.alone` says what it means
    for a row alone."""

    SKIP = "skip"
    """No such row, as an update-only write must expect."""

    DEAD = "dead"
    """This row cannot be written as it is."""

    ALERT = "alert"
    """Configuration or rights: nothing can be written until a person acts. Given to some parts of a call
    while others were done, it concerns those rows only (a right that depends on the row's owner)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of the error table."""

    action: Action
    """What the answer calls for."""

    advice: str
    """What happened and what a person can do, in whole sentences, without data. Empty where nothing needs
    doing."""

    codes: tuple[str, ...] = ()
    """Error codes that identify it, as lower-case hex."""

    names: tuple[str, ...] = ()
    """Symbolic names that identify it."""

    status: int | None = None
    """The one HTTP status with which codes and names count; None for any."""

    max_attempts: int | None = None
    """How often RETRY tries at most; None for the caller's own bound."""

    alone: Action = Action.DEAD
    """What SPLIT means for a row that is alone in its call."""

    mapping_fault: bool = False
    """Whether the mapping, rather than this row, is probably wrong: an alert where all rows of a call fail
    so."""
