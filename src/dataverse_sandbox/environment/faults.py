"""Faults that a test asks for: which requests they hit, and what happens then (dataverse.md 11.11)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from urllib.parse import unquote

from dataverse_sandbox.messages import Request, Response
from dataverse_sandbox.table.collation import fold_case

Columns = Sequence[Mapping[str, object]]
"""Column values of each row that a request is about."""


class ConnectionCutError(Exception):
    """The connection of the call is to be cut here; what is committed stays committed.

    An in-process caller gets this error where a real server would cut the connection. Map it to a read error.
    """

    def __init__(self) -> None:
        super().__init__("the sandbox was told to cut this connection")


class FaultBehaviour(StrEnum):
    """What a fault does, other than send a prepared reply."""

    CUT_BEFORE = "cut_before"
    CUT_AFTER_COMMIT = "cut_after_commit"
    SLOW = "slow"
    HTML = "html"


HTML_RESPONSE = Response(
    502,
    (("Content-Type", "text/html"),),
    b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>",
)


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault. Exactly one of `reply` and `behaviour` is given."""

    method: str | None = None
    """HTTP method of the requests that it hits; None for any."""

    path: str | None = None
    """Part of their path and query, or a pattern with `*`; None for any."""

    columns: Mapping[str, object] = field(default_factory=dict)
    """Column values of a row that the request is about; empty for any."""

    reply: Response | None = None
    """The prepared response."""

    behaviour: FaultBehaviour | None = None
    """What happens instead of a prepared response."""

    delay_seconds: float = 0.0
    """Delay of the response, in seconds."""

    remaining: int | None = None
    """How many more requests it hits; None for all."""

    @property
    def response(self) -> Response | None:
        """The response that replaces the real one, or None."""
        return HTML_RESPONSE if self.behaviour is FaultBehaviour.HTML else self.reply

    def matches(self, request: Request, columns: Callable[[], Columns]) -> bool:
        """Whether it hits this request. `columns` is called only when column values decide."""
        if self.remaining == 0:
            return False
        if self.method is not None and self.method != request.method:
            return False
        if self.path is not None and not _path_matches(self.path, request):
            return False
        return not self.columns or any(self._matches_row(row) for row in columns())

    def _matches_row(self, row: Mapping[str, object]) -> bool:
        return all(name in row and _is_equal(row[name], wanted) for name, wanted in self.columns.items())


@dataclass(slots=True)
class Faults:
    """The faults in force, in order."""

    active: list[Fault] = field(default_factory=list)

    def take(self, request: Request, columns: Callable[[], Columns]) -> Fault | None:
        """The first fault that hits this request, its count lowered by one, or None."""
        for fault in self.active:
            if fault.matches(request, columns):
                if fault.remaining is not None:
                    fault.remaining -= 1
                return fault
        return None


def _path_matches(pattern: str, request: Request) -> bool:
    """A pattern with `*` matches the whole path, another one a part of it; the decoded path counts too."""
    whole = f"{request.path}?{request.query}" if request.query else request.path
    forms = (request.path, whole, unquote(request.path), unquote(whole))
    if "*" in pattern:
        return any(fnmatchcase(text, pattern) for text in forms)
    return any(pattern in text for text in forms)


def _is_equal(held: object, wanted: object) -> bool:
    """Texts by their case-insensitive form; other values by type and value.

    >>> _is_equal("A", "a"), _is_equal(True, 1)
    (True, False)
    """
    if isinstance(held, str) and isinstance(wanted, str):
        return fold_case(held) == fold_case(wanted)
    return type(held) is type(wanted) and held == wanted
