"""Interpret stored notifications once more, with today's code and configuration, and ingest them again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from didomi_dataverse.admin.lookup import notification_id
from didomi_dataverse.admin.session import AdminSession
from didomi_dataverse.admin.view import View
from didomi_dataverse.didomi.interpret import InterpretationPolicy, interpret
from didomi_dataverse.didomi.interpreted import Disposition, InterpretedNotification, Reason
from didomi_dataverse.didomi.notification import parse_notifications
from didomi_dataverse.errors import NotJsonError
from didomi_dataverse.ledger.read_models import StoredNotification

PER_STEP = 100
"""Notifications in one transaction. Too small: more commits. Too large: a serving process waits noticeably
for the store.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedNotification(View):
    """What became of one notification."""

    id: str
    """The id that commands take."""

    before: Disposition
    """Its disposition before the replay."""

    disposition: Disposition
    """Its disposition now."""

    reason: Reason | None
    """Why it is skipped or parked now; None otherwise."""

    readable: bool
    """False: its body still cannot be read, and nothing changed."""


def count_parked(replayed: Sequence[ReplayedNotification]) -> int:
    """How many of them are still parked."""
    return sum(one.disposition is Disposition.PARKED for one in replayed)


def interpret_again(
    stored: StoredNotification, policy: InterpretationPolicy
) -> InterpretedNotification | None:
    """What a stored notification says today; None when its body still cannot be read.

    It keeps its digest and the time of its first arrival, so that folding it again changes nothing.
    """
    try:
        (notification,) = parse_notifications(stored.body)
    except (NotJsonError, ValueError):  # not JSON, or not one notification
        return None
    interpreted = interpret(notification, received_at=stored.received_at, caller=stored.caller, policy=policy)
    return replace(
        interpreted,
        digest=stored.digest,
        choices=tuple(replace(choice, notification=stored.digest) for choice in interpreted.choices),
    )


async def replay(session: AdminSession, stored: Sequence[StoredNotification]) -> list[ReplayedNotification]:
    """Replay at most `PER_STEP` notifications in one transaction. Raises StoreError; then nothing changed."""
    policy = session.policy
    interpreted = (interpret_again(one, policy) for one in stored)
    ingested = await session.ledger.inbox.ingest_again([one for one in interpreted if one is not None])
    results = {one.digest: one for one in ingested}
    return [
        ReplayedNotification(
            id=notification_id(one.digest),
            before=one.disposition,
            disposition=results[one.digest].disposition if one.digest in results else one.disposition,
            reason=results[one.digest].reason if one.digest in results else one.reason,
            readable=one.digest in results,
        )
        for one in stored
    ]


async def replay_parked(session: AdminSession, reason: Reason | None = None) -> list[ReplayedNotification]:
    """Replay every parked notification, or those parked for one reason, in the order of arrival.

    In steps, each a transaction: if one raises StoreError, those before it stay replayed.
    """
    replayed: list[ReplayedNotification] = []
    after = 0
    while stored := await session.ledger.reader.parked_notifications(after, PER_STEP, reason):
        replayed += await replay(session, stored)
        after = stored[-1].notification_id
    return replayed
