"""Talks with Dataverse about claimed contacts: begin a dialogue for each, exchange in shared calls, settle.

What one call needs is asked by many dialogues at once, so the rounds of a batch are few: one for rows that
are there, one more for those that have to be looked up or created.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from didomi_dataverse.clock import Clock
from didomi_dataverse.consent.registers import resolve
from didomi_dataverse.dataverse.dispatch.base import Dispatcher
from didomi_dataverse.dataverse.errors.classify import Action, advice_for, classify, entry_for
from didomi_dataverse.dataverse.replies import Answered, Exchange, Reply, Unknown
from didomi_dataverse.dataverse.requests import LookUp, Request, Write
from didomi_dataverse.delivery.membership import Membership, run_while_held
from didomi_dataverse.delivery.outcome import (
    Alerted,
    AlertReason,
    Concluded,
    Parked,
    ParkReason,
    PostponeCause,
    Postponed,
)
from didomi_dataverse.delivery.rate_limit.limiter import RateLimiter, RateLimitListener
from didomi_dataverse.delivery.rate_limit.state import RateLimitState
from didomi_dataverse.delivery.settle import RetryLimits, apply_retry_limits, outcome_word, settle
from didomi_dataverse.delivery.write_flow import MatchPolicy, WriteFlow, action_of, write_flow
from didomi_dataverse.errors import TokenRefusedError, TokenUnavailableError
from didomi_dataverse.ledger.claims import DeliveryQueue
from didomi_dataverse.ledger.delivery_state import Claim
from didomi_dataverse.mapping.apply import Finding, apply, for_creation
from didomi_dataverse.mapping.rules import ColumnMapping

LONE_FAULTS = 3
"""So many calls of one row that fail for the mapping, none written between them, are no coincidence."""

log = structlog.get_logger(__name__)


class Listener(RateLimitListener, Protocol):
    """Who is told what the sender does: metrics in the service, nobody in most tests."""

    def concluded(self, claim: Claim, concluded: Concluded) -> None:
        """One contact's dialogue ended."""

    def found(self, findings: Sequence[Finding]) -> None:
        """The mapping had no column value for some choices of a contact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """How long a claim holds, and how long one call may take. A new call is begun only if it can end before
    the lease does, because after that another replica may write the same contact (docs/promises.md 3).
    """

    holds_for: timedelta
    longest_call: timedelta


@dataclass(slots=True)
class _Talk:
    """One claim's dialogue while it runs, and how it ended."""

    claim: Claim
    lines: WriteFlow
    asks: Write | LookUp | None = None
    concluded: Concluded | None = None
    advice: str = ""  # what a person must do, once every row was refused for the mapping
    is_partial: bool = False  # the row was refused, and only its refusals are written now

    def hear(self, reply: Reply | None) -> None:
        """Hands in the reply (None to begin) and takes the next request, or the end."""
        self.is_partial = self.is_partial or (reply is not None and _is_mapping_fault(reply))
        try:
            self.asks = next(self.lines) if reply is None else self.lines.send(reply)
        except StopIteration as end:
            self.conclude(end.value)

    def spare(self) -> None:
        """Every row failed like this one: the mapping is wrong, not the row, so it is not parked."""
        if self.advice and self.concluded is not None and isinstance(self.concluded.outcome, Parked):
            alerted = Alerted(AlertReason.REFUSED, self.advice)
            self.concluded = replace(self.concluded, outcome=alerted)

    def conclude(self, concluded: Concluded) -> None:
        """Ends the dialogue, whatever it would have asked next."""
        self.lines.close()
        self.asks, self.concluded = None, concluded


@dataclass(slots=True)
class _Visit:
    """Since when, on the monotonic clock, and under which name claims are held; and what all rounds about
    them came to.
    """

    claimed_at: float
    holder: str
    is_good: bool = False
    is_refused: bool = False


