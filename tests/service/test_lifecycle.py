"""The whole way from a body to a row, in any order and with everything that can go wrong on it."""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dataverse_sandbox import running_sandbox
from didomi_dataverse.ledger.delivery_state import Claim, DeliveryState, Settlement
from didomi_dataverse.ledger.ledger import Ledger
from didomi_sandbox.bodies import Body, event, event_created, person, purpose, user_state, user_updated
from tests.clocks import START, FrozenClock
from tests.reference_fold import Deletion, Told, expected_values
from tests.service.harness import DyingLedger, Harness, open_house, replaced

_T = TypeVar("_T")

LATE = "customer-0002"
"""Has no row until one is created."""

PEOPLE = ("customer-0001", LATE)
COLUMNS: Mapping[str, str] = {"newsletter": "new_newsletter", "email_ads": "donotbulkemail"}
INVERTED: Mapping[bool, Sequence[str]] = {False: ["email_ads"], True: ["email_ads", "newsletter"]}
"""Whose column says the opposite, with the mapping as it is and with the one that is tried."""

OTHER_MAPPING = replaced(
    ("newsletter: new_newsletter", "newsletter: { column: new_newsletter, invert: true }")
)
ALL_DAY = timedelta(days=1)

_FAULTS: Mapping[str, Mapping[str, object]] = {
    "cut before": {"match": {"path": "$batch"}, "behaviour": "cut_before", "times": 1},
    "cut after": {"match": {"path": "$batch"}, "behaviour": "cut_after_commit", "times": 1},
    "throttled": {
        "match": {"path": "$batch"},
        "reply": {"status": 429, "headers": {"Retry-After": "30"}},
        "times": 1,
    },
    "gateway": {"match": {"path": "$batch"}, "behaviour": "html", "times": 1},
    "a row is throttled": {
        "match": {"method": "PATCH"},
        "reply": {"status": 429, "headers": {"Retry-After": "5"}},
        "times": 1,
    },
    "a row fails for a while": {"match": {"method": "PATCH"}, "reply": {"status": 503}, "times": 2},
    "grants are refused by a plug-in": {
        "match": {"method": "PATCH", "columns": {"new_newsletter": True}},
        "reply": {"status": 400, "body": {"error": {"code": "0x80040265", "message": "Not allowed."}}},
        "times": 3,
    },
}

_people = st.sampled_from(PEOPLE)
_any = st.integers(0, 1_000)


@dataclass(frozen=True, slots=True)
class _Said:
    """One choice of one person, or a snapshot that repeats it; `late` seconds after it was made others may
    have come before it.
    """

    key: str
    user: str
    item: str
    value: bool
    late: int
    is_snapshot: bool


def _event_id(number: int) -> str:
    return f"event-{number}"


def _opposite(said: Sequence[_Said]) -> Sequence[_Said]:
    return [replace(one, value=not one.value) for one in said]


def _made_after(said: _Said, number: int) -> int:
    """In seconds after the start of the story. Two may be made at the same."""
    return max(0, number - said.late)


def _body(said: _Said, number: int) -> Body:
    made_at = START - timedelta(hours=1) + timedelta(seconds=_made_after(said, number))
    who = person(said.key, didomi_user_id=said.user)
    chosen = [purpose(said.item, said.value)]
    if not said.is_snapshot:
        return event_created(event(_event_id(number), who, chosen, created_at=made_at))
    # The same state twice: nothing new was said by it.
    before, after = (
        user_state(who, chosen, version=2 * number + step, updated_at=made_at) for step in (1, 2)
    )
    return user_updated(before, after)


_said = st.lists(
    st.builds(
        _Said,
        key=_people,
        user=st.sampled_from(["phone", "laptop"]),
        item=st.sampled_from(sorted(COLUMNS)),
        value=st.booleans(),
        late=st.sampled_from([0, 0, 0, 1, 2, 5]),
        is_snapshot=st.sampled_from([False, False, False, True]),
    ),
    min_size=1,
    max_size=2,
)


@cache
def _sandbox_folder() -> Path:
    """Making certificates once is enough."""
    return Path(tempfile.mkdtemp(prefix="life-sandbox-"))


@dataclass(slots=True)
class _Stalling:
    """The ledger of a worker that stalls between the answer and its settlement."""

    kept: Sequence[Settlement] = ()

    async def settle(self, settlements: Sequence[Settlement], **_: object) -> list[bool]:
        self.kept = settlements
        return [False] * len(settlements)


