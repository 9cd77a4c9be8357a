"""The values of the consent domain: `Item`, `Fact`, `Value` and `Choice`."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum


class Basis(StrEnum):
    """The legal basis on which a purpose is asked (didomi.md 2.3: `enabled` and `enabled_li`)."""

    CONSENT = "consent"
    LEGITIMATE_INTEREST = "legitimate_interest"


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """One thing that a person decides on. An absent part is the empty string, which no Didomi id can be."""

    regulation: str
    """In lower case, e.g. `gdpr`. Never empty."""
    purpose: str = ""
    """Empty for the top-level channels of a notification (didomi.md 2.1, `consents.channels[]`)."""
    preference: str = ""
    """A preference of the purpose; empty for the purpose itself."""
    channel: str = ""
    """A channel of the purpose or preference; empty for all channels."""
    basis: Basis = Basis.CONSENT


@dataclass(frozen=True, slots=True, order=True)
class Fact:
    """A value about the person that is not a choice. Facts are kept apart by regulation, as the mapping is
    (didomi.md 1.10).
    """

    regulation: str
    """In lower case, e.g. `gdpr`. Never empty."""
    path: str
    """`country`, `last_seen_country`, `organization_user_id_type` or `metadata.<path>`."""


Subject = Item | Fact
"""What a value is about, and so what a register is about."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The values picked under a preference (didomi.md 2.3). An empty selection is a choice: none of them."""

    ids: tuple[str, ...]
    """The picked value ids, sorted and without repeats."""
    text: str
    """The string as received: for preferences that hold free text, and for value ids that contain a comma."""


class Unset(Enum):
    """All statements and assertions about an item have been deleted (docs/how-choices-are-decided.md,
    "Deletions").

    No notification says it. It differs from "never chosen", which writes nothing: a column that still holds
    the deleted choice must be updated.
    """

    UNSET = "unset"


UNSET = Unset.UNSET

FactValue = str | int | float
"""The value of a fact. A bool is an int, and so included."""

Value = bool | Selection | FactValue | Unset
"""The value of a subject: True and False are consent and refusal, a `Selection` belongs to a preference."""


JsonScalar = str | int | float | bool | None
"""What a column is told, and what the ledger keeps of that. `config` and `dataverse` define it
for themselves, because they may not import this package.
"""


class ChoiceKind(StrEnum):
    """How a notification speaks of an item (docs/how-choices-are-decided.md, "Statements and assertions")."""

    STATEMENT = "statement"  # the person decided this now
    ASSERTION = "assertion"  # a snapshot repeats what was decided some time before


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A subject's value, when it was chosen, and which notification says so."""

    subject: Subject
    value: Value = field(repr=False)
    made_at: datetime
    """When the person chose, aware UTC. For an assertion: when the snapshot was taken."""
    didomi_user: str
    """The Didomi user id, in practice one device. Empty when the notification names none."""
    kind: ChoiceKind
    source_id: str
    """The id of the Didomi event that carries the choice, or of the user snapshot where no event is named.
    Both families tell of one action under the same source id.
    """
    notification: str
    """The digest of the notification that says so."""
    told_at: datetime | None = None
    """When the snapshot was taken that tells of a statement, aware UTC. None where no snapshot does."""


def is_same_value(one: object, other: object) -> bool:
    """Whether two values are equal and of one type.

    For Python `True == 1`; for a person a yes is not a number, and for Dataverse a Yes/No is not an option.

    >>> is_same_value(True, True), is_same_value(True, 1), is_same_value(1, 1.0)
    (True, False, False)
    """
    return type(one) is type(other) and one == other


def restrictiveness(value: Value) -> tuple[int, int, tuple[str, ...], str]:
    """Sort key of a value: the smaller, the more restrictive. A total order, so that ties have one winner.

    Unset comes first, then refusal, then selections by how few they pick, then consent (didomi.md 1.6:
    false, fewer values). Facts are not choices and only need a fixed order.

    >>> some, none = Selection(("sport",), "sport"), Selection((), "")
    >>> sorted([True, some, False, none], key=restrictiveness) == [False, none, some, True]
    True
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
