"""The words of a choice: what is decided (`Item`), what was said (`Value`), when and by whom (`Choice`)."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum


class Basis(StrEnum):
    """The legal ground a purpose is asked on (didomi.md 2.3: `enabled` and `enabled_li`)."""

    CONSENT = "consent"
    LEGITIMATE_INTEREST = "legitimate_interest"


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """One thing a person decides on. An absent part is the empty string, which no Didomi id can be.

    `purpose` is empty for the top-level channels of a notification (didomi.md 2.1, `consents.channels[]`).
    """

    regulation: str
    purpose: str = ""
    preference: str = ""
    channel: str = ""
    basis: Basis = Basis.CONSENT


@dataclass(frozen=True, slots=True, order=True)
class Fact:
    """Something told of the person beside their choices: `country`, `last_seen_country`, `metadata.<path>`.

    Kept apart by regulation, because the mapping is (didomi.md 1.10).
    """

    regulation: str
    path: str


Subject = Item | Fact


@dataclass(frozen=True, slots=True)
class Selection:
    """The values picked under a preference (didomi.md 2.3).

    `ids` is sorted and free of repeats; `text` is the string as received, for preferences that hold free text
    and for value ids that themselves contain a comma. An empty selection is a choice: none of them.
    """

    ids: tuple[str, ...]
    text: str


class Unset(Enum):
    """Nothing is stated or asserted any more: everything that was has been deleted
    (docs/how-choices-are-decided.md, "Deletions").

    No notification says it. It differs from "never chosen", which writes nothing: a column that holds what
    was deleted must be told.
    """

    UNSET = "unset"


UNSET = Unset.UNSET

FactValue = str | int | float
Value = bool | Selection | FactValue | Unset


class Kind(StrEnum):
    """How a notification speaks of an item (docs/how-choices-are-decided.md, "Statements and assertions")."""

    STATEMENT = "statement"  # the person decided this now
    ASSERTION = "assertion"  # a snapshot repeats what was decided some time before


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An item's value, when it was chosen, and which notification says so.

    `made_at` is aware UTC. `didomi_user` is the device-like Didomi user id, empty when none was named.
    `source_id` is the id of the Didomi event that carries the choice, or of the user snapshot where no event
    is named; both families tell of one action under the same source id. `notification` is the digest.
    `told_at` is when the snapshot was taken that tells of a statement, None where no snapshot does.
    """

    subject: Subject
    value: Value = field(repr=False)
    made_at: datetime
    didomi_user: str
    kind: Kind
    source_id: str
    notification: str
    told_at: datetime | None = None


def restrictiveness(value: Value) -> tuple[int, int, tuple[str, ...], str]:
    """Sort key of a value: the smaller, the more restrictive. A total order, so that ties have one winner.

    Unset comes first, then refusal, then selections by how few they pick, then consent; facts are no choices
    and only need some fixed order (didomi.md 1.6: false, fewer values).
    """
    if value is UNSET:
        return (-1, 0, (), "")
    if value is False:
        return (0, 0, (), "")
    if isinstance(value, Selection):
        return (1, len(value.ids), value.ids, value.text)
    if value is True:
        return (2, 0, (), "")
    return (3, 0, (), f"{type(value).__name__}:{value!r}")
