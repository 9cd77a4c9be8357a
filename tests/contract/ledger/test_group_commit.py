"""Many callers, one commit; each gets their own answer."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from tests.notifications import choice, interpreted

from didomi_dataverse.didomi.interpreted import Disposition, InterpretedNotification
from didomi_dataverse.errors import StoreUnavailableError
from didomi_dataverse.ledger.group_commit import GroupCommit
from didomi_dataverse.ledger.ingest import Ingested
from didomi_dataverse.ledger.ledger import Ledger
from didomi_dataverse.ledger.read_models import NotificationFilter


class FakeLedger:
    """Commits when the test lets it, and fails for notifications whose digest it was told to fail for."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.failing: dict[str, Exception] = {}
        self._may_commit = asyncio.Semaphore(0)
        self._committing = asyncio.Event()

    async def ingest(self, notifications: Sequence[InterpretedNotification]) -> list[Ingested]:
        self.groups.append([each.digest for each in notifications])
        self._committing.set()
        await self._may_commit.acquire()
        for each in notifications:
            if each.digest in self.failing:
                raise self.failing[each.digest]
        return [
            Ingested(each.digest, Disposition.APPLIED, None, duplicate=False, contact_id=1, withdrawal=False)
            for each in notifications
        ]

    def let_commit(self, times: int = 1_000) -> None:
        for _ in range(times):
            self._may_commit.release()

    async def until_committing(self) -> None:
        await self._committing.wait()
        self._committing.clear()


@pytest.fixture
def fake() -> FakeLedger:
    return FakeLedger()


def _call(group_commit: GroupCommit, *digests: str) -> asyncio.Task[list[Ingested]]:
    return asyncio.create_task(
        group_commit.submit([interpreted(choice(), digest=digest) for digest in digests])
    )


async def _first_committing(
    group_commit: GroupCommit, fake: FakeLedger, *others: str
) -> list[asyncio.Task[list[Ingested]]]:
    """A first call that is being committed, and one call for each of the others, in line."""
    calls = [_call(group_commit, "first")]
    await fake.until_committing()
    for digest in others:
        calls.append(_call(group_commit, digest))
        await asyncio.sleep(0)
    return calls


def _digests(ingested: list[Ingested]) -> list[str]:
    return [each.digest for each in ingested]


async def test_a_single_caller_is_committed_at_once(fake: FakeLedger) -> None:
    fake.let_commit()

    assert _digests(await GroupCommit(fake.ingest).submit([interpreted(digest="a")])) == ["a"]


async def test_nothing_is_committed_for_nothing(fake: FakeLedger) -> None:
    assert await GroupCommit(fake.ingest).submit([]) == []
    assert fake.groups == []


async def test_callers_during_a_commit_share_the_next(fake: FakeLedger) -> None:
    group_commit = GroupCommit(fake.ingest)
    calls = await _first_committing(group_commit, fake, "a", "b", "c")
    assert group_commit._waiting == 3

    fake.let_commit()

    assert [_digests(ingested) for ingested in await asyncio.gather(*calls)] == [
        ["first"],
        ["a"],
        ["b"],
        ["c"],
    ]
    assert fake.groups == [["first"], ["a", "b", "c"]]
    assert group_commit._waiting == 0


async def test_each_caller_gets_their_own_part_in_order(fake: FakeLedger) -> None:
    group_commit = GroupCommit(fake.ingest)
    calls = await _first_committing(group_commit, fake)
    calls += [_call(group_commit, "a", "b"), _call(group_commit, "c"), _call(group_commit, "d", "e", "f")]
    await asyncio.sleep(0)
    fake.let_commit()

    answers = [_digests(ingested) for ingested in await asyncio.gather(*calls)]

    assert answers == [["first"], ["a", "b"], ["c"], ["d", "e", "f"]]


async def test_a_group_has_no_more_than_its_bound(fake: FakeLedger) -> None:
    group_commit = GroupCommit(fake.ingest, max_group=2)
    calls = await _first_committing(group_commit, fake, "a", "b", "c")
    fake.let_commit()
    await asyncio.gather(*calls)

    assert fake.groups == [["first"], ["a", "b"], ["c"]]


async def test_a_call_larger_than_a_group_is_a_group_by_itself(fake: FakeLedger) -> None:
    group_commit = GroupCommit(fake.ingest, max_group=2)
    calls = await _first_committing(group_commit, fake, "a")
    calls.append(_call(group_commit, "b", "c", "d"))
    await asyncio.sleep(0)
    fake.let_commit()
    await asyncio.gather(*calls)

    assert fake.groups == [["first"], ["a"], ["b", "c", "d"]]


async def test_a_caller_that_finds_the_line_full_is_refused_at_once(fake: FakeLedger) -> None:
    group_commit = GroupCommit(fake.ingest, max_waiting=2)
    calls = await _first_committing(group_commit, fake, "a", "b")

    with pytest.raises(StoreUnavailableError, match="2 notifications are waiting"):
        await group_commit.submit([interpreted(digest="c")])

    fake.let_commit()
    await asyncio.gather(*calls)
    assert fake.groups == [["first"], ["a", "b"]]


