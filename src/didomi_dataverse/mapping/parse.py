"""The `mapping` section of the configuration → rules. Every problem is reported with its line; none stops the
parser.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from didomi_dataverse.config.document import Document, KeyPath, Node, dotted_path, nearest_key, suggest_key
from didomi_dataverse.consent.model import Basis, Fact, Item
from didomi_dataverse.errors import Problem
from didomi_dataverse.mapping.parse_column import (
    OPTION_KEYS,
    Report,
    SourceKind,
    check_id,
    parse_column,
    parse_column_name,
    parse_invert,
)
from didomi_dataverse.mapping.rules import (
    AnyPurpose,
    ColumnFormat,
    ColumnMapping,
    NewestMapped,
    NewestOf,
    Rule,
    SelectionFlag,
    Source,
    SourceId,
    build_mapping,
)

_REGULATION_KEYS = ("purposes", "preferences", "channels", "person", "stamps")
_PURPOSE_KEYS = ("consent", "legitimate_interest", "changed_at", "preferences", "channels")
_AUDIT_KEYS = ("changed_at", "notification_id")
_COLUMN_KEYS = frozenset({"column", "as", *OPTION_KEYS})
_FACTS = ("country", "last_seen_country", "organization_user_id_type")
_METADATA = "metadata."


def parse_mapping(
    document: Document, *, reserved: Mapping[str, str] | None = None
) -> tuple[ColumnMapping, tuple[Problem, ...]]:
    """The mapping of a configuration file, and everything wrong with it.

    `reserved` names columns that no rule may write, each with the reason as the end of "writes <column>,
    ..." (e.g. the matching column: dataverse.md 2.2). Use the mapping only if there is no problem.
    """
    parser = _MappingParser(Report(document), dict(reserved or {}))
    parser.parse(document.root.get("mapping"))
    return build_mapping(parser.rules), tuple(parser.report.problems)


@dataclass(slots=True)
class _MappingParser:
    """Walks the section and collects rules."""

    report: Report

    taken: dict[str, str]
    """The columns that no further rule may write: column → reason. Grows with each rule."""

    rules: list[Rule] = field(default_factory=list)

    regulation: str = ""
    """The regulation being parsed, in lower case."""

    def parse(self, node: Node) -> None:
        top: KeyPath = ("mapping",)
        advice = "Write which choice goes to which column, for each regulation, e.g. under `gdpr:`."
        section = self._section(top, node, advice)
        seen: dict[str, str] = {}
        for name, below in section.items():
            path = (*top, name)
            if name in _REGULATION_KEYS:
                self.report.add(path, "belongs under a regulation.", "Put it under `gdpr:`, for example.")
                continue
            # didomi.md 1.10: an open word, compared in lower case.
            self.regulation = name.lower()
            if self.regulation in seen:
                advice = "Upper and lower case make no difference in a regulation's name."
                self.report.add(path, f"is the same regulation as {seen[self.regulation]}.", advice)
                continue
            seen[self.regulation] = name
            if check_id(self.report, path, name):
                self._parse_regulation(path, below)

    def _parse_regulation(self, path: KeyPath, node: Node) -> None:
        regulation = self.regulation
        advice = f"Its keys are {', '.join(_REGULATION_KEYS)}."
        section = self._section(path, node, advice, known=_REGULATION_KEYS)
        for purpose, below, at in self._entries(path, section, "purposes"):
            self._parse_purpose(at, below, purpose)
        for preference, below, at in self._entries(path, section, "preferences"):
            self._parse_preference(at, below, AnyPurpose(regulation, preference))
        for channel, below, at in self._entries(path, section, "channels"):
            # The channels of the notification itself (didomi.md 2.1), never those nested in a purpose: a
            # yes to e-mail for one purpose is not a yes to e-mail.
            self._parse_column(at, below, SourceKind.DECISION, Item(regulation, channel=channel))
        has_choices = any(
            rule.regulation == regulation and not isinstance(rule.source, Fact) for rule in self.rules
        )
        for fact, below, at in self._entries(path, section, "person"):
            self._parse_fact(at, below, fact)
        if "stamps" in section:
            self._parse_audit_columns((*path, "stamps"), section["stamps"], has_choices=has_choices)

    def _parse_purpose(self, path: KeyPath, node: Node, purpose: str) -> None:
        consent = Item(self.regulation, purpose)
        if not isinstance(node, dict):
            self._parse_column(path, node, SourceKind.DECISION, consent)
            return
        grouped = [key for key in node if key in _PURPOSE_KEYS]
        if not grouped and any(key in _COLUMN_KEYS for key in node):
            self._parse_column(path, node, SourceKind.DECISION, consent)
            return
        loose = [key for key in node if key in _COLUMN_KEYS]
        if loose:
            advice = "Write `consent: { column: ... }` next to the other keys."
            self.report.add((*path, loose[0]), f"cannot be combined with `{grouped[0]}`.", advice)
            return
        section = self._section(path, node, f"Its keys are {', '.join(_PURPOSE_KEYS)}.")
        known = _PURPOSE_KEYS if grouped else (*_PURPOSE_KEYS, "column")
        self.report.add_unknown_keys(path, section, known)
        objection = Item(self.regulation, purpose, basis=Basis.LEGITIMATE_INTEREST)
        for key, item in (("consent", consent), ("legitimate_interest", objection)):
            if key in section:
                self._parse_column((*path, key), section[key], SourceKind.DECISION, item)
        for preference, below, at in self._entries(path, section, "preferences"):
            self._parse_preference(at, below, Item(self.regulation, purpose, preference))
        for channel, below, at in self._entries(path, section, "channels"):
            item = Item(self.regulation, purpose, channel=channel)
            self._parse_column(at, below, SourceKind.DECISION, item)
        if "changed_at" in section:
            at = (*path, "changed_at")
            self._parse_column(at, section["changed_at"], SourceKind.TIME, NewestOf((consent, objection)))

    def _parse_preference(self, path: KeyPath, node: Node, source: Item | AnyPurpose) -> None:
        if not isinstance(node, dict):
            self._parse_column(path, node, SourceKind.PREFERENCE, source)
            return
        if not node:
            self._section(path, node, "Write the column, or `each:` with one column per value.")
            return
        if isinstance(source, Item) and "channels" in node:
            # Schema v1 nests channels in preferences (didomi.md 2.3).
            for channel, below, at in self._entries(path, node, "channels"):
                nested = Item(source.regulation, source.purpose, source.preference, channel)
                self._parse_column(at, below, SourceKind.DECISION, nested)
            node = {key: below for key, below in node.items() if key != "channels"}
            if not node:
                return
        if "each" not in node:
            self._parse_column(path, node, SourceKind.PREFERENCE, source)
            return
        for key in node:
            if key in _COLUMN_KEYS:
                advice = "Every value under `each` names its own column."
                self.report.add((*path, key), "cannot be combined with `each`.", advice)
            elif key != "each":
                advice = suggest_key(key, {"each"})
                self.report.add((*path, key), "is not a key of this section.", advice)
        self._parse_each(path, node["each"], source)

    def _parse_each(self, path: KeyPath, node: Node, source: Item | AnyPurpose) -> None:
        section = self._section((*path, "each"), node, "Write `<Didomi value id>: <column>` for each value.")
        known = frozenset(section)
        for value_id, below in section.items():
            at = (*path, "each", value_id)
            if not check_id(self.report, at, value_id):
                continue
            options: Mapping[str, Node] = {}
            column_at, written = at, below
            if isinstance(below, dict):
                self.report.add_unknown_keys(at, below, ("column", "invert"))
                options, written = below, below.get("column")
                column_at = (*at, "column") if "column" in below else at
            column = parse_column_name(self.report, column_at, written)
            if column is None:
                continue
            invert = parse_invert(self.report, at, options, column)
            if invert is not None:
                flag = SelectionFlag(value_id, known, invert, preference_path=dotted_path(path))
                self._add_rule(at, column_at, column, source, flag)

    def _parse_fact(self, path: KeyPath, node: Node, fact: str) -> None:
        is_metadata = fact.startswith(_METADATA) and all(fact.split("."))
        if fact not in _FACTS and not is_metadata:
            nearest = None if fact == "metadata" else nearest_key(fact, _FACTS)
            known = f'Write one of {", ".join(_FACTS)}, or `"metadata.<path>"`.'
            advice = known if nearest is None else f"Did you mean `{nearest}`?"
            self.report.add(path, "is not a fact that Didomi tells about a person.", advice)
            return
        self._parse_column(path, node, SourceKind.PERSON, Fact(self.regulation, fact))

    def _parse_audit_columns(self, path: KeyPath, node: Node, *, has_choices: bool) -> None:
        section = self._section(path, node, f"Its keys are {', '.join(_AUDIT_KEYS)}.", known=_AUDIT_KEYS)
        if section and not has_choices and not self.report.problems:
            message = "have no choice to describe: no choice of this regulation is mapped."
            self.report.add(path, message, "Map a purpose, a preference or a channel, or remove `stamps`.")
        newest = NewestMapped(self.regulation)
        if "changed_at" in section:
            self._parse_column((*path, "changed_at"), section["changed_at"], SourceKind.TIME, newest)
        if "notification_id" in section:
            at = (*path, "notification_id")
            written = section["notification_id"]
            column_at = at
            if isinstance(written, dict):
                self.report.add_unknown_keys(at, written, ("column",))
                column_at = (*at, "column") if "column" in written else at
                written = written.get("column")
            column = parse_column_name(self.report, column_at, written)
            if column is not None:
                self._add_rule(at, column_at, column, newest, SourceId())

    def _parse_column(self, path: KeyPath, node: Node, source_kind: SourceKind, source: Source) -> None:
        parsed = parse_column(self.report, path, node, source_kind)
        if parsed is not None:
            column, column_format = parsed
            column_at = (*path, "column") if isinstance(node, dict) else path
            self._add_rule(path, column_at, column, source, column_format)

    def _add_rule(
        self, path: KeyPath, column_path: KeyPath, column: str, source: Source, column_format: ColumnFormat
    ) -> None:
        reason = self.taken.get(column)
        if reason is not None:
            self.report.add(column_path, f"writes {column}, {reason}.", "Map it to another column.")
            return
        rule_path = dotted_path(path)
        self.taken[column] = f"which {rule_path} already writes"
        self.rules.append(
            Rule(
                path=rule_path,
                regulation=self.regulation,
                column=column,
                source=source,
                format=column_format,
            )
        )

    def _section(
        self, path: KeyPath, node: Node, advice: str, *, known: tuple[str, ...] | None = None
    ) -> Mapping[str, Node]:
        """The section at `path`. Empty, and a problem in the report, if it is anything else or empty."""
        if not isinstance(node, dict):
            problem = "is empty." if node is None else "must be a section."
            if path == ("mapping",) and "mapping" not in self.report.document.root:
                problem = "is missing."
            self.report.add(path, problem, advice)
            return {}
        if not node:
            self.report.add(path, "is empty.", advice)
        if known is not None:
            self.report.add_unknown_keys(path, node, known)
        return node

    def _entries(
        self, path: KeyPath, section: Mapping[str, Node], key: str
    ) -> list[tuple[str, Node, KeyPath]]:
        """Id, value and path of everything under one key of a section. Empty if the key is not there."""
        if key not in section:
            return []
        at = (*path, key)
        entries = self._section(at, section[key], "Remove it, or write `<Didomi id>: <column>` under it.")
        return [
            (name, below, (*at, name))
            for name, below in entries.items()
            if check_id(self.report, (*at, name), name)
        ]
