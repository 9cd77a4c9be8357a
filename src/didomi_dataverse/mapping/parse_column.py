"""One column of the mapping, as written in the file → its name and format. Every mistake is reported."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from didomi_dataverse.config.document import Document, KeyPath, Node, suggest_key
from didomi_dataverse.config.types import is_column_name
from didomi_dataverse.errors import Problem
from didomi_dataverse.mapping.convert import INT32_RANGE
from didomi_dataverse.mapping.rules import (
    ColumnFormat,
    ConsentLabels,
    DateTimeFormat,
    FactText,
    ManyOf,
    Number,
    OneOf,
    SelectionText,
    YesNo,
)

RESTRICTIVE_WHEN_TRUE = frozenset(
    {
        "donotbulkemail",
        "donotbulkpostalmail",
        "donotemail",
        "donotfax",
        "donotphone",
        "donotpostalmail",
        "donotsendmm",
        "msdyn_disablewebtracking",
        "msgdpr_donottrack",
    }
)
"""Built-in Yes/No columns of contact where true forbids (dataverse.md 6.2)."""

RESTRICTIVE_WHEN_FALSE = frozenset({"followemail"})
"""Built-in Yes/No columns of contact where true allows (dataverse.md 6.2)."""

MAX_TEXT_UNITS = 1_048_576
"""Largest `max_length`: the longest text, in UTF-16 units, that any Dataverse column can be made to hold."""

_WHOLE = re.compile(r"[+-]?[0-9][0-9_]*")
_YES_NO = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class SourceKind(StrEnum):
    """What a column is to hold. It decides which formats the column may take. The values are for messages."""

    DECISION = "a consent"
    PREFERENCE = "a preference"
    PERSON = "a fact about the person"
    TIME = "a time"


class FormatName(StrEnum):
    """The words of `as`: the type of the column in Dataverse."""

    YES_NO = "yes_no"
    CHOICE = "choice"
    CHOICES = "choices"
    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    DATETIME = "datetime"
    DATE = "date"


_FORMATS: Mapping[SourceKind, tuple[FormatName, ...]] = {
    SourceKind.DECISION: (FormatName.YES_NO, FormatName.CHOICE, FormatName.TEXT),
    SourceKind.PREFERENCE: (FormatName.YES_NO, FormatName.CHOICE, FormatName.CHOICES, FormatName.TEXT),
    SourceKind.PERSON: (FormatName.TEXT, FormatName.INTEGER, FormatName.DECIMAL, FormatName.YES_NO),
    SourceKind.TIME: (FormatName.DATETIME, FormatName.DATE),
}
"""The formats of each kind of source. The first is that of the short form."""

_OPTIONS: Mapping[tuple[SourceKind, FormatName], tuple[str, ...]] = {
    (SourceKind.DECISION, FormatName.YES_NO): ("invert",),
    (SourceKind.DECISION, FormatName.CHOICE): ("granted", "refused"),
    (SourceKind.DECISION, FormatName.TEXT): ("granted", "refused"),
    (SourceKind.PREFERENCE, FormatName.YES_NO): ("invert",),
    (SourceKind.PREFERENCE, FormatName.CHOICE): ("values", "none"),
    (SourceKind.PREFERENCE, FormatName.CHOICES): ("values",),
    (SourceKind.PREFERENCE, FormatName.TEXT): ("max_length",),
    (SourceKind.PERSON, FormatName.TEXT): ("max_length",),
    (SourceKind.PERSON, FormatName.YES_NO): ("invert",),
}
"""The keys that may stand beside `column` and `as`."""

OPTION_KEYS = frozenset(option for options in _OPTIONS.values() for option in options)
"""All of them: the keys beside `column` and `as` that some format takes."""


@dataclass(slots=True)
class Report:
    """The problems found in a document so far. It grows while the document is parsed."""

    document: Document
    problems: list[Problem] = field(default_factory=list)

    def add(self, path: KeyPath, message: str, advice: str = "") -> None:
        """Add a problem at `path`. Parsing goes on: all problems are shown at once."""
        self.problems.append(self.document.problem(path, message, advice))

    def add_unknown_keys(self, path: KeyPath, section: Mapping[str, Node], known: Collection[str]) -> None:
        """Add a problem for every key of `section` that is not in `known`, with the nearest that is."""
        for key in section:
            if key not in known:
                self.add((*path, key), "is not a key of this section.", suggest_key(key, known))


def parse_column(
    report: Report, path: KeyPath, node: Node, source_kind: SourceKind
) -> tuple[str, ColumnFormat] | None:
    """The column's logical name and format. None, and a problem in `report`, if `node` has a mistake.

    Text is the short form: a column in the usual format for its source. A section is the long form.

    >>> report, path = Report(Document("config.yaml")), ("mapping", "gdpr", "purposes", "news")
    >>> node = {"column": "new_news", "as": "choice", "granted": "1", "refused": "2"}
    >>> parse_column(report, path, node, SourceKind.DECISION)
    ('new_news', ConsentLabels(granted=1, refused=2))
    >>> parse_column(report, path, {"column": "new_news", "as": "date"}, SourceKind.DECISION)
    >>> report.problems[0].message
    'must be one of `yes_no`, `choice`, `text` for a consent.'
    """
    if isinstance(node, str):
        name = parse_column_name(report, path, node)
        if name is None:
            return None
        usual = _FORMATS[source_kind][0]
        column_format = _parse_format(report, path, {}, source_kind=source_kind, name=usual, column=name)
        return None if column_format is None else (name, column_format)
    if not isinstance(node, dict):
        report.add(path, "must be a column, or a section with `column: <column>`.")
        return None
    if "column" not in node:
        report.add(path, "does not name a column.", "Write `column: <column>` in it.")
        return None
    column = parse_column_name(report, (*path, "column"), node["column"])
    format_name = _parse_format_name(report, path, node, source_kind)
    if format_name is None:
        return None
    allowed = ("column", "as", *_OPTIONS.get((source_kind, format_name), ()))
    misplaced = [key for key in node if key not in allowed]
    for key in misplaced:
        if key in OPTION_KEYS:
            message = f"does not apply to {source_kind} that is written as `{format_name}`."
            report.add((*path, key), message, f"Keys that apply: {', '.join(allowed)}.")
        else:
            advice = suggest_key(key, {*allowed, *OPTION_KEYS})
            report.add((*path, key), "is not a key of this section.", advice)
    column_format = _parse_format(
        report, path, node, source_kind=source_kind, name=format_name, column=column or ""
    )
    return None if column is None or column_format is None or misplaced else (column, column_format)


def parse_column_name(report: Report, path: KeyPath, node: Node) -> str | None:
    """A column's logical name, which is always in lower case. None, and a problem in `report`, otherwise."""
    if isinstance(node, str) and is_column_name(node):
        return node
    advice = "Logical names are lower-case letters, digits and underscores, e.g. `new_newsletter`."
    if isinstance(node, str) and is_column_name(node.lower()) and report.document.quotable_value(path):
        advice = f"Logical names are in lower case: `{node.lower()}`."
    report.add(path, "must be a column's logical name.", advice)
    return None


