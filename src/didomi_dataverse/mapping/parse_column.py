"""One column of the mapping, as written in the file → column and form. Reports what cannot be meant."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from didomi_dataverse.config.document import Document, KeyPath, Node, near
from didomi_dataverse.errors import Problem
from didomi_dataverse.mapping.convert import INT32_RANGE
from didomi_dataverse.mapping.rules import (
    ConsentLabels,
    DateTimeFormat,
    FactText,
    Form,
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

_COLUMN = re.compile(r"[a-z][a-z0-9_]*")
_WHOLE = re.compile(r"[+-]?[0-9][0-9_]*")
_YES_NO = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class SourceKind(StrEnum):
    """What a column is to hold. It decides which forms the column may take."""

    DECISION = "a consent"
    PREFERENCE = "a preference"
    PERSON = "something told of the person"
    MOMENT = "a time"


_FORMS: Mapping[SourceKind, tuple[str, ...]] = {
    SourceKind.DECISION: ("yes_no", "choice", "text"),
    SourceKind.PREFERENCE: ("yes_no", "choice", "choices", "text"),
    SourceKind.PERSON: ("text", "integer", "decimal", "yes_no"),
    SourceKind.MOMENT: ("datetime", "date"),
}
"""The words of `as`, by topic. The first is the short form's."""

_OPTIONS: Mapping[tuple[SourceKind, str], tuple[str, ...]] = {
    (SourceKind.DECISION, "yes_no"): ("invert",),
    (SourceKind.DECISION, "choice"): ("granted", "refused"),
    (SourceKind.DECISION, "text"): ("granted", "refused"),
    (SourceKind.PREFERENCE, "yes_no"): ("invert",),
    (SourceKind.PREFERENCE, "choice"): ("values", "none"),
    (SourceKind.PREFERENCE, "choices"): ("values",),
    (SourceKind.PREFERENCE, "text"): ("max_length",),
    (SourceKind.PERSON, "text"): ("max_length",),
    (SourceKind.PERSON, "yes_no"): ("invert",),
}
"""What may stand beside `column` and `as`."""

OPTION_KEYS = frozenset(option for options in _OPTIONS.values() for option in options)


@dataclass(slots=True)
class Report:
    """The document that is read, and what was found wrong with it so far."""

    document: Document
    problems: list[Problem] = field(default_factory=list)

    def problem(self, path: KeyPath, message: str, advice: str = "") -> None:
        """Notes a problem and goes on: all of them are shown at once."""
        self.problems.append(self.document.problem(path, message, advice))

    def unknown_keys(self, path: KeyPath, section: Mapping[str, Node], known: Collection[str]) -> None:
        """Reports every key of a section that is not among the known ones, with the nearest that is."""
        for key in section:
            if key not in known:
                self.problem((*path, key), "is not a key of this section.", near(key, known))


def read_column(report: Report, path: KeyPath, node: Node, topic: SourceKind) -> tuple[str, Form] | None:
    """The column and form that `node` asks for, None (and a report) if it cannot be understood.

    Text is the short form: a column that takes the topic's usual form. A section is the long form.
    """
    if isinstance(node, str):
        name = column_name(report, path, node)
        if name is None:
            return None
        form = _form(report, path, {}, topic=topic, kind=_FORMS[topic][0], column=name)
        return None if form is None else (name, form)
    if not isinstance(node, dict):
        report.problem(path, "must be a column, or a section with `column: <column>`.")
        return None
    written = node.get("column")
    if "column" not in node:
        report.problem(path, "names no column.", "Write `column: <column>` in it.")
        return None
    name = column_name(report, (*path, "column"), written)
    kind = _kind(report, path, node, topic)
    if kind is None:
        return None
    allowed = ("column", "as", *_OPTIONS.get((topic, kind), ()))
    misplaced = [key for key in node if key not in allowed]
    for key in misplaced:
        if key in OPTION_KEYS:
            advice = f"With it: {', '.join(allowed)}."
            report.problem(
                (*path, key), f"has no meaning for {topic.value} that is written as `{kind}`.", advice
            )
        else:
            report.problem((*path, key), "is not a key of this section.", near(key, {*allowed, *OPTION_KEYS}))
    form = _form(report, path, node, topic=topic, kind=kind, column=name or "")
    return None if name is None or form is None or misplaced else (name, form)


