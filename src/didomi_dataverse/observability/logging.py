"""Logs to standard output: one event word and fields from the glossary per entry, JSON outside a terminal."""

import contextlib
import logging
import sys
import traceback
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from didomi_dataverse.errors import DidomiDataverseError

Format = Literal["auto", "json", "text"]

# These name URLs, and so keys of contacts, in their informational entries; their warnings do not.
_TALKATIVE = ("httpx", "httpcore", "msal", "urllib3", "requests", "alembic", "asyncio")

_MAX_CAUSES = 5


def configure_logging(*, level: str, output_format: Format, stream: TextIO | None = None) -> None:
    """Sends everything that is logged, by us and by libraries, to `stream` (standard output by default)."""
    stream = stream or sys.stdout
    as_json = output_format == "json" or (output_format == "auto" and not stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    # Our own entries go straight to the stream: by way of the standard library's loggers, which look for the
    # caller of each and keep a record of it that nobody reads, one took three times as long.
    structlog.configure(
        processors=[*shared, _where_it_happened, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: _Output(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _where_it_happened,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


class _Output:
    """Writes entries to a stream, and lets no trouble with the stream stop what is logged: a full disk behind
    standard output must not make an error of a notification that was stored.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, entry: str) -> None:
        """One line."""
        with contextlib.suppress(Exception):
            # In one piece: the libraries' handler writes to the same stream from other threads.
            self._stream.write(f"{entry}\n")
            self._stream.flush()

    debug = info = warning = error = critical = msg


def _where_it_happened(_logger: WrappedLogger, _method: str, entry: EventDict) -> EventDict:
    """Replaces an exception by its type and the lines of code it passed.

    Its message is kept only where it is our own or the system's: any other may quote an identifier, a choice
    or a body, and so may the variables along the way.
    """
    found = entry.pop("exc_info", None)
    error = sys.exc_info()[1] if found is True else found[1] if isinstance(found, tuple) else found
    parts: list[str] = []
    while isinstance(error, BaseException) and len(parts) < _MAX_CAUSES:
        is_quotable = isinstance(error, DidomiDataverseError | OSError)
        said = str(error) if is_quotable else "(its message is withheld)"
        lines = "".join(traceback.format_tb(error.__traceback__))
        parts.append(f"{lines}{type(error).__name__}: {said}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if parts:
        entry["exception"] = "\ncaused by\n".join(parts)
    return entry
