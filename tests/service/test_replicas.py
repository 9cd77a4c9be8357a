"""Replicas that beat, fall silent and die, each with own clocks: no two ever write one contact at once."""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from didomi_dataverse.delivery.membership import ReplicaMember, SingleProcess, run_while_held
from didomi_dataverse.errors import StoreUnavailableError
from didomi_dataverse.ledger.delivery_state import Claim, DeliveryState, Move
from didomi_dataverse.ledger.ledger import Ledger
from tests.clocks import START, FrozenClock
from tests.contract.ledger.steps import LEASE, contact_of, ingest_one, open_ledger, settlement
from tests.notifications import choice, interpreted

_T = TypeVar("_T")

TAKEOVER_AFTER = timedelta(seconds=60)
AFTERWORK = TAKEOVER_AFTER / 2
KEYS = ("ada", "bob", "cleo")
SECOND = timedelta(seconds=1)


@dataclass(slots=True)
class OwnClock:
    """A machine's clocks: the monotonic one runs truly, from its own start; the other may say anything."""

    true: FrozenClock
    started_at: float
    ahead: timedelta = timedelta(0)

    def now(self) -> datetime:
        return (self.true.now() + self.ahead).astimezone(UTC)

    def monotonic(self) -> float:
        return self.true.monotonic() + self.started_at


@dataclass(slots=True)
class Replica:
    clock: OwnClock
    member: ReplicaMember
    calls: list[tuple[Claim, str]] = field(default_factory=list)


