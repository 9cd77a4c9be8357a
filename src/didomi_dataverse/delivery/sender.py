"""Talks with Dataverse about claimed contacts: begin a dialogue for each, exchange in shared calls, settle.

What one call needs is asked by many dialogues at once, so the rounds of a batch are few: one for rows that
are there, one more for those that have to be looked up or created.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

import structlog

from didomi_dataverse.clock import Clock
from didomi_dataverse.dataverse.client import DataverseClient
from didomi_dataverse.dataverse.error_catalogue import Action, advice_for, classify, entry_for
from didomi_dataverse.dataverse.reply import Answered, Exchange, Reply, Unknown
from didomi_dataverse.dataverse.write import LookUp, Write
from didomi_dataverse.delivery import pace as pacing
from didomi_dataverse.delivery.decide import Patience, judged, outcome_word, settlement
from didomi_dataverse.delivery.dialogue import Dialogue, MatchPolicy, action_of, dialogue
from didomi_dataverse.delivery.outcome import (
    Alerted,
    AlertReason,
    Concluded,
    Parked,
    ParkReason,
    PostponeCause,
    Postponed,
)
from didomi_dataverse.delivery.pace import Pace
from didomi_dataverse.errors import TokenRefusedError, TokenUnavailableError
from didomi_dataverse.ledger.contact import Claim, resolve
from didomi_dataverse.ledger.ledger import Ledger
from didomi_dataverse.mapping.apply import Finding, apply, for_creation
from didomi_dataverse.mapping.schema import Mapping as ColumnMapping

log = structlog.get_logger(__name__)

Request = Write | LookUp


class Listener(Protocol):
    """Who is told what the sender does: metrics in the service, nobody in most tests."""

    def exchanged(self, requests: Sequence[Request], exchange: Exchange) -> None:
        """One HTTP call ended."""

    def concluded(self, claim: Claim, concluded: Concluded) -> None:
        """One contact's dialogue ended."""

    def found(self, findings: Sequence[Finding]) -> None:
        """The mapping had no column value for some choices of a contact."""

    def paced(self, pace: Pace) -> None:
        """The sender's speed, pause or alert changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """How long a claim holds, and how long one call may take. A new call is begun only if it can end before
    the lease does, because after that another replica may write the same contact (design.md 1, promise 3).
    """

    holds_for: timedelta
    longest_call: timedelta


@dataclass(slots=True)
class _Talk:
    """One claim's dialogue while it runs, and how it ended."""

    claim: Claim
    lines: Dialogue
    asks: Request | None = None
    concluded: Concluded | None = None

    def hear(self, reply: Reply | None) -> None:
        """Hands in the reply (None to begin) and takes the next request, or the end."""
        try:
            self.asks = next(self.lines) if reply is None else self.lines.send(reply)
        except StopIteration as end:
            self.conclude(end.value)

    def conclude(self, concluded: Concluded) -> None:
        """Ends the dialogue, whatever it would have asked next."""
        self.lines.close()
        self.asks, self.concluded = None, concluded


