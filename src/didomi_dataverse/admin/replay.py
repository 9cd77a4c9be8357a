"""Read what was received once more, with today's code and configuration, and let it count."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from didomi_dataverse.didomi.interpret import InterpretationPolicy, interpret
from didomi_dataverse.didomi.interpreted import Disposition, InterpretedNotification, Reason
from didomi_dataverse.didomi.notification import parse_notifications
from didomi_dataverse.errors import NotJsonError
from didomi_dataverse.ledger.ledger import Ledger
from didomi_dataverse.ledger.read_models import StoredNotification

PER_STEP = 100
"""Notifications in one transaction: short enough that a serving process does not notice."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of a notification. `is_read` False: its body still cannot be read, and nothing changed."""

    digest: str
    before: Disposition
    disposition: Disposition
    reason: Reason | None
    is_read: bool


def read_again(logged: StoredNotification, policy: InterpretationPolicy) -> InterpretedNotification | None:
    """What a logged notification says today; None when its body still cannot be read.

    It keeps its digest and the time of its first arrival, so that folding it again changes nothing.
    """
    try:
        (notification,) = parse_notifications(logged.body)
    except (NotJsonError, ValueError):  # no JSON, or not one notification
        return None
    reading = interpret(notification, received_at=logged.received_at, caller=logged.caller, policy=policy)
    return replace(
        reading,
        digest=logged.digest,
        choices=tuple(replace(choice, notification=logged.digest) for choice in reading.choices),
    )


async def replay(
    ledger: Ledger, policy: InterpretationPolicy, logged: Sequence[StoredNotification]
) -> list[Replayed]:
    """Replay at most `PER_STEP` notifications in one transaction. Raises StoreError; then nothing changed."""
    readings = {one.digest: read_again(one, policy) for one in logged}
    recorded = await ledger.inbox.ingest_again(
        [reading for reading in readings.values() if reading is not None]
    )
    became = {one.digest: one for one in recorded}
    return [
        Replayed(
            digest=one.digest,
            before=one.disposition,
            disposition=became[one.digest].disposition if one.digest in became else one.disposition,
            reason=became[one.digest].reason if one.digest in became else one.reason,
            is_read=one.digest in became,
        )
        for one in logged
    ]


async def replay_parked(
    ledger: Ledger, policy: InterpretationPolicy, reason: Reason | None
) -> list[Replayed]:
    """Replay every parked notification, in the order of arrival and a step at a time."""
    replayed: list[Replayed] = []
    after = 0
    while logged := await ledger.reader.parked_notifications(after, PER_STEP, reason):
        replayed += await replay(ledger, policy, logged)
        after = logged[-1].notification_id
    return replayed
