"""The HTTP calls that requests travel in, and what came of a call."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import ClassVar

from didomi_dataverse.dataverse.bulk_body import BulkMessage
from didomi_dataverse.dataverse.replies import Reply
from didomi_dataverse.dataverse.requests import Request, Write


class CallKind(StrEnum):
    """What a call is, as counted."""

    BATCH = "batch"
    """One `$batch`."""

    SINGLE = "single"
    """One request by itself."""

    CREATE_MULTIPLE = "CreateMultiple"
    """One bulk message that creates rows."""

    UPDATE_MULTIPLE = "UpdateMultiple"
    """One bulk message that updates rows."""

    METADATA = "metadata"
    """A question about the table."""


@dataclass(frozen=True, slots=True)
class BatchCall:
    """One `$batch` with continue-on-error: every request gets an answer of its own."""

    requests: Sequence[Request]
    """At least one, and at most `batch.MAX_PARTS`."""

    kind: ClassVar[CallKind] = CallKind.BATCH


@dataclass(frozen=True, slots=True)
class SingleCall:
    """One request by itself."""

    request: Request
    """The request."""

    kind: ClassVar[CallKind] = CallKind.SINGLE

    @property
    def requests(self) -> Sequence[Request]:
        """The one request."""
        return (self.request,)


@dataclass(frozen=True, slots=True)
class BulkCall:
    """One bulk message. All of its writes are carried out, or none (dataverse.md 3.4)."""

    message: BulkMessage
    """Which message."""

    writes: Sequence[Write]
    """The writes that it carries out, as they were asked for."""

    body: bytes
    """The same writes, encoded (`bulk_body.encode_updates`, `bulk_body.encode_creations`)."""

    @property
    def kind(self) -> CallKind:
        """That of the message."""
        return CallKind(self.message.value)

    @property
    def requests(self) -> Sequence[Request]:
        """The writes."""
        return self.writes


@dataclass(frozen=True, slots=True)
class AvailabilityCall:
    """Asks whether the table has a bulk message. Carries no requests."""

    message: BulkMessage
    """Which message."""

    kind: ClassVar[CallKind] = CallKind.METADATA
    requests: ClassVar[Sequence[Request]] = ()


Call = BatchCall | SingleCall | BulkCall | AvailabilityCall
"""One HTTP call to the Web API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One HTTP call with what came of it."""

    call: Call
    """The call."""

    replies: tuple[Reply, ...]
    """One for each request of the call, in their order. Of an availability call: the one reply to it."""

    duration: timedelta
    """What the call took, from our end."""

    parallel_hint: int | None = None
    """How many calls at once the server recommends (`x-ms-dop-hint`, dataverse.md 4.1); None when it does not
    say."""

    is_available: bool | None = None
    """Of an availability call: whether the table has the message. None when the answer does not say, and for
    every other call."""