@dataclass(frozen=True, slots=True)
class _Held:
    """Claims of a worker that stalls, and the monotonic time at which it claimed."""

    claims: Sequence[Claim]
    claimed_at: float
    holder: str


class DeliveryLife(RuleBasedStateMachine):
    """One service and its sandbox. The model: all that was acknowledged, folded by `reference_fold`."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._folder = Path(tempfile.mkdtemp(prefix="delivery-life-"))
        self._clock = FrozenClock()
        self._sandbox_stack = AsyncExitStack()
        self._stack = AsyncExitStack()
        self._sandbox = self._run(self._sandbox_stack.enter_async_context(running_sandbox(_sandbox_folder())))
        self._is_other_mapping = False
        self._house = self._run(self._open())
        self._bodies: list[Body] = []
        self._told: dict[str, list[Told]] = {key: [] for key in PEOPLE}
        self._deletions: list[Deletion] = []
        self._held: list[_Held] = []

    def teardown(self) -> None:
        try:
            self._run(self._reckon())
        finally:
            self._run(self._stack.aclose())
            self._run(self._sandbox_stack.aclose())
            self._runner.close()
            shutil.rmtree(self._folder)

    def _run(self, step: Coroutine[Any, Any, _T]) -> _T:
        return self._runner.run(step)

    async def _open(self) -> Harness:
        opened = open_house(
            self._sandbox,
            self._folder,
            change=OTHER_MAPPING if self._is_other_mapping else lambda text: text,
            clock=self._clock,
        )
        return await self._stack.enter_async_context(opened)

    @initialize()
    def start(self) -> None:
        self._run(self._house.put_rows(*({"new_didomikey": key} for key in PEOPLE if key != LATE)))

    # --- Didomi

    @rule(said=_said)
    def receive(self, said: Sequence[_Said]) -> None:
        self._run(self._receive(said))

    async def _receive(self, said: Sequence[_Said]) -> None:
        for one in said:
            number = len(self._bodies)
            body = _body(one, number)
            await self._house.receive(body)
            self._bodies.append(body)
            at = _made_after(one, number)
            self._told[one.key].append(
                Told(one.item, one.value, at, one.user, _event_id(number), one.is_snapshot)
            )

    @rule(which=_any)
    def receive_again(self, which: int) -> None:
        if self._bodies:
            self._run(self._house.receive(self._bodies[which % len(self._bodies)]))

    @rule(number=st.integers(0, 12))
    def an_event_is_deleted(self, number: int) -> None:
        """One that was told already, or one that will be."""
        body: Body = {"type": "event.deleted", "parameters": {"entity": {"id": _event_id(number)}}}
        self._run(self._house.receive(body))
        self._deletions.append(Deletion(event=_event_id(number)))

    # --- The service

    @rule(minutes=st.sampled_from([0, 0, 1, 20]))
    def deliver(self, minutes: int) -> None:
        self._run(self._house.after(timedelta(minutes=minutes)))

    async def _claimed(self, limit: int) -> _Held:
        claimed_at, sender = self._clock.monotonic(), self._house.sender
        claims = await self._house.ledger.queue.claim(
            now=self._clock.now(), limit=limit, lease=sender.lease, holder=sender.membership.holder
        )
        return _Held(claims, claimed_at, sender.membership.holder)

    async def _deliver_held(self, held: _Held) -> None:
        await self._house.sender.deliver(held.claims, claimed_at=held.claimed_at, holder=held.holder)

    @rule(said=_said, limit=st.integers(1, 3))
    def a_worker_stalls_with_its_claims(self, said: Sequence[_Said], limit: int) -> None:
        async def stalled() -> _Held:
            await self._receive(said)
            return await self._claimed(limit)

        self._held.append(self._run(stalled()))

    @rule(said=_said)
    def taken_back_on_the_way(self, said: Sequence[_Said]) -> None:
        async def chosen() -> None:
            await self._receive(said)
            held = await self._claimed(limit=3)
            await self._receive(_opposite(said))
            await self._deliver_held(held)

        self._run(chosen())

    @rule(which=_any, said=_said)
    def a_stalled_worker_wakes_up(self, which: int, said: Sequence[_Said]) -> None:
        """Others chose meanwhile, or the same ones did."""

        async def woken() -> None:
            await self._receive(said)
            await self._deliver_held(self._held.pop(which % len(self._held)))

        if self._held:
            self._run(woken())

    @rule(said=_said, minutes=st.sampled_from([0, 20]))
    def an_answer_is_settled_late(self, said: Sequence[_Said], minutes: int) -> None:
        """When the lease may have ended, and another may have written something else."""

        async def late() -> None:
            sender = self._house.sender
            await self._receive(said)
            held = await self._claimed(limit=3)
            stalling = _Stalling()
            sender._ledger = stalling  # type: ignore[assignment]
            await self._deliver_held(held)
            sender._ledger = self._house.ledger.queue
            await self._receive(_opposite(said))
            await self._house.after(timedelta(minutes=minutes))
            await self._house.ledger.queue.settle(stalling.kept, now=self._clock.now())

        self._run(late())

    @rule(said=_said)
    def killed_after_claiming(self, said: Sequence[_Said]) -> None:
        async def killed() -> None:
            await self._receive(said)
            await self._claimed(limit=3)

        self._run(killed())
        self.restart()

    @rule(said=_said)
    def killed_after_sending(self, said: Sequence[_Said]) -> None:
        """And what was sent is taken back, so that what was confirmed before is right again."""

        async def killed() -> None:
            await self._receive(_opposite(said))
            await self._house.deliver()
            await self._receive(said)
            held = await self._claimed(limit=3)
            self._house.sender._ledger = DyingLedger()  # type: ignore[assignment]
            try:
                await self._deliver_held(held)
            except asyncio.CancelledError:
                return

        self._run(killed())
        self.restart()
        self._run(self._receive(_opposite(said)))

    @rule()
    def restart(self) -> None:
        async def restarted() -> Harness:
            await self._stack.aclose()
            return await self._open()

        self._held.clear()
        self._house = self._run(restarted())

    @rule()
    def restart_with_the_other_mapping(self) -> None:
        self._is_other_mapping = not self._is_other_mapping
        self.restart()

    @rule(key=_people)
    def resync(self, key: str) -> None:
        async def resynced(ledger: Ledger) -> None:
            ids = await ledger.reader.contact_ids([key])
            await ledger.commands.resync(ids, now=self._clock.now())

        self._run(resynced(self._house.ledger))

    # --- Dataverse

    @rule(name=st.sampled_from(sorted(_FAULTS)), said=_said)
    def trouble(self, name: str, said: Sequence[_Said]) -> None:
        """On the way of something that is taken back before it is tried again."""

        async def troubled() -> None:
            await self._receive(_opposite(said))
            await self._house.deliver()
            await self._receive(said)
            await self._house.put_faults(_FAULTS[name])
            await self._house.deliver()
            await self._receive(_opposite(said))

        self._run(troubled())

    @rule()
    def the_late_row_is_created(self) -> None:
        self._run(self._create_late_row())

    async def _create_late_row(self) -> None:
        rows = await self._house.rows()
        if all(row["new_didomikey"] != LATE for row in rows):
            kept = [{name: row[name] for name in ("new_didomikey", *COLUMNS.values())} for row in rows]
            await self._house.put_rows(*kept, {"new_didomikey": LATE})

    # --- What must be true

    @invariant()
    def who_is_settled_has_the_row_that_was_chosen(self) -> None:
        self._run(self._compare())

    async def _compare(self) -> int:
        """How many people have a row that is settled."""
        rows = {row["new_didomikey"]: row for row in await self._house.rows()}
        settled = 0
        for key in PEOPLE:
            contact = await self._house.ledger.reader.contact(key)
            if contact is None or contact.state is not DeliveryState.SETTLED:
                continue
            settled += 1
            for item, chosen in expected_values(self._told[key], self._deletions).items():
                # Of what was taken back nothing is left, and nothing is no consent.
                consents = chosen is True
                is_opposite = item in INVERTED[self._is_other_mapping]
                assert rows[key][COLUMNS[item]] is (consents is not is_opposite), (key, item)
        return settled

    async def _reckon(self) -> None:
        """With nothing in the way any more, every person who was ever named is right in the end."""
        await self._house.put_faults()
        await self._create_late_row()
        await self._house.ledger.commands.retry_parked(now=self._clock.now())
        give_up_at = self._clock.now() + ALL_DAY
        while (due_at := await self._house.ledger.queue.next_due_at()) is not None:
            assert due_at < give_up_at
            self._clock.advance(max(due_at - self._clock.now(), timedelta(seconds=1)))
            await self._house.deliver()
        assert await self._compare() == sum(1 for told in self._told.values() if told)


DeliveryLife.TestCase.settings = settings(max_examples=25, stateful_step_count=30)
TestDeliveryLife = DeliveryLife.TestCase