def column_name(report: Report, path: KeyPath, node: Node) -> str | None:
    """A column's logical name, which is always in lower case."""
    if not isinstance(node, str) or _COLUMN.fullmatch(node) is None:
        advice = "Logical names are lower-case letters, digits and underscores, e.g. `new_newsletter`."
        if isinstance(node, str) and _COLUMN.fullmatch(node.lower()):
            advice = (
                f"Logical names are in lower case: `{node.lower()}`."
                if report.document.quotable(path)
                else advice
            )
        report.problem(path, "must be a column's logical name.", advice)
        return None
    return node


def _kind(report: Report, path: KeyPath, node: Mapping[str, Node], topic: SourceKind) -> str | None:
    words = _FORMS[topic]
    if "as" not in node:
        if topic is SourceKind.PREFERENCE and "values" in node:
            advice = "Write `as: choice` for a column that takes one value, `as: choices` for several."
            report.problem(path, "has `values` and does not say what column takes them.", advice)
            return None
        if topic is SourceKind.DECISION and ("granted" in node or "refused" in node):
            advice = "Write `as: choice` (option values) or `as: text` (words)."
            report.problem(
                path, "has `granted` or `refused` and does not say what column takes them.", advice
            )
            return None
        return words[0]
    kind = node["as"]
    if isinstance(kind, str) and kind in words:
        return kind
    choices = ", ".join(f"`{word}`" for word in words)
    report.problem((*path, "as"), f"must be one of {choices} for {topic.value}.")
    return None


def _form(
    report: Report, path: KeyPath, node: Mapping[str, Node], *, topic: SourceKind, kind: str, column: str
) -> Form | None:
    if kind != "yes_no" and column in RESTRICTIVE_WHEN_TRUE | RESTRICTIVE_WHEN_FALSE:
        report.problem(
            path, f"writes {column}, a Yes/No column of Dataverse, as `{kind}`.", "Write `as: yes_no`."
        )
        return None
    match topic, kind:
        case _, "yes_no":
            return _yes_no(report, path, node, topic, column)
        case SourceKind.DECISION, "choice":
            return _marked_options(report, path, node)
        case SourceKind.DECISION, _:
            return _marked_words(report, path, node)
        case SourceKind.PREFERENCE, "choice" | "choices":
            return _values(report, path, node, kind)
        case SourceKind.PREFERENCE, _:
            return SelectionText(_max_units(report, path, node))
        case SourceKind.PERSON, "integer" | "decimal":
            return Number(whole=kind == "integer")
        case SourceKind.PERSON, _:
            return FactText(_max_units(report, path, node))
        case _:
            return DateTimeFormat(date_only=kind == "date")


def _yes_no(
    report: Report, path: KeyPath, node: Mapping[str, Node], topic: SourceKind, column: str
) -> YesNo | None:
    invert = read_invert(report, path, node, column)
    if invert is None:
        return None
    if topic is not SourceKind.PERSON:
        return YesNo(invert, unset=invert)
    # Nobody's consent, so empty is the honest start, except where empty would read as "allowed".
    forbids = column in RESTRICTIVE_WHEN_TRUE
    return YesNo(invert, unset=forbids if forbids or column in RESTRICTIVE_WHEN_FALSE else None)


def read_invert(report: Report, path: KeyPath, node: Mapping[str, Node], column: str) -> bool | None:
    """Whether the column is true where consent is refused. None, and a report, where that must be a
    mistake.
    """
    invert = yes_no(report, (*path, "invert"), node["invert"]) if "invert" in node else False
    if invert is None:
        return None
    if column in RESTRICTIVE_WHEN_TRUE and "invert" not in node:
        report.problem(
            path,
            f"writes {column}, where true forbids, without inverting: a refusal would allow.",
            f"Write `{{ column: {column}, invert: true }}`, or `invert: false` if the source itself says"
            " what is forbidden.",
        )
        return None
    if column in RESTRICTIVE_WHEN_FALSE and invert:
        report.problem(
            (*path, "invert"),
            f"inverts {column}, where true allows: a refusal would allow.",
            "Remove `invert`.",
        )
        return None
    return invert


