"""What Dataverse answered, kept typed until the decision is made."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An HTTP answer for one write or look-up.

    `code` is the error code as lower-case hex (`0x80060891`), empty when there is none. `name` is the
    symbolic name from the annotations, empty when absent. `message` is clipped; it may quote values, so it is
    stored only after `redact`, never logged. `retry_after` is what the server asked for. `request_id` is its
    own id for the call. `row_ids` are the GUIDs found by a look-up. `whole_call` marks an answer that was
    given to the call as a whole and stands for each of its writes (throttled, unauthorised, a gateway's
    page).
    """

    status: int
    code: str = ""
    name: str = ""
    message: str = ""
    retry_after: timedelta | None = None
    request_id: str = ""
    row_ids: tuple[str, ...] = ()
    whole_call: bool = False


@dataclass(frozen=True, slots=True)
class NotAttempted:
    """The server stopped before this one (dataverse.md 3.2: fewer parts than requests). Nothing happened."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The connection broke, or the answer is unreadable: it may or may not have been carried out.

    `cause` is a short fixed word (`connect_failed`, `read_timeout`, `cut`, ...; all of them in `client`).
    `sent` is False when the request surely never left us.
    """

    cause: str
    sent: bool = True


Reply = Answered | NotAttempted | Unknown


class CallKind(StrEnum):
    """What a call was, as counted."""

    BATCH = "batch"
    SINGLE = "single"
    CREATE_MULTIPLE = "CreateMultiple"
    UPDATE_MULTIPLE = "UpdateMultiple"
    METADATA = "metadata"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One HTTP call and the reply for each of its requests, in their order.

    `duration` is what the call took. `parallel_hint` is `x-ms-dop-hint` (dataverse.md 4.1), None when absent.
    """

    replies: tuple[Reply, ...]
    duration: timedelta
    parallel_hint: int | None = None
    kind: CallKind = CallKind.BATCH
