"""What became of a request, kept typed until the decision is made."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from didomi_dataverse.dataverse.errors.entry import Action, Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An HTTP answer for one request."""

    status: int
    """The HTTP status."""

    code: str = ""
    """The error code as lower-case hex (`0x80060891`); empty without one."""

    name: str = ""
    """The symbolic name of the error, from the annotations; empty without one."""

    message: str = ""
    """The error's text on one line, clipped. It may quote values: store it only after
    `privacy.server_message.safe_message`, and never log it."""

    retry_after: timedelta | None = None
    """The pause that the server asked for; None when it asked for none."""

    request_id: str = ""
    """The server's own id for the call, for Microsoft's support; empty without one."""

    row_ids: tuple[str, ...] = ()
    """The GUIDs that a read found."""

    whole_call: bool = False
    """Whether the call as a whole was answered, so that the answer stands for each of its requests
    (throttled, unauthorised, a gateway's page)."""


@dataclass(frozen=True, slots=True)
class NotAttempted:
    """The request was not carried out: the server stopped before it (dataverse.md 3.2: fewer parts than
    requests), or no permit was left to send it.
    """


class UnknownCause(StrEnum):
    """Why the fate of a request is not known. The value is stored and shown."""

    CONNECT_TIMEOUT = "connect_timeout"
    """No connection in time."""

    CONNECT_FAILED = "connect_failed"
    """No connection."""

    TLS_FAILED = "tls_failed"
    """No connection, because the certificate or the handshake was refused."""

    PROXY_FAILED = "proxy_failed"
    """The proxy did not open a tunnel."""

    POOL_TIMEOUT = "pool_timeout"
    """All connections were in use for too long."""

    WRITE_FAILED = "write_failed"
    """The connection broke, or stalled, while the request was sent."""

    READ_TIMEOUT = "read_timeout"
    """No answer in time."""

    CUT = "cut"
    """The connection broke before the whole answer arrived."""

    GARBLED = "garbled"
    """The answer does not match its own content encoding."""

    MALFORMED = "malformed"
    """The answer is not what the Web API sends."""

    DEADLINE = "deadline"
    """The call as a whole took too long and was given up."""

    LEASE_ENDED = "lease_ended"
    """The sender gave the call up, because its lease on the contacts ended."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The connection broke, or the answer is unreadable: the request may have been carried out or not."""

    cause: UnknownCause
    """What went wrong."""

    sent: bool = True
    """False when the request certainly never left this machine."""


Answer = Answered | NotAttempted | Unknown
"""What is known of a request after its call."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one request, and what it calls for. Classified once, where the answer is decoded."""

    answer: Answer
    """What is known."""

    entry: Entry
    """Its row of the error table: advice, bounds."""

    action: Action
    """What to do where other requests shared the call, one of which may have made the call fail."""

    action_alone: Action
    """What to do for this request when no other request of its call can be the cause: never SPLIT."""

    @property
    def is_whole_call(self) -> bool:
        """Whether the call as a whole was answered."""
        return isinstance(self.answer, Answered) and self.answer.whole_call
