"""The log on standard output: an event word and fields of the glossary per entry, JSON outside a terminal."""

import contextlib
import logging
import sys
import traceback
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from didomi_dataverse.errors import DidomiDataverseError

Format = Literal["auto", "json", "text"]

# Their informational entries hold URLs, and so keys of contacts; their warnings do not.
_VERBOSE_LIBRARIES = ("httpx", "httpcore", "msal", "urllib3", "requests", "alembic", "asyncio")

_MAX_CAUSES = 5
"""How many errors of a chain of causes one entry shows. Too small: the first cause is missing. Too large: an
entry may be cut by what collects the log.
"""


def configure_logging(*, level: str, output_format: Format, stream: TextIO | None = None) -> None:
    """Send everything that is logged, by us and by libraries, to `stream` (standard output by default).

    `level` is the lowest level shown: debug, info, warning or error. `output_format` auto: text on a
    terminal, JSON elsewhere.
    """
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
    # Our own entries go straight to the stream. The standard library's loggers find the caller of each entry
    # and build a record of it, neither of which is used here: an entry took three times as long with them.
    structlog.configure(
        processors=[*shared, _replace_exception, renderer],
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
                _replace_exception,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _VERBOSE_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)


class _Output:
    """Writes entries to a stream and ignores errors of the stream: a full disk behind standard output must
    not turn a notification that was stored into an error.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, entry: str) -> None:
        """Write one entry as one line."""
        with contextlib.suppress(Exception):
            # In one piece: the libraries' handler writes to the same stream from other threads.
            self._stream.write(f"{entry}\n")
            self._stream.flush()

    debug = info = warning = error = critical = msg


def _replace_exception(_logger: WrappedLogger, _method: str, entry: EventDict) -> EventDict:
    """Replace an exception by its type and the lines of code it passed.

    The message is kept only of our own errors and of the operating system's. Any other may quote an
    identifier, a choice or a body, and so may the variables along the way.
    """
    found = entry.pop("exc_info", None)
    error = sys.exc_info()[1] if found is True else found[1] if isinstance(found, tuple) else found
    parts: list[str] = []
    while isinstance(error, BaseException) and len(parts) < _MAX_CAUSES:
        is_quotable = isinstance(error, DidomiDataverseError | OSError)
        message = str(error) if is_quotable else "(its message is withheld)"
        lines = "".join(traceback.format_tb(error.__traceback__))
        parts.append(f"{lines}{type(error).__name__}: {message}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if parts:
        entry["exception"] = "\ncaused by\n".join(parts)
    return entry
