"""A parsed mapping: a flat list of rules, each from one source to one column in one format. Pure."""

import collections.abc
import hashlib
import json
from dataclasses import asdict, dataclass

from didomi_dataverse.consent.model import Fact, Item

CONVERSION_VERSION = 1
"""Raise it when a release writes other values for the same rules: known contacts are then mapped again.

Not raised: contacts keep the old values until a person chooses again. Raised without need: one more pass over
every contact.
"""


# --- Where a value comes from. An Item or a Fact stands for itself.


@dataclass(frozen=True, slots=True)
class AnyPurpose:
    """A preference under any purpose. The newest choice among the purposes counts."""

    regulation: str
    """In lower case."""

    preference: str
    """Didomi's preference id."""


@dataclass(frozen=True, slots=True)
class NewestOf:
    """The newest choice among `items`, whatever was chosen: for the audit column of a purpose."""

    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class NewestMapped:
    """The newest choice that any rule of `regulation` turned into a column value."""

    regulation: str


AuditSource = NewestOf | NewestMapped
"""What an audit column (`changed_at`, `notification_id`) describes."""

Source = Item | Fact | AnyPurpose | AuditSource


# --- How a value is written (dataverse.md 6.1).


@dataclass(frozen=True, slots=True)
class YesNo:
    """A Yes/No column."""

    invert: bool
    """True: the column is true where consent is refused."""

    unset: bool | None
    """What a created row holds where nothing was chosen. None: the column stays empty."""


@dataclass(frozen=True, slots=True)
class ConsentLabels:
    """A Choice column (option values) or a text column (words) that says whether consent was given."""

    granted: int | str
    refused: int | str


@dataclass(frozen=True, slots=True)
class OneOf:
    """A Choice column for a preference with one value."""

    values: collections.abc.Mapping[str, int]
    """Didomi's value id → option value. Each option value occurs once."""

    none: int | None
    """The option value for "nothing chosen". None: the column stays empty."""


@dataclass(frozen=True, slots=True)
class ManyOf:
    """A Choices column (multi-select) for a preference with several values."""

    values: collections.abc.Mapping[str, int]
    """Didomi's value id → option value. Each option value occurs once."""


@dataclass(frozen=True, slots=True)
class SelectionFlag:
    """A Yes/No column for one value of a preference: selected or not."""

    value_id: str
    """Didomi's id of the value."""

    known: frozenset[str]
    """Every value id that the rule of the preference names, `value_id` among them."""

    invert: bool
    """True: the column is true where the value is not selected."""

    preference_path: str
    """The dotted path of the preference's rule in the file. All its flags report under it."""


@dataclass(frozen=True, slots=True)
class SelectionText:
    """A text column that takes a preference as it was received."""

    max_units: int | None
    """Longer text is cut to this many UTF-16 units, as Dataverse counts. None: it is never cut."""


@dataclass(frozen=True, slots=True)
class FactText:
    """A text column for a fact about the person."""

    max_units: int | None
    """Longer text is cut to this many UTF-16 units, as Dataverse counts. None: it is never cut."""


@dataclass(frozen=True, slots=True)
class Number:
    """A column for a number that Didomi tells."""

    whole: bool
    """True: a Whole number column (32 bits). False: a Decimal or Floating point column."""


@dataclass(frozen=True, slots=True)
class DateTimeFormat:
    """An audit column for a time."""

    date_only: bool
    """True: a Date only column. False: a Date and time column."""


@dataclass(frozen=True, slots=True)
class SourceId:
    """An audit column (text) for the Didomi id of the event that carried the newest choice."""


ValueFormat = YesNo | ConsentLabels | OneOf | ManyOf | SelectionFlag | SelectionText | FactText | Number
"""Formats of columns that hold a choice or a fact."""

AuditFormat = DateTimeFormat | SourceId
"""Formats of audit columns."""

ColumnFormat = ValueFormat | AuditFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One column of the mapping."""

    path: str
    """Where the rule stands in the file, dotted: `mapping.gdpr.purposes.newsletter`."""

    regulation: str
    """In lower case."""

    column: str
    """The column's logical name. A mapping has one rule per column."""

    source: Source
    """Where the value comes from."""

    format: ColumnFormat
    """How the value is written."""


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """The whole mapping."""

    rules: tuple[Rule, ...]
    """In the order of the file."""

    fingerprint: str
    """SHA-256 (hex) of what the rules mean. It changes exactly when other values could be written."""


def build_mapping(rules: collections.abc.Iterable[Rule]) -> ColumnMapping:
    """A mapping of `rules` with its fingerprint.

    The fingerprint covers what the rules mean. Neither their order nor their place in the file counts, so
    moving lines in the file maps no contact again.
    """
    kept = tuple(rules)
    meanings = sorted(json.dumps(_meaning(rule), sort_keys=True, ensure_ascii=True) for rule in kept)
    digest = hashlib.sha256("\n".join([f"version {CONVERSION_VERSION}", *meanings]).encode("ascii"))
    return ColumnMapping(kept, digest.hexdigest())


def mapped_regulations(mapping: ColumnMapping) -> frozenset[str]:
    """The regulations that have at least one rule, in lower case (didomi.md 1.10)."""
    return frozenset(rule.regulation for rule in mapping.rules)


_FINGERPRINT_NAMES: collections.abc.Mapping[type[Source | ColumnFormat], str] = {
    Item: "Item",
    Fact: "Fact",
    AnyPurpose: "AnyPurpose",
    NewestOf: "NewestOf",
    NewestMapped: "NewestMapped",
    YesNo: "YesNo",
    ConsentLabels: "Marked",
    OneOf: "OneOf",
    ManyOf: "ManyOf",
    SelectionFlag: "Picked",
    SelectionText: "SelectionText",
    FactText: "FactText",
    Number: "Number",
    DateTimeFormat: "Moment",
    SourceId: "SourceId",
}
"""What the fingerprint calls each class. Stored data: a class may be renamed, its word here never changes."""


def _meaning(rule: Rule) -> dict[str, object]:
    # The names of the fields count too: renaming one changes every stored fingerprint.
    column_format = asdict(rule.format)
    column_format.pop("preference_path", None)
    if isinstance(rule.format, SelectionFlag):
        # The other values of the preference tell a comma inside an id from one between ids (didomi.md 2.3).
        column_format["known"] = sorted(rule.format.known)
    return {
        "column": rule.column,
        "regulation": rule.regulation,
        "source": [_FINGERPRINT_NAMES[type(rule.source)], asdict(rule.source)],
        "form": [_FINGERPRINT_NAMES[type(rule.format)], column_format],
    }