def parse_invert(report: Report, path: KeyPath, node: Mapping[str, Node], column: str) -> bool | None:
    """Whether the column is true where consent is refused. None, and a problem in `report`, where the answer
    would write a refusal as a permission.
    """
    invert = _parse_yes_no(report, (*path, "invert"), node["invert"]) if "invert" in node else False
    if invert is None:
        return None
    if column in RESTRICTIVE_WHEN_TRUE and "invert" not in node:
        report.add(
            path,
            f"writes {column}, where true forbids, without `invert`: a refusal would become a permission.",
            f"Write `{{ column: {column}, invert: true }}`, or `invert: false` if the value at Didomi itself"
            " says what is forbidden.",
        )
        return None
    if column in RESTRICTIVE_WHEN_FALSE and invert:
        report.add(
            (*path, "invert"),
            f"inverts {column}, where true allows: a refusal would become a permission.",
            "Remove `invert`.",
        )
        return None
    return invert


def check_id(report: Report, path: KeyPath, didomi_id: str) -> bool:
    """Whether a key can be one of Didomi's ids; a problem in `report` if not. An absent part of an item is
    the empty string (consent.model.Item), so an id cannot be empty.
    """
    if didomi_id and didomi_id == didomi_id.strip():
        return True
    report.add(path, "is not an id: it is empty, or begins or ends with a space.")
    return False


def _parse_format_name(
    report: Report, path: KeyPath, node: Mapping[str, Node], source_kind: SourceKind
) -> FormatName | None:
    names = _FORMATS[source_kind]
    if "as" not in node:
        if source_kind is SourceKind.PREFERENCE and "values" in node:
            advice = "Write `as: choice` for a column that takes one value, `as: choices` for several."
            report.add(path, "has `values`, but does not say which type of column takes them.", advice)
            return None
        if source_kind is SourceKind.DECISION and ("granted" in node or "refused" in node):
            advice = "Write `as: choice` (option values) or `as: text` (words)."
            message = "has `granted` or `refused`, but does not say which type of column takes them."
            report.add(path, message, advice)
            return None
        return names[0]
    written = node["as"]
    for name in names:
        if name == written:
            return name
    choices = ", ".join(f"`{name}`" for name in names)
    report.add((*path, "as"), f"must be one of {choices} for {source_kind}.")
    return None