class Sender:
    """Everything needed to bring claimed contacts to an outcome, and the pace at which that may happen."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        client: DataverseClient,
        mapping: ColumnMapping,
        policy: MatchPolicy,
        patience: Patience,
        lease: Lease,
        pace: Pace,
        clock: Clock,
        dice: Callable[[], float],
        listener: Listener,
        pseudonym: Callable[[str], str],
    ) -> None:
        self._ledger = ledger
        self._client = client
        self._mapping = mapping
        self._policy = policy
        self._patience = patience
        self._clock = clock
        self._dice = dice
        self._listener = listener
        self._pseudonym = pseudonym
        self.lease = lease
        self.pace = pace

    async def deliver(self, claims: Sequence[Claim], *, claimed_at: float) -> None:
        """Talks with Dataverse about claimed contacts and settles every one of them in one transaction.

        `claimed_at` is the monotonic time just before they were claimed. Raises StoreError when the outcomes
        cannot be stored; the leases then end by themselves and the same, idempotent writes are sent again.
        """
        talks = [self._begin(claim) for claim in claims]
        while open_talks := [talk for talk in talks if talk.asks is not None]:
            await self._exchange(open_talks, claimed_at)
        now = self._clock.now()
        ended = [
            (talk.claim, judged(talk.concluded, talk.claim.contact, patience=self._patience, now=now))
            for talk in talks
            if talk.concluded is not None
        ]
        settlements = [
            settlement(claim, concluded, now=now, jitter=self._dice()) for claim, concluded in ended
        ]
        await self._ledger.settle(settlements, now=now)
        for claim, concluded in ended:
            self._listener.concluded(claim, concluded)
        self._log(ended)

    def _begin(self, claim: Claim) -> _Talk:
        try:
            values = apply(self._mapping, resolve(claim.contact.registers))
            creation = for_creation(self._mapping, values)
            talk = _Talk(claim, dialogue(claim.contact, values, creation, self._policy))
            talk.hear(None)
            self._listener.found(values.findings)
        except Exception:  # one contact that we fail on must not hold up the others of its batch
            log.exception("contact_not_mapped", contact=self._pseudonym(claim.contact.key))
            failed = Concluded(outcome=Parked(ParkReason.INTERNAL_ERROR))
            return _Talk(claim, _nothing_said(), concluded=failed)
        return talk

    def _may_begin_call(self, claimed_at: float) -> bool:
        held_for = timedelta(seconds=self._clock.monotonic() - claimed_at)
        return held_for + self.lease.longest_call <= self.lease.holds_for

    async def _exchange(self, talks: Sequence[_Talk], claimed_at: float) -> None:
        """One call for what all talks ask now. A call that is refused as a whole is halved until the row that
        spoils it is alone (dataverse.md 5.2 "split").
        """
        if not self._may_begin_call(claimed_at):
            _end_all(talks, Concluded(outcome=Postponed(PostponeCause.OUT_OF_TIME)))
            return
        requests = [talk.asks for talk in talks if talk.asks is not None]
        try:
            exchange = await self._client.send(requests)
        except TokenRefusedError as error:
            advice, now = str(error), self._clock.now()
            self._set_pace(pacing.after_alert(self.pace, AlertReason.CREDENTIAL, advice, now=now))
            _end_all(talks, Concluded(outcome=Alerted(AlertReason.CREDENTIAL, advice)))
            return
        except TokenUnavailableError as error:
            log.warning("token_unavailable", cause=str(error))
            now = self._clock.now()
            self._set_pace(pacing.after_failure(self.pace, retry_after=None, now=now, jitter=self._dice()))
            _end_all(talks, Concluded(outcome=Postponed(PostponeCause.NO_TOKEN)))
            return
        except ValueError:
            # Something in it cannot be put into a request at all. Nothing was sent.
            await self._halve(talks, claimed_at)
            return
        self._listener.exchanged(requests, exchange)
        if len(talks) > 1 and _is_spoilt(exchange):
            await self._halve(talks, claimed_at)
            return
        refused = _refused_for_all(requests, exchange, is_stopped=self.pace.alert is not None)
        self._learn(requests, exchange, refused)
        for talk, reply in zip(talks, exchange.replies, strict=True):
            talk.hear(reply)
            if refused is not None and talk.concluded is not None and _is_mapping_fault(reply):
                # Every row fails like this one: the mapping is wrong, not the row, so none of them is parked.
                alerted = Alerted(AlertReason.REFUSED, advice_for(refused))
                talk.concluded = replace(talk.concluded, outcome=alerted)

    async def _halve(self, talks: Sequence[_Talk], claimed_at: float) -> None:
        if len(talks) == 1:
            talks[0].conclude(Concluded(outcome=Parked(ParkReason.UNSENDABLE)))
            return
        middle = len(talks) // 2
        await self._exchange(talks[:middle], claimed_at)
        await self._exchange(talks[middle:], claimed_at)

    def _learn(self, requests: Sequence[Request], exchange: Exchange, refused: Answered | None) -> None:
        """Sets the pace by what the call came to."""
        now = self._clock.now()
        waits = [
            reply.retry_after
            for reply in exchange.replies
            if isinstance(reply, Answered) and reply.retry_after is not None
        ]
        longest = max(waits, default=None)
        actions = list(map(action_of, exchange.replies, requests))
        if Action.WAIT in actions:
            pace = pacing.after_throttle(self.pace, retry_after=longest, now=now, jitter=self._dice())
        elif any(map(_is_lost, exchange.replies, requests)):
            pace = pacing.after_failure(self.pace, retry_after=longest, now=now, jitter=self._dice())
        elif refused is not None:
            pace = pacing.after_alert(self.pace, AlertReason.REFUSED, advice_for(refused), now=now)
        else:
            pace = pacing.after_success(self.pace, parallel_hint=exchange.parallel_hint)
        self._set_pace(pace)

    def _set_pace(self, pace: Pace) -> None:
        if pace == self.pace:
            return
        if pace.alert is not None and self.pace.alert is None:
            log.error("sender_alerted", reason=pace.alert.reason.value, advice=pace.alert.advice)
        if pace.alert is None and self.pace.alert is not None:
            log.info("sender_recovered")
        self.pace = pace
        self._listener.paced(pace)

    def _log(self, ended: Sequence[tuple[Claim, Concluded]]) -> None:
        words = Counter(outcome_word(concluded) for _, concluded in ended)
        log.info("contacts_settled", **words)
        for claim, concluded in ended:
            if isinstance(concluded.outcome, Parked):
                reply = concluded.reply
                log.warning(
                    "contact_parked",
                    contact=self._pseudonym(claim.contact.key),
                    reason=concluded.outcome.reason.value,
                    code=reply.code if isinstance(reply, Answered) else "",
                )


def _end_all(talks: Sequence[_Talk], concluded: Concluded) -> None:
    for talk in talks:
        talk.conclude(concluded)


def _nothing_said() -> Dialogue:
    """The dialogue of a contact for which none could be begun."""
    yield from ()
    return Concluded(outcome=Parked(ParkReason.INTERNAL_ERROR))


def _is_lost(reply: Reply, request: Request) -> bool:
    """Did the call fail as a whole, for a reason that is nobody's row?"""
    if isinstance(reply, Unknown):
        return True
    return isinstance(reply, Answered) and reply.whole_call and action_of(reply, request) is Action.RETRY