class ReplicasLife(RuleBasedStateMachine):
    """Two replicas on one ledger. The model knows the true time, and until when each write may be under way:
    while its caller waits for it, and as long after that as Dataverse may carry on with it (`AFTERWORK`).
    """

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._folder = Path(tempfile.mkdtemp(prefix="replicas-life-"))
        self._true = FrozenClock()
        self._ledger = self._run(open_ledger(f"sqlite:///{self._folder / 'ledger.db'}", clock=self._true))
        self._replicas = [self._started(0), self._started(5_000)]
        self._echoes: dict[str, float] = {}
        self._number = 0

    def teardown(self) -> None:
        self._run(self._ledger.close())
        self._runner.close()
        shutil.rmtree(self._folder)

    def _run(self, step: Coroutine[Any, Any, _T]) -> _T:
        return self._runner.run(step)

    def _started(self, started_at: float) -> Replica:
        clock = OwnClock(self._true, started_at)
        member = ReplicaMember(self._ledger.replicas, clock=clock, takeover_after=TAKEOVER_AFTER)
        self._run(member.join())
        return Replica(clock, member)

    def _end_call(self, claim: Claim) -> None:
        """Its caller is gone, but it may still be carried out."""
        self._echoes[claim.contact.key] = self._true.monotonic() + AFTERWORK.total_seconds()

    @rule(key=st.sampled_from(KEYS), value=st.booleans())
    def receive(self, key: str, value: bool) -> None:
        self._number += 1
        self._run(
            self._ledger.inbox.ingest([interpreted(choice(value, after=self._number * SECOND), key=key)])
        )

    @rule(which=st.integers(0, 1))
    def beat(self, which: int) -> None:
        self._run(self._replicas[which].member.beat())

    @rule(seconds=st.sampled_from([1, 5, 14, 16, 29, 31, 61]))
    def wait(self, seconds: int) -> None:
        """A second at a time, so that a call is given up in the second in which its membership ends."""
        for _ in range(seconds):
            self._true.advance(SECOND)
            for replica in self._replicas:
                for claim, holder in list(replica.calls):
                    if replica.member.time_left(holder) == timedelta(0):
                        replica.calls.remove((claim, holder))
                        self._end_call(claim)

    @rule(seconds=st.sampled_from([10, 60]))
    def wait_while_all_beat(self, seconds: int) -> None:
        for _ in range(seconds // 5):
            self.wait(5)
            for which in (0, 1):
                self.beat(which)

    @rule(which=st.integers(0, 1))
    def the_other_falls_silent(self, which: int) -> None:
        for _ in range(13):
            self.beat(which)
            self.wait(5)
        self.beat(which)
        self.claim_and_begin_calls(which, limit=3)

    @rule(which=st.integers(0, 1), hours=st.sampled_from([-2, 0, 2]))
    def clock_jumps(self, which: int, hours: int) -> None:
        self._replicas[which].clock.ahead = timedelta(hours=hours)

    @rule(which=st.integers(0, 1), limit=st.integers(1, 3))
    def claim_and_begin_calls(self, which: int, limit: int) -> None:
        """Claimed is written at once: the worker has nothing else to do with it."""
        replica = self._replicas[which]
        holder = replica.member.holder
        if not replica.member.has_time:
            return
        now = replica.clock.now()
        for claim in self._run(self._ledger.queue.claim(now=now, limit=limit, lease=LEASE, holder=holder)):
            key = claim.contact.key
            assert not [
                held for other in self._replicas for held, _ in other.calls if held.contact.key == key
            ]
            assert self._echoes.get(key, 0.0) <= self._true.monotonic()
            replica.calls.append((claim, holder))

    @rule(which=st.integers(0, 1), settled=st.booleans())
    def answer_comes(self, which: int, settled: bool) -> None:
        replica = self._replicas[which]
        if replica.calls:
            claim, _ = replica.calls.pop(0)
            move, after = (Move.SETTLED, None) if settled else (Move.POSTPONED, timedelta(0))
            stored = [settlement(claim, move, after=after)]
            # Its membership has not ended, or the call would have been given up: so it is still the holder.
            assert self._run(self._ledger.queue.settle(stored, now=replica.clock.now())) == [True]

    @rule(which=st.integers(0, 1))
    def is_killed_and_started_again(self, which: int) -> None:
        for claim, _ in self._replicas[which].calls:
            self._end_call(claim)
        self._replicas[which] = self._started(which * 700.0)

    @rule(which=st.integers(0, 1))
    def ends_in_good_order(self, which: int) -> None:
        if not self._replicas[which].calls:
            self._run(self._replicas[which].member.leave())
            self._replicas[which] = self._started(which * 900.0)

    @invariant()
    def who_waits_has_a_time(self) -> None:
        for key in KEYS:
            contact = self._run(self._ledger.reader.contact(key))
            if contact is not None:
                at_rest = contact.state in {DeliveryState.SETTLED, DeliveryState.PARKED}
                assert (contact.due_at is None) == at_rest


ReplicasLife.TestCase.settings = settings(max_examples=15, stateful_step_count=40)
TestReplicasLife = ReplicasLife.TestCase


async def opened(folder: Path, clock: FrozenClock) -> Ledger:
    return await open_ledger(f"sqlite:///{folder / 'ledger.db'}", clock=clock)


async def test_what_a_dead_replica_held_is_due_after_the_takeover_and_not_before(tmp_path: Path) -> None:
    clock = FrozenClock()
    ledger = await opened(tmp_path, clock)
    await ingest_one(ledger)
    dead = ReplicaMember(ledger.replicas, clock=clock, takeover_after=TAKEOVER_AFTER)
    heir = ReplicaMember(ledger.replicas, clock=clock, takeover_after=TAKEOVER_AFTER)
    await dead.join()
    await heir.join()
    await ledger.queue.claim(now=clock.now(), limit=1, lease=timedelta(days=1), holder=dead.holder)
    for _ in range(11):
        clock.advance(5 * SECOND)
        await heir.beat()
    assert (await contact_of(ledger)).state is DeliveryState.DELIVERING

    clock.advance(5 * SECOND)
    await heir.beat()

    assert (await contact_of(ledger)).state is DeliveryState.DUE
    await ledger.close()


async def test_a_replica_is_not_evicted_before_the_time_that_it_allowed_itself(tmp_path: Path) -> None:
    """While another `takeover_after` is rolled out, replicas with the old and the new one work together."""
    clock = FrozenClock()
    ledger = await opened(tmp_path, clock)
    await ingest_one(ledger)
    patient = ReplicaMember(ledger.replicas, clock=clock, takeover_after=15 * TAKEOVER_AFTER)
    other = ReplicaMember(ledger.replicas, clock=clock, takeover_after=TAKEOVER_AFTER)
    await patient.join()
    await other.join()
    await ledger.queue.claim(now=clock.now(), limit=1, lease=timedelta(days=1), holder=patient.holder)
    for _ in range(13):
        clock.advance(5 * SECOND)
        await other.beat()

    assert patient.has_time
    assert (await contact_of(ledger)).state is DeliveryState.DELIVERING
    await ledger.close()


async def test_a_replica_that_was_evicted_goes_on_under_another_name(tmp_path: Path) -> None:
    clock = FrozenClock()
    ledger = await opened(tmp_path, clock)
    stalled = ReplicaMember(ledger.replicas, clock=clock, takeover_after=TAKEOVER_AFTER)
    other = ReplicaMember(ledger.replicas, clock=clock, takeover_after=TAKEOVER_AFTER)
    await stalled.join()
    await other.join()
    clock.advance(TAKEOVER_AFTER)
    await other.beat()
    name = stalled.holder

    await stalled.beat()

    assert stalled.holder != name
    assert not stalled.has_time
    assert stalled.time_left(name) == timedelta(0)
    await stalled.beat()
    assert stalled.has_time
    await ledger.close()


async def test_a_store_that_fails_ends_the_membership_by_itself(tmp_path: Path) -> None:
    clock = FrozenClock()
    ledger = await opened(tmp_path, clock)
    replica = ReplicaMember(ledger.replicas, clock=clock, takeover_after=TAKEOVER_AFTER)
    await replica.join()
    assert replica.time_left(replica.holder) == AFTERWORK
    await ledger.close()
    clock.advance(16 * SECOND)

    try:
        await replica.beat()
    except StoreUnavailableError:
        pass
    else:
        raise AssertionError("The ledger was closed.")

    assert not replica.has_time
    assert replica.time_left(replica.holder) == 14 * SECOND


async def test_a_call_is_aborted_when_the_membership_ends(tmp_path: Path) -> None:
    clock = FrozenClock()
    ledger = await opened(tmp_path, clock)
    # The one wait here that is real: as long as the membership has left when the call begins.
    moment = timedelta(milliseconds=20)
    replica = ReplicaMember(ledger.replicas, clock=clock, takeover_after=moment)
    await replica.join()
    ended = asyncio.Event()

    async def call() -> str:
        try:
            clock.advance(moment)
            await asyncio.Event().wait()
        finally:
            ended.set()
        return "answer"

    assert await run_while_held(replica, replica.holder, call()) is None
    assert ended.is_set()
    await ledger.close()


async def test_a_process_alone_with_its_store_takes_nothing_over_from_itself(tmp_path: Path) -> None:
    """Its clock may jump as it likes: what it is writing is never handed out a second time."""
    clock = FrozenClock()
    ledger = await opened(tmp_path, clock)
    await ingest_one(ledger)
    alone = SingleProcess(ledger.replicas, clock=clock)
    await alone.join()
    (claim,) = await ledger.queue.claim(now=clock.now(), limit=1, lease=LEASE, holder=alone.holder)

    for jumped in (START + timedelta(days=1), START - timedelta(days=1)):
        assert await ledger.queue.claim(now=jumped, limit=1, lease=LEASE, holder=alone.holder) == []

    assert await ledger.queue.settle([settlement(claim)], now=START - timedelta(days=1)) == [True]
    assert alone.time_left(alone.holder) is None
    await alone.leave()
    await ledger.close()
