"""What a mapping is, once read: a flat list of rules, each from one source to one column in one form."""

import collections.abc
import hashlib
import json
from dataclasses import asdict, dataclass

from didomi_dataverse.consent.model import Fact, Item

FORM_VERSION = 1
"""Raise it when a release writes other values for the same rules, so that known contacts are mapped again."""


# --- Where a value comes from. An Item or a Fact stands for itself.


@dataclass(frozen=True, slots=True)
class AnyPurpose:
    """A preference under whichever purpose it comes; the newest choice of them counts."""

    regulation: str
    preference: str


@dataclass(frozen=True, slots=True)
class NewestOf:
    """The newest choice among some items, whatever was chosen: for the column that says when."""

    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class NewestMapped:
    """The newest choice that any rule of a regulation turned into a column value."""

    regulation: str


Stamped = NewestOf | NewestMapped
Source = Item | Fact | AnyPurpose | Stamped


# --- How a value is written (dataverse.md 6.1).


@dataclass(frozen=True, slots=True)
class YesNo:
    """A Yes/No column. `unset` is what a created row gets where nothing was chosen."""

    invert: bool
    unset: bool | None


@dataclass(frozen=True, slots=True)
class ConsentLabels:
    """A Choice column (option values) or a text column (words) that says whether consent was given."""

    granted: int | str
    refused: int | str


@dataclass(frozen=True, slots=True)
class OneOf:
    """A Choice column for a preference with one value: value id → option value. `none` is for no value."""

    values: collections.abc.Mapping[str, int]
    none: int | None


@dataclass(frozen=True, slots=True)
class ManyOf:
    """A Choices column (multi-select): value id → option value."""

    values: collections.abc.Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SelectionFlag:
    """A Yes/No column for one value of a preference: picked or not. `known` are all value ids that the
    preference's rule names, and `preference_path` is where that rule stands.
    """

    value_id: str
    known: frozenset[str]
    invert: bool
    preference_path: str


@dataclass(frozen=True, slots=True)
class SelectionText:
    """A text column that takes a preference as it was received."""

    max_units: int | None


@dataclass(frozen=True, slots=True)
class FactText:
    """A text column for something told of the person. `max_units` are UTF-16 units, as Dataverse counts."""

    max_units: int | None


@dataclass(frozen=True, slots=True)
class Number:
    """A Whole number column, or one of decimals."""

    whole: bool


@dataclass(frozen=True, slots=True)
class DateTimeFormat:
    """A Date and time column, or a Date only one, that says when."""

    date_only: bool


@dataclass(frozen=True, slots=True)
class SourceId:
    """A text column for the Didomi id of the event that carried the newest choice."""


Form = (
    YesNo
    | ConsentLabels
    | OneOf
    | ManyOf
    | SelectionFlag
    | SelectionText
    | FactText
    | Number
    | DateTimeFormat
    | SourceId
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One column of the mapping. `path` is where it stands in the file, dotted; `regulation` is in lower
    case.
    """

    path: str
    regulation: str
    column: str
    source: Source
    form: Form


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """The whole mapping. `fingerprint` changes exactly when other values could be written than before."""

    rules: tuple[Rule, ...]
    fingerprint: str


def mapping_of(rules: collections.abc.Iterable[Rule]) -> ColumnMapping:
    """A mapping with its fingerprint: a SHA-256 (hex) over what the rules mean, not over how they are spelt.

    Neither their order nor their place in the file counts, so moving lines about maps no contact again.
    """
    kept = tuple(rules)
    meanings = sorted(json.dumps(_meaning(rule), sort_keys=True, ensure_ascii=True) for rule in kept)
    digest = hashlib.sha256("\n".join([f"version {FORM_VERSION}", *meanings]).encode("ascii"))
    return ColumnMapping(kept, digest.hexdigest())


def mapped_regulations(mapping: ColumnMapping) -> frozenset[str]:
    """The regulations that have rules, in lower case (didomi.md 1.10)."""
    return frozenset(rule.regulation for rule in mapping.rules)


def _meaning(rule: Rule) -> dict[str, object]:
    form = asdict(rule.form)
    form.pop("preference_path", None)
    if isinstance(rule.form, SelectionFlag):
        # The other values of the preference tell a comma inside an id from one between ids (didomi.md 2.3).
        form["known"] = sorted(rule.form.known)
    return {
        "column": rule.column,
        "regulation": rule.regulation,
        "source": [type(rule.source).__name__, asdict(rule.source)],
        "form": [type(rule.form).__name__, form],
    }