def yes_no(report: Report, path: KeyPath, node: Node) -> bool | None:
    """True or false, as text."""
    value = _YES_NO.get(node.lower()) if isinstance(node, str) else None
    if value is None:
        report.problem(path, "must be true or false.")
    return value


def _marked_options(report: Report, path: KeyPath, node: Mapping[str, Node]) -> ConsentLabels | None:
    granted, refused = (option(report, path, node, key) for key in ("granted", "refused"))
    if granted is None or refused is None:
        return None
    return _unlike(report, path, ConsentLabels(granted, refused))


def _marked_words(report: Report, path: KeyPath, node: Mapping[str, Node]) -> ConsentLabels | None:
    words = [node.get(key) for key in ("granted", "refused")]
    for key, word in zip(("granted", "refused"), words, strict=True):
        if not isinstance(word, str) or not word:
            at = (*path, key) if key in node else path
            report.problem(at, f"needs `{key}: <text>`, the text to write.")
    granted, refused = words
    if not isinstance(granted, str) or not isinstance(refused, str) or not granted or not refused:
        return None
    return _unlike(report, path, ConsentLabels(granted, refused))


def _unlike(report: Report, path: KeyPath, marked: ConsentLabels) -> ConsentLabels | None:
    if marked.granted == marked.refused:
        report.problem(
            path, "writes the same for `granted` and `refused`, so that a refusal would read as consent."
        )
        return None
    return marked


def _values(report: Report, path: KeyPath, node: Mapping[str, Node], kind: str) -> OneOf | ManyOf | None:
    at = (*path, "values")
    written = node.get("values")
    if not isinstance(written, dict) or not written:
        advice = "Write `values: { <Didomi value id>: <option value>, ... }`."
        report.problem(at if "values" in node else path, "needs at least one value.", advice)
        return None
    options: dict[str, int] = {}
    for value_id in written:
        number = option(report, at, written, value_id)
        if not is_id(report, (*at, value_id), value_id) or number is None:
            continue
        if number in options.values():
            first = next(known for known, taken in options.items() if taken == number)
            report.problem((*at, value_id), f"has the same option value as {first}.", "Give each its own.")
        options[value_id] = number
    none = option(report, path, node, "none") if "none" in node and kind == "choice" else None
    if none is not None and none in options.values():
        report.problem(
            (*path, "none"), "is also the option value of a value.", "Give it its own, or remove it."
        )
    if len(options) < len(written):
        return None
    return OneOf(options, none) if kind == "choice" else ManyOf(options)


def option(report: Report, path: KeyPath, node: Mapping[str, Node], key: str) -> int | None:
    """The option value under `key`: a whole number that fits 32 bits (dataverse.md 6.1)."""
    written = node.get(key)
    if isinstance(written, str) and _WHOLE.fullmatch(written) and len(written) < 32:
        number = int(written.replace("_", ""))
        if number in INT32_RANGE:
            return number
    if key in node:
        report.problem((*path, key), "must be an option value of the column: a whole number, e.g. 100000000.")
    else:
        report.problem(path, f"needs `{key}: <option value>`.")
    return None


def is_id(report: Report, path: KeyPath, didomi_id: str) -> bool:
    """Whether a key can be an id of Didomi's: an absent one is the empty string (didomi.item.Item)."""
    if didomi_id and didomi_id == didomi_id.strip():
        return True
    report.problem(path, "is not an id: it is empty, or has blanks at its ends.")
    return False


def _max_units(report: Report, path: KeyPath, node: Mapping[str, Node]) -> int | None:
    if "max_length" not in node:
        return None
    written = node["max_length"]
    if isinstance(written, str) and written.isascii() and written.isdigit() and len(written) < 8:
        number = int(written)
        if 1 <= number <= MAX_TEXT_UNITS:
            return number
    report.problem((*path, "max_length"), f"must be a whole number from 1 to {MAX_TEXT_UNITS}.")
    return None
