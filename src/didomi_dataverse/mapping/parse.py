"""The `mapping` section of the configuration → rules. Every problem is reported with its line, none is
fatal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from didomi_dataverse.config import document
from didomi_dataverse.config.document import Document, KeyPath, Node, near
from didomi_dataverse.consent.model import Basis, Fact, Item
from didomi_dataverse.errors import Problem
from didomi_dataverse.mapping import rules
from didomi_dataverse.mapping.parse_column import (
    OPTION_KEYS,
    Report,
    SourceKind,
    column_name,
    is_id,
    read_column,
    read_invert,
)
from didomi_dataverse.mapping.rules import (
    AnyPurpose,
    Form,
    NewestMapped,
    NewestOf,
    Rule,
    SelectionFlag,
    Source,
    SourceId,
)

_REGULATION_KEYS = ("purposes", "preferences", "channels", "person", "stamps")
_PURPOSE_KEYS = ("consent", "legitimate_interest", "changed_at", "preferences", "channels")
_STAMP_KEYS = ("changed_at", "notification_id")
_COLUMN_KEYS = frozenset({"column", "as", *OPTION_KEYS})
_FACTS = ("country", "last_seen_country", "organization_user_id_type")
_METADATA = "metadata."


def load_mapping(
    document: Document, *, reserved: Mapping[str, str] | None = None
) -> tuple[rules.ColumnMapping, tuple[Problem, ...]]:
    """The mapping of a configuration file, and everything wrong with it.

    `reserved` names columns that no rule may write, with the reason (the matching column: dataverse.md 2.2).
    The mapping is only to be used if there is no problem.
    """
    loader = _Loader(Report(document), dict(reserved or {}))
    loader.read(document.root.get("mapping"))
    return rules.mapping_of(loader.rules), tuple(loader.report.problems)


@dataclass(slots=True)
class _Loader:
    """Walks the section and collects rules."""

    report: Report
    reserved: dict[str, str]
    rules: list[Rule] = field(default_factory=list)
    regulation: str = ""

    def read(self, node: Node) -> None:
        top: KeyPath = ("mapping",)
        section = self._section(top, node, "Write what goes to which column, by regulation, e.g. `gdpr:`.")
        seen: dict[str, str] = {}
        for name, below in section.items():
            path = (*top, name)
            if name in _REGULATION_KEYS:
                self.report.problem(path, "belongs under a regulation.", "Put it under `gdpr:`, for example.")
                continue
            # didomi.md 1.10: an open word, compared in lower case.
            self.regulation = name.lower()
            if self.regulation in seen:
                advice = "Regulations are compared without regard to case."
                self.report.problem(path, f"is the same regulation as {seen[self.regulation]}.", advice)
                continue
            seen[self.regulation] = name
            if is_id(self.report, path, name):
                self._read_regulation(path, below)

    def _read_regulation(self, path: KeyPath, node: Node) -> None:
        regulation = self.regulation
        advice = f"It may hold {', '.join(_REGULATION_KEYS)}."
        section = self._section(path, node, advice, known=_REGULATION_KEYS)
        for purpose, below, at in self._entries(path, section, "purposes"):
            self._read_purpose(at, below, purpose)
        for preference, below, at in self._entries(path, section, "preferences"):
            self._read_preference(at, below, AnyPurpose(regulation, preference))
        for channel, below, at in self._entries(path, section, "channels"):
            # The channels of the notification itself (didomi.md 2.1), never those nested in a purpose: a
            # yes to e-mail for one purpose is no yes to e-mail.
            self._column(at, below, SourceKind.DECISION, Item(regulation, channel=channel))
        has_choices = any(
            rule.regulation == regulation and not isinstance(rule.source, Fact) for rule in self.rules
        )
        for fact, below, at in self._entries(path, section, "person"):
            self._read_fact(at, below, fact)
        if "stamps" in section:
            self._read_stamps((*path, "stamps"), section["stamps"], has_choices=has_choices)

    def _read_purpose(self, path: KeyPath, node: Node, purpose: str) -> None:
        consent = Item(self.regulation, purpose)
        if not isinstance(node, dict):
            self._column(path, node, SourceKind.DECISION, consent)
            return
        grouped = [key for key in node if key in _PURPOSE_KEYS]
        if not grouped and any(key in _COLUMN_KEYS for key in node):
            self._column(path, node, SourceKind.DECISION, consent)
            return
        loose = [key for key in node if key in _COLUMN_KEYS]
        if loose:
            advice = "Write `consent: { column: ... }` beside the other keys."
            self.report.problem((*path, loose[0]), f"cannot stand beside `{grouped[0]}`.", advice)
            return
        section = self._section(path, node, f"It may hold {', '.join(_PURPOSE_KEYS)}.")
        meant = _PURPOSE_KEYS if grouped else (*_PURPOSE_KEYS, "column")
        self.report.unknown_keys(path, section, meant)
        objection = Item(self.regulation, purpose, basis=Basis.LEGITIMATE_INTEREST)
        for key, item in (("consent", consent), ("legitimate_interest", objection)):
            if key in section:
                self._column((*path, key), section[key], SourceKind.DECISION, item)
        for preference, below, at in self._entries(path, section, "preferences"):
            self._read_preference(at, below, Item(self.regulation, purpose, preference))
        for channel, below, at in self._entries(path, section, "channels"):
            self._column(at, below, SourceKind.DECISION, Item(self.regulation, purpose, channel=channel))
        if "changed_at" in section:
            at = (*path, "changed_at")
            self._column(at, section["changed_at"], SourceKind.MOMENT, NewestOf((consent, objection)))

    def _read_preference(self, path: KeyPath, node: Node, source: Item | AnyPurpose) -> None:
        if not isinstance(node, dict):
            self._column(path, node, SourceKind.PREFERENCE, source)
            return
        if not node:
            self._section(path, node, "Write the column, or `each:` with one column per value.")
            return
        if isinstance(source, Item) and "channels" in node:
            # Schema v1 nests channels in preferences (didomi.md 2.3).
            for channel, below, at in self._entries(path, node, "channels"):
                nested = Item(source.regulation, source.purpose, source.preference, channel)
                self._column(at, below, SourceKind.DECISION, nested)
            node = {key: below for key, below in node.items() if key != "channels"}
            if not node:
                return
        if "each" not in node:
            self._column(path, node, SourceKind.PREFERENCE, source)
            return
        for key in node:
            if key != "each":
                is_option = key in _COLUMN_KEYS
                message = "cannot stand beside `each`." if is_option else "is not a key of this section."
                advice = (
                    "Every value under `each` names its own column." if is_option else near(key, {"each"})
                )
                self.report.problem((*path, key), message, advice)
        self._read_each(path, node["each"], source)

    def _read_each(self, path: KeyPath, node: Node, source: Item | AnyPurpose) -> None:
        section = self._section((*path, "each"), node, "Write `<Didomi value id>: <column>` for each value.")
        known = frozenset(section)
        for value_id, below in section.items():
            at = (*path, "each", value_id)
            if not is_id(self.report, at, value_id):
                continue
            options: Mapping[str, Node] = {}
            column_at, written = at, below
            if isinstance(below, dict):
                self.report.unknown_keys(at, below, ("column", "invert"))
                options, written = below, below.get("column")
                column_at = (*at, "column") if "column" in below else at
            column = column_name(self.report, column_at, written)
            if column is None:
                continue
            invert = read_invert(self.report, at, options, column)
            if invert is not None:
                form = SelectionFlag(value_id, known, invert, document.dotted(path))
                self._add(at, column_at, column, source, form)

    def _read_fact(self, path: KeyPath, node: Node, fact: str) -> None:
        is_metadata = fact.startswith(_METADATA) and all(fact.split("."))
        if fact not in _FACTS and not is_metadata:
            advice = near(fact, _FACTS)
            if fact == "metadata" or not advice.startswith("Did"):
                advice = f'Known are {", ".join(_FACTS)} and `"metadata.<path>"`.'
            self.report.problem(path, "is nothing that Didomi tells of a person.", advice)
            return
        self._column(path, node, SourceKind.PERSON, Fact(self.regulation, fact))

    def _read_stamps(self, path: KeyPath, node: Node, *, has_choices: bool) -> None:
        section = self._section(path, node, f"It may hold {', '.join(_STAMP_KEYS)}.", known=_STAMP_KEYS)
        if section and not has_choices and not self.report.problems:
            message = "have no choice to speak of: nothing else of this regulation is mapped."
            self.report.problem(path, message, "Map a purpose, a preference or a channel, or remove them.")
        newest = NewestMapped(self.regulation)
        if "changed_at" in section:
            self._column((*path, "changed_at"), section["changed_at"], SourceKind.MOMENT, newest)
        if "notification_id" in section:
            at = (*path, "notification_id")
            written = section["notification_id"]
            column_at = at
            if isinstance(written, dict):
                self.report.unknown_keys(at, written, ("column",))
                column_at = (*at, "column") if "column" in written else at
                written = written.get("column")
            column = column_name(self.report, column_at, written)
            if column is not None:
                self._add(at, column_at, column, newest, SourceId())

    def _column(self, path: KeyPath, node: Node, topic: SourceKind, source: Source) -> None:
        read = read_column(self.report, path, node, topic)
        if read is not None:
            column, form = read
            self._add(path, (*path, "column") if isinstance(node, dict) else path, column, source, form)

    def _add(self, path: KeyPath, column_path: KeyPath, column: str, source: Source, form: Form) -> None:
        reason = self.reserved.get(column)
        if reason is not None:
            self.report.problem(column_path, f"writes {column}, {reason}.", "Map it to another column.")
            return
        rule_path = document.dotted(path)
        self.reserved[column] = f"which {rule_path} writes already"
        self.rules.append(
            Rule(path=rule_path, regulation=self.regulation, column=column, source=source, form=form)
        )

    def _section(
        self, path: KeyPath, node: Node, advice: str, *, known: tuple[str, ...] | None = None
    ) -> Mapping[str, Node]:
        """The section at `path`. Empty, and a report, if it is none or holds nothing."""
        if not isinstance(node, dict):
            problem = "is empty." if node is None else "must be a section."
            if path == ("mapping",) and "mapping" not in self.report.document.root:
                problem = "is missing."
            self.report.problem(path, problem, advice)
            return {}
        if not node:
            self.report.problem(path, "is empty.", advice)
        if known is not None:
            self.report.unknown_keys(path, node, known)
        return node

    def _entries(
        self, path: KeyPath, section: Mapping[str, Node], key: str
    ) -> list[tuple[str, Node, KeyPath]]:
        """Id, value and path of everything under one key of a section; nothing if the key is not there."""
        if key not in section:
            return []
        at = (*path, key)
        entries = self._section(at, section[key], "Remove it, or write `<Didomi id>: <column>` under it.")
        return [
            (name, below, (*at, name))
            for name, below in entries.items()
            if is_id(self.report, (*at, name), name)
        ]
