"""Anything in any order, crashes included, against a model small enough to be seen to be right."""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Connection, event
from tests.clocks import START, FrozenClock
from tests.contract.ledger.steps import LEASE, open_ledger, settlement
from tests.notifications import NEWSLETTER, PROFILING, choice, interpreted

from didomi_dataverse.consent.model import Choice, ChoiceKind, Subject, Value
from didomi_dataverse.consent.registers import Registers, fold, resolve
from didomi_dataverse.didomi.interpreted import InterpretedNotification
from didomi_dataverse.ledger.delivery_state import Claim, Contact, DeliveryState, Move
from didomi_dataverse.ledger.ledger import Ledger

_T = TypeVar("_T")

KEYS = ("ada", "bob")


_any = st.integers(0, 1_000)
# Half of what is tried succeeds, so that contacts get to every state, and out of it.
_moves = st.just(Move.SETTLED) | st.sampled_from([Move.POSTPONED, Move.UNMATCHED, Move.PARKED])
_choices = st.lists(
    st.builds(
        choice,
        st.booleans(),
        subject=st.sampled_from([NEWSLETTER, PROFILING]),
        after=st.integers(0, 50).map(lambda seconds: timedelta(seconds=seconds)),
        didomi_user=st.sampled_from(["device-1", "device-2"]),
        kind=st.sampled_from(ChoiceKind),
    ),
    min_size=1,
    max_size=3,
)


class _Crash(Exception):  # noqa: N818 - not an error: it is what the test does
    pass


class LedgerLife(RuleBasedStateMachine):
    """One ledger on SQLite, two workers' worth of claims, and what must be true of them at any time.

    The model: every choice that was acknowledged, and, for each contact, who holds it and what a worker last
    delivered.
    """

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._folder = Path(tempfile.mkdtemp(prefix="ledger-life-"))
        self._clock = FrozenClock()
        self._ledger = self._open()
        self._received: list[InterpretedNotification] = []
        self._acknowledged: dict[str, list[Choice]] = {key: [] for key in KEYS}
        self._delivered: dict[str, Registers] = {}
        self._claims: list[Claim] = []
        self._holders: dict[str, Claim] = {}
        self._settled = 0

    def teardown(self) -> None:
        self._run(self._ledger.close())
        self._runner.close()
        shutil.rmtree(self._folder)

    def _run(self, step: Coroutine[Any, Any, _T]) -> _T:
        return self._runner.run(step)

    def _open(self) -> Ledger:
        return self._run(open_ledger(f"sqlite:///{self._folder / 'ledger.db'}", clock=self._clock))

    def _contact(self, key: str) -> Contact | None:
        return self._run(self._ledger.reader.contact(key))

    @initialize()
    def start(self) -> None:
        assert [self._contact(key) for key in KEYS] == [None, None]

    @rule(key=st.sampled_from(KEYS), choices=_choices)
    def receive(self, key: str, choices: list[Choice]) -> None:
        received = interpreted(*choices, key=key)
        (ingested,) = self._run(self._ledger.inbox.ingest([received]))
        assert not ingested.duplicate
        self._received.append(received)
        self._acknowledged[key] += choices

    @rule(which=_any)
    def receive_again(self, which: int) -> None:
        if self._received:
            (ingested,) = self._run(self._ledger.inbox.ingest([self._received[which % len(self._received)]]))
            assert ingested.duplicate

    @rule(key=st.sampled_from(KEYS), choices=_choices)
    def crash_before_the_commit(self, key: str, choices: list[Choice]) -> None:
        def crash(_: Connection) -> None:
            raise _Crash

        event.listen(self._ledger._database.engines.writing, "commit", crash)
        try:
            self._run(self._ledger.inbox.ingest([interpreted(*choices, key=key)]))
        except _Crash:
            pass
        else:
            raise AssertionError("The transaction was committed.")
        self.restart()

    @rule()
    def restart(self) -> None:
        """The claims of the process that ended are remembered: a worker may come back from the dead."""
        self._run(self._ledger.close())
        self._ledger = self._open()

    @rule(limit=st.integers(1, 2))
    def claim(self, limit: int) -> None:
        claims = self._run(self._ledger.queue.claim(now=self._clock.now(), limit=limit, lease=LEASE))
        for claim in claims:
            holder = self._holders.get(claim.contact.key)
            assert holder is None or self._lease_ended(holder)
            self._holders[claim.contact.key] = claim
        self._claims += claims

    def _lease_ended(self, claim: Claim) -> bool:
        return claim.contact.due_at is not None and claim.contact.due_at <= self._clock.now()

    @rule(which=_any, move=_moves)
    def settle(self, which: int, move: Move) -> None:
        if not self._claims:
            return
        claim = self._claims.pop(which % len(self._claims))
        after = self._clock.now() - START + timedelta(seconds=30)
        (answer,) = self._run(
            self._ledger.queue.settle([settlement(claim, move, after=after)], now=self._clock.now())
        )
        assert answer == (self._holders.get(claim.contact.key) is claim)
        if answer:
            del self._holders[claim.contact.key]
            self._settled += 1
            if move is Move.SETTLED:
                self._delivered[claim.contact.key] = claim.contact.registers

    @rule(which=_any)
    def give_back(self, which: int) -> None:
        if not self._claims:
            return
        claim = self._claims.pop(which % len(self._claims))
        self._run(self._ledger.queue.release([claim], now=self._clock.now()))
        if self._holders.get(claim.contact.key) is claim:
            del self._holders[claim.contact.key]

    @rule(seconds=st.sampled_from([1, 60, 60]))
    def wait(self, seconds: int) -> None:
        self._clock.advance(timedelta(seconds=seconds))

    @invariant()
    def every_promise_holds(self) -> None:
        attempts = 0
        for key in KEYS:
            contact = self._contact(key)
            # What was acknowledged is known, and nothing else.
            assert (contact.registers if contact else {}) == fold({}, self._acknowledged[key])
            if contact is None:
                continue
            # Who waits has a time, and who does not has none.
            at_rest = contact.state in {DeliveryState.SETTLED, DeliveryState.PARKED}
            assert (contact.due_at is None) == at_rest
            # Who is settled has been told everything.
            if contact.state is DeliveryState.SETTLED:
                assert _said(contact.registers) == _said(self._delivered.get(key, {}))
            attempts += len(self._run(self._ledger.reader.attempts_of(contact.contact_id, 1_000)))
        assert attempts == self._settled


def _said(registers: Registers) -> dict[Subject, tuple[Value, datetime | None]]:
    """Value and time of every item; which of two equal statements is remembered makes no difference."""
    return {subject: (found.choice.value, found.stated_at) for subject, found in resolve(registers).items()}


LedgerLife.TestCase.settings = settings(max_examples=30, stateful_step_count=30)
TestLedgerLife = LedgerLife.TestCase