def _parse_format(
    report: Report,
    path: KeyPath,
    node: Mapping[str, Node],
    *,
    source_kind: SourceKind,
    name: FormatName,
    column: str,
) -> ColumnFormat | None:
    if name is not FormatName.YES_NO and column in RESTRICTIVE_WHEN_TRUE | RESTRICTIVE_WHEN_FALSE:
        message = f"writes {column}, a Yes/No column of Dataverse, as `{name}`."
        report.add(path, message, "Write `as: yes_no`.")
        return None
    match source_kind, name:
        case _, FormatName.YES_NO:
            return _parse_yes_no_format(report, path, node, source_kind, column)
        case SourceKind.DECISION, FormatName.CHOICE:
            return _parse_option_labels(report, path, node)
        case SourceKind.DECISION, _:
            return _parse_text_labels(report, path, node)
        case SourceKind.PREFERENCE, FormatName.CHOICE | FormatName.CHOICES:
            return _parse_values(report, path, node, name)
        case SourceKind.PREFERENCE, _:
            return SelectionText(_parse_max_length(report, path, node))
        case SourceKind.PERSON, FormatName.INTEGER | FormatName.DECIMAL:
            return Number(whole=name is FormatName.INTEGER)
        case SourceKind.PERSON, _:
            return FactText(_parse_max_length(report, path, node))
        case _:
            return DateTimeFormat(date_only=name is FormatName.DATE)


def _parse_yes_no_format(
    report: Report, path: KeyPath, node: Mapping[str, Node], source_kind: SourceKind, column: str
) -> YesNo | None:
    invert = parse_invert(report, path, node, column)
    if invert is None:
        return None
    if source_kind is not SourceKind.PERSON:
        return YesNo(invert, unset=invert)
    # A fact is not a consent, so empty is the honest start, except where empty would read as "allowed".
    forbids = column in RESTRICTIVE_WHEN_TRUE
    return YesNo(invert, unset=forbids if forbids or column in RESTRICTIVE_WHEN_FALSE else None)


def _parse_yes_no(report: Report, path: KeyPath, node: Node) -> bool | None:
    value = _YES_NO.get(node.lower()) if isinstance(node, str) else None
    if value is None:
        report.add(path, "must be true or false.")
    return value


def _parse_option_labels(report: Report, path: KeyPath, node: Mapping[str, Node]) -> ConsentLabels | None:
    granted, refused = (_parse_option(report, path, node, key) for key in ("granted", "refused"))
    if granted is None or refused is None:
        return None
    return _check_labels_differ(report, path, ConsentLabels(granted, refused))


def _parse_text_labels(report: Report, path: KeyPath, node: Mapping[str, Node]) -> ConsentLabels | None:
    granted, refused = (_parse_label(report, path, node, key) for key in ("granted", "refused"))
    if granted is None or refused is None:
        return None
    return _check_labels_differ(report, path, ConsentLabels(granted, refused))


def _parse_label(report: Report, path: KeyPath, node: Mapping[str, Node], key: str) -> str | None:
    label = node.get(key)
    if isinstance(label, str) and label:
        return label
    report.add((*path, key) if key in node else path, f"needs `{key}: <text>`, the text to write.")
    return None


def _check_labels_differ(report: Report, path: KeyPath, labels: ConsentLabels) -> ConsentLabels | None:
    if labels.granted != labels.refused:
        return labels
    message = "writes the same value for `granted` and `refused`: a refusal would read as consent."
    report.add(path, message)
    return None


def _parse_values(
    report: Report, path: KeyPath, node: Mapping[str, Node], name: FormatName
) -> OneOf | ManyOf | None:
    at = (*path, "values")
    written = node.get("values")
    if not isinstance(written, dict) or not written:
        advice = "Write `values: { <Didomi value id>: <option value>, ... }`."
        report.add(at if "values" in node else path, "needs at least one value.", advice)
        return None
    options: dict[str, int] = {}
    for value_id in written:
        number = _parse_option(report, at, written, value_id)
        if not check_id(report, (*at, value_id), value_id) or number is None:
            continue
        if number in options.values():
            first = next(known for known, taken in options.items() if taken == number)
            advice = "Give each value its own option value."
            report.add((*at, value_id), f"has the same option value as {first}.", advice)
        options[value_id] = number
    has_none = "none" in node and name is FormatName.CHOICE
    none = _parse_option(report, path, node, "none") if has_none else None
    if none is not None and none in options.values():
        message = "is also the option value of one of the `values`."
        report.add((*path, "none"), message, "Give `none` its own option value, or remove it.")
    if len(options) < len(written):
        return None
    return OneOf(options, none) if name is FormatName.CHOICE else ManyOf(options)


def _parse_option(report: Report, path: KeyPath, node: Mapping[str, Node], key: str) -> int | None:
    """The option value under `key`: a whole number that fits 32 bits (dataverse.md 6.1)."""
    written = node.get(key)
    if isinstance(written, str) and _WHOLE.fullmatch(written) and len(written) < 32:
        number = int(written.replace("_", ""))
        if number in INT32_RANGE:
            return number
    if key in node:
        report.add((*path, key), "must be an option value of the column: a whole number, e.g. 100000000.")
    else:
        report.add(path, f"needs `{key}: <option value>`.")
    return None


def _parse_max_length(report: Report, path: KeyPath, node: Mapping[str, Node]) -> int | None:
    if "max_length" not in node:
        return None
    written = node["max_length"]
    if isinstance(written, str) and written.isascii() and written.isdigit() and len(written) < 8:
        number = int(written)
        if 1 <= number <= MAX_TEXT_UNITS:
            return number
    report.add((*path, "max_length"), f"must be a whole number from 1 to {MAX_TEXT_UNITS}.")
    return None
