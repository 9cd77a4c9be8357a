"""Faults that a test asks for: which requests they strike, and what happens then (dataverse.md 11.11)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from urllib.parse import unquote

from dataverse_sandbox.messages import Request, Response
from dataverse_sandbox.table.collation import fold_case

Columns = Sequence[Mapping[str, object]]


class Behaviour(StrEnum):
    """What else than a prepared reply can go wrong."""

    CUT_BEFORE = "cut_before"
    CUT_AFTER_COMMIT = "cut_after_commit"
    SLOW = "slow"
    HTML = "html"


HTML_ANSWER = Response(
    502,
    (("Content-Type", "text/html"),),
    b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>",
)


@dataclass(slots=True, kw_only=True)
class Fault:
    """Strikes `left` more times (None: as long as it stands). Either `reply` or `behaviour` is given."""

    method: str | None = None
    path: str | None = None
    columns: Mapping[str, object] = field(default_factory=dict)
    reply: Response | None = None
    behaviour: Behaviour | None = None
    delay_seconds: float = 0.0
    left: int | None = None

    @property
    def answer(self) -> Response | None:
        """The prepared answer, if the fault is one."""
        return HTML_ANSWER if self.behaviour is Behaviour.HTML else self.reply

    def strikes(self, request: Request, columns: Callable[[], Columns]) -> bool:
        """Whether the request is one of those meant."""
        if self.left == 0:
            return False
        if self.method is not None and self.method != request.method:
            return False
        if self.path is not None and not _is_on_path(self.path, request):
            return False
        return not self.columns or any(self._holds(row) for row in columns())

    def _holds(self, row: Mapping[str, object]) -> bool:
        return all(name in row and _same(row[name], wanted) for name, wanted in self.columns.items())


@dataclass(slots=True)
class Faults:
    """The faults in force; the first that strikes is taken."""

    standing: list[Fault] = field(default_factory=list)

    def take(self, request: Request, columns: Callable[[], Columns]) -> Fault | None:
        """The fault that strikes this request, its count taken down, or None."""
        for fault in self.standing:
            if fault.strikes(request, columns):
                if fault.left is not None:
                    fault.left -= 1
                return fault
        return None


def _is_on_path(pattern: str, request: Request) -> bool:
    """A pattern with `*` is a glob over the whole path, else a part of it; the decoded path counts too."""
    whole = f"{request.path}?{request.query}" if request.query else request.path
    seen = (request.path, whole, unquote(request.path), unquote(whole))
    if "*" in pattern:
        return any(fnmatchcase(text, pattern) for text in seen)
    return any(pattern in text for text in seen)


def _same(held: object, wanted: object) -> bool:
    if isinstance(held, str) and isinstance(wanted, str):
        return fold_case(held) == fold_case(wanted)
    return type(held) is type(wanted) and held == wanted