class Sender:
    """Everything needed to bring claimed contacts to an outcome, and the pace at which that may happen."""

    def __init__(
        self,
        *,
        ledger: DeliveryQueue,
        carrier: Dispatcher,
        mapping: ColumnMapping,
        policy: MatchPolicy,
        patience: RetryLimits,
        lease: Lease,
        turnstile: RateLimiter,
        is_alone: bool,
        clock: Clock,
        dice: Callable[[], float],
        listener: Listener,
        pseudonym: Callable[[str], str],
        tenure: Membership,
    ) -> None:
        """`is_alone`: no other sender sends, so what this one may not send now waits for it."""
        self._is_alone = is_alone
        self._lone_faults = 0
        self._ledger = ledger
        self._carrier = carrier
        self._turnstile = turnstile
        self._mapping = mapping
        self._policy = policy
        self._patience = patience
        self._clock = clock
        self._dice = dice
        self._listener = listener
        self._pseudonym = pseudonym
        self.lease = lease
        self.tenure = tenure

    @property
    def pace(self) -> RateLimitState:
        """How fast it may go now."""
        return self._turnstile.pace

    def rest(self) -> None:
        """Something went wrong on our side: pause as after a call that failed."""
        self._turnstile.failed()

    async def deliver(self, claims: Sequence[Claim], *, claimed_at: float, holder: str | None = None) -> None:
        """Talks with Dataverse about claimed contacts and settles every one of them in one transaction.

        `claimed_at` is the monotonic time just before they were claimed, `holder` the name that they were
        claimed under. Raises StoreError when the outcomes cannot be stored; whoever claimed must then give
        the claims back, and the same, idempotent writes are sent again.
        """
        talks = [self._begin(claim) for claim in claims]
        visit = _Visit(claimed_at, holder or self.tenure.holder)
        while open_talks := [talk for talk in talks if talk.asks is not None]:
            await self._exchange(open_talks, visit)
        if visit.is_good and not visit.is_refused:
            self._turnstile.recovered()
        now = self._clock.now()
        ended = [
            (talk.claim, self._judged(talk.concluded, talk.claim, now))
            for talk in talks
            if talk.concluded is not None
        ]
        settlements = [settle(claim, concluded, now=now, jitter=self._dice()) for claim, concluded in ended]
        await self._ledger.settle(settlements, now=now)
        for claim, concluded in ended:
            self._listener.concluded(claim, concluded)
        self._log(ended)

    def _judged(self, concluded: Concluded, claim: Claim, now: datetime) -> Concluded:
        outcome = concluded.outcome
        if isinstance(outcome, Postponed) and not self._is_alone:
            # Another application user may have room for it now.
            concluded = replace(concluded, outcome=replace(outcome, delay=None))
        return apply_retry_limits(concluded, claim.contact, patience=self._patience, now=now)

    def _begin(self, claim: Claim) -> _Talk:
        try:
            values = apply(self._mapping, resolve(claim.contact.registers))
            creation = for_creation(self._mapping, values) if self._policy.upsert else {}
            talk = _Talk(claim, write_flow(claim.contact, values, creation, self._policy))
            talk.hear(None)
            self._listener.found(values.findings)
        except Exception:  # one contact that we fail on must not hold up the others of its batch
            log.exception("contact_not_mapped", contact=self._pseudonym(claim.contact.key))
            failed = Concluded(outcome=Parked(ParkReason.INTERNAL_ERROR))
            return _Talk(claim, _nothing_said(), concluded=failed)
        return talk

    def _may_begin_call(self, visit: _Visit) -> bool:
        if visit.holder != self.tenure.holder or not self.tenure.may_begin:
            return False
        held_for = timedelta(seconds=self._clock.monotonic() - visit.claimed_at)
        return held_for + self.lease.longest_call <= self.lease.holds_for

    async def _send(self, requests: Sequence[Request], visit: _Visit) -> tuple[Reply, ...]:
        """The round, given up when its contacts could not be ours any more before it ends."""
        turns = _Turns(self._turnstile, lambda: self._may_begin_call(visit), visit)
        replies = await run_while_held(self.tenure, visit.holder, self._carrier.send(requests, turns))
        if replies is not None:
            return replies
        log.warning("call_given_up", cause="The store was not reached for too long to be sure of the leases.")
        return (Unknown("lease_ended"),) * len(requests)

    async def _exchange(self, talks: Sequence[_Talk], visit: _Visit) -> None:
        """One round for what all talks ask now. What is refused as a whole is halved until the row that
        spoils it is alone (dataverse.md 5.2 "split").
        """
        if not self._may_begin_call(visit):
            _end_all(talks, Concluded(outcome=Postponed(PostponeCause.OUT_OF_TIME)))
            return
        requests = [talk.asks for talk in talks if talk.asks is not None]
        try:
            replies = await self._send(requests, visit)
        except TokenRefusedError as error:
            advice = str(error)
            visit.is_refused = True
            self._turnstile.alerted(AlertReason.CREDENTIAL, advice)
            _end_all(talks, Concluded(outcome=Alerted(AlertReason.CREDENTIAL, advice)))
            return
        except TokenUnavailableError as error:
            log.warning("token_unavailable", cause=str(error))
            self._turnstile.no_token()
            _end_all(talks, Concluded(outcome=Postponed(PostponeCause.NO_TOKEN)))
            return
        except ValueError:
            # Something in it cannot be put into a request at all.
            await self._halve(talks, visit)
            return
        is_spoilt = [_is_spoilt(reply) for reply in replies]
        spoilt = [talk for talk, is_of_them in zip(talks, is_spoilt, strict=True) if is_of_them]
        if len(spoilt) == 1:
            # It is alone in its trouble, so the reply is about it.
            spoilt = []
        refused = self._refused_for_all(talks, requests, replies)
        if refused is not None and not spoilt:
            visit.is_refused = True
            self._turnstile.alerted(AlertReason.REFUSED, advice_for(refused))
        elif any(map(_is_good, requests, replies)):
            visit.is_good = True
        for talk, reply, is_of_them in zip(talks, replies, is_spoilt, strict=True):
            if spoilt and is_of_them:
                continue
            talk.hear(reply)
            if refused is not None and _is_mapping_fault(reply):
                talk.advice = advice_for(refused)
            talk.spare()
        if spoilt:
            await self._halve(spoilt, visit)

    def _refused_for_all(
        self, talks: Sequence[_Talk], requests: Sequence[Write | LookUp], replies: Sequence[Reply]
    ) -> Answered | None:
        """As the function below, which is told what single rows have shown so far."""
        # That a part of a row goes says nothing of the column for which the whole did not.
        told = [
            (request, reply)
            for talk, request, reply in zip(talks, requests, replies, strict=True)
            if not (talk.is_partial and _is_written(request, reply))
        ]
        if any(_is_written(request, reply) for request, reply in told):
            self._lone_faults = 0
        elif len(told) == 1 and _is_mapping_fault(told[0][1]):
            self._lone_faults += 1
        is_likely = self.pace.alert is not None or self._lone_faults >= LONE_FAULTS
        return _refused_for_all(told, is_likely=is_likely)

    async def _halve(self, talks: Sequence[_Talk], visit: _Visit) -> None:
        if len(talks) == 1:
            talks[0].conclude(Concluded(outcome=Parked(ParkReason.UNSENDABLE)))
            return
        middle = len(talks) // 2
        await self._exchange(talks[:middle], visit)
        await self._exchange(talks[middle:], visit)

    def _log(self, ended: Sequence[tuple[Claim, Concluded]]) -> None:
        words = Counter(outcome_word(concluded).value for _, concluded in ended)
        log.info("contacts_settled", **words)
        for claim, concluded in ended:
            if isinstance(concluded.outcome, Parked):
                reply = concluded.reply
                log.warning(
                    "contact_parked",
                    contact=self._pseudonym(claim.contact.key),
                    number=f"#{claim.contact.contact_id}",
                    reason=concluded.outcome.reason.value,
                    code=reply.code if isinstance(reply, Answered) else "",
                    advice=advice_for(reply) if isinstance(reply, Answered) else "",
                )