def _is_spoilt(exchange: Exchange) -> bool:
    """Was the call refused as a whole for what is in it, rather than for who asks or how often?"""
    first = exchange.replies[0]
    return isinstance(first, Answered) and first.whole_call and classify(first) is Action.SPLIT


def _is_mapping_fault(reply: Reply) -> bool:
    return isinstance(reply, Answered) and entry_for(reply).mapping_fault


def _refused_for_all(requests: Sequence[Request], exchange: Exchange, *, is_stopped: bool) -> Answered | None:
    """A refusal that only a person can mend, unless a neighbour was written: then it is that row's own
    trouble, and one bad row delays only itself (design.md 1, promise 4).

    A fault of the mapping shows itself by failing every row of a call (dataverse.md 5.3); a single row says
    so only while the sender is stopped already, when single rows are sent to see whether it was mended.
    """
    refused = None
    faults = 0
    for request, reply in zip(requests, exchange.replies, strict=True):
        action = action_of(reply, request)
        if action is Action.DONE and isinstance(request, Write):
            return None
        if isinstance(reply, Answered) and action in {Action.ALERT, Action.TOKEN}:
            refused = reply
        elif isinstance(reply, Answered) and _is_mapping_fault(reply):
            faults += 1
            if faults == len(requests) and (faults > 1 or is_stopped):
                refused = reply
    return refused