async def test_a_caller_that_waits_too_long_for_a_store_that_stalls_is_refused(fake: FakeLedger) -> None:
    """In line and in the commit alike. The commit goes on, and so do the callers after it."""
    group_commit = GroupCommit(fake.ingest, longest_wait=timedelta(milliseconds=20))
    calls = await _first_committing(group_commit, fake, "a")

    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(answer) for answer in answers] == [StoreUnavailableError] * 2
    assert "did not commit within 0.02 s" in str(answers[0])
    fake.let_commit()
    assert _digests(await group_commit.submit([interpreted(digest="b")])) == ["b"]
    assert fake.groups == [["first"], ["b"]]


async def test_a_call_larger_than_the_line_is_taken_when_the_line_is_empty(fake: FakeLedger) -> None:
    group_commit = GroupCommit(fake.ingest, max_waiting=2)
    fake.let_commit()

    assert _digests(await _call(group_commit, "a", "b", "c")) == ["a", "b", "c"]


async def test_a_store_that_cannot_commit_is_told_to_all_and_not_asked_again(fake: FakeLedger) -> None:
    group_commit = GroupCommit(fake.ingest)
    fake.failing["b"] = StoreUnavailableError("The disk is full.")
    calls = await _first_committing(group_commit, fake, "a", "b")
    fake.let_commit()

    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert isinstance(answers[0], list)
    assert [str(answer) for answer in answers[1:]] == ["The disk is full."] * 2
    assert answers[1] is not answers[2]
    assert fake.groups == [["first"], ["a", "b"]]


async def test_notifications_that_break_the_commit_fail_alone(fake: FakeLedger) -> None:
    group_commit = GroupCommit(fake.ingest)
    fake.failing["b"] = RuntimeError("poison")
    calls = await _first_committing(group_commit, fake, "a", "b", "c")
    fake.let_commit()

    first, a, b, c = await asyncio.gather(*calls, return_exceptions=True)

    assert b is fake.failing["b"]
    assert [_digests(answer) for answer in (first, a, c) if isinstance(answer, list)] == [
        ["first"],
        ["a"],
        ["c"],
    ]
    assert fake.groups == [["first"], ["a", "b", "c"], ["a"], ["b"], ["c"]]


async def test_a_caller_that_hangs_up_does_not_disturb_the_others(fake: FakeLedger) -> None:
    group_commit = GroupCommit(fake.ingest)
    calls = await _first_committing(group_commit, fake, "a", "b")

    calls[0].cancel()  # being committed
    calls[1].cancel()  # in line
    await asyncio.sleep(0)
    fake.let_commit()

    assert _digests(await calls[2]) == ["b"]
    assert calls[0].cancelled()
    assert calls[1].cancelled()
    # What was begun is committed; what had not begun will be sent again.
    assert fake.groups == [["first"], ["b"]]


async def test_closing_commits_all_that_wait_and_refuses_later_callers(fake: FakeLedger) -> None:
    group_commit = GroupCommit(fake.ingest)
    calls = await _first_committing(group_commit, fake, "a", "b")

    closing = asyncio.create_task(group_commit.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailableError, match="shutting down"):
        await group_commit.submit([interpreted(digest="late")])
    assert not closing.done()
    fake.let_commit()
    await closing

    assert [_digests(ingested) for ingested in await asyncio.gather(*calls)] == [["first"], ["a"], ["b"]]
    assert fake.groups == [["first"], ["a", "b"]]


async def test_closing_what_is_idle_returns(fake: FakeLedger) -> None:
    await GroupCommit(fake.ingest).close()


async def test_after_a_quiet_time_it_goes_on(fake: FakeLedger) -> None:
    group_commit = GroupCommit(fake.ingest)
    fake.let_commit()

    for digest in ("a", "b"):
        await group_commit.submit([interpreted(digest=digest)])

    assert fake.groups == [["a"], ["b"]]


async def test_when_the_task_is_cancelled_waiting_callers_are_told(fake: FakeLedger) -> None:
    group_commit = GroupCommit(fake.ingest)
    calls = await _first_committing(group_commit, fake, "a")
    committing = group_commit._committing
    assert committing is not None

    committing.cancel()
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(answer) for answer in answers] == [StoreUnavailableError] * 2


async def test_on_a_real_ledger_everybody_is_answered(ledger: Ledger) -> None:
    group_commit = GroupCommit(ledger.inbox.ingest, max_group=20)
    notifications = [interpreted(choice(), key=f"person-{number % 30}") for number in range(100)]

    answers = await asyncio.gather(
        *(group_commit.submit([each]) for each in (*notifications, *notifications))
    )
    await group_commit.close()

    assert [answer[0].digest for answer in answers] == [
        each.digest for each in (*notifications, *notifications)
    ]
    assert [answer[0].duplicate for answer in answers] == [False] * 100 + [True] * 100
    logged = await ledger.reader.list_notifications(NotificationFilter(limit=200))
    assert {one.digest for one in logged} == {each.digest for each in notifications}
    assert {one.times_received for one in logged} == {2}