@dataclass(frozen=True, slots=True)
class _Turns:
    """The turns of one round."""

    turnstile: RateLimiter
    may_begin: Callable[[], bool]
    visit: _Visit

    async def begin(self) -> bool:
        # Whoever found the alert may still say its last word: the refusals of a row by themselves.
        return await self.turnstile.begin(self.may_begin, despite_alert=self.visit.is_refused)

    def end(self, requests: Sequence[Request], exchange: Exchange) -> None:
        self.turnstile.end(requests, exchange)


def _end_all(talks: Sequence[_Talk], concluded: Concluded) -> None:
    for talk in talks:
        talk.conclude(concluded)


def _nothing_said() -> WriteFlow:
    """The dialogue of a contact for which none could be begun."""
    yield from ()
    return Concluded(outcome=Parked(ParkReason.INTERNAL_ERROR))


def _is_spoilt(reply: Reply) -> bool:
    """Was the call refused as a whole for what is in it, rather than for who asks or how often?"""
    return isinstance(reply, Answered) and reply.whole_call and classify(reply) is Action.SPLIT


def _is_good(request: Write | LookUp, reply: Reply) -> bool:
    """Does it show that whatever stopped the sender is mended: was it carried out, or refused for the row?"""
    if not isinstance(reply, Answered) or reply.whole_call:
        return False
    return action_of(reply, request) not in {Action.ALERT, Action.TOKEN, Action.WAIT, Action.RETRY}


def _is_written(request: Write | LookUp, reply: Reply) -> bool:
    return isinstance(request, Write) and action_of(reply, request) is Action.DONE


def _is_mapping_fault(reply: Reply) -> bool:
    return isinstance(reply, Answered) and entry_for(reply).mapping_fault


def _refused_for_all(told: Sequence[tuple[Write | LookUp, Reply]], *, is_likely: bool) -> Answered | None:
    """A refusal that only a person can mend, unless a neighbour was written: then it is that row's own
    trouble, and one bad row delays only itself (docs/promises.md 4).

    A fault of the mapping shows itself by failing every row of a call (dataverse.md 5.3). `is_likely`: a
    single row is enough, because the sender is stopped already, or because several single rows in a row
    failed so.
    """
    refused = None
    faults = 0
    for request, reply in told:
        action = action_of(reply, request)
        if _is_written(request, reply):
            return None
        if isinstance(reply, Answered) and action in {Action.ALERT, Action.TOKEN}:
            refused = reply
        elif isinstance(reply, Answered) and _is_mapping_fault(reply):
            faults += 1
            if faults == len(told) and (faults > 1 or is_likely):
                refused = reply
    return refused
