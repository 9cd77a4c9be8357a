"""Writes claimed contacts to Dataverse: starts a write flow for each, sends what they ask in shared calls,
and settles the outcomes.

Many flows ask for something at the same time, so a batch takes few rounds: one for rows that exist, and one
more for rows that have to be looked up or created.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from didomi_dataverse.clock import Clock
from didomi_dataverse.consent.registers import resolve
from didomi_dataverse.dataverse.errors.classify import classify
from didomi_dataverse.dataverse.replies import Answered, Reply, Unknown, UnknownCause
from didomi_dataverse.dataverse.requests import LookUp, Request, Write
from didomi_dataverse.delivery.connection import Connection
from didomi_dataverse.delivery.membership import Membership, run_while_held
from didomi_dataverse.delivery.outcome import (
    Alerted,
    AlertReason,
    Conclusion,
    Parked,
    ParkReason,
    PostponeCause,
    Postponed,
)
from didomi_dataverse.delivery.rate_limit.limiter import RateLimitListener
from didomi_dataverse.delivery.rate_limit.state import RateLimitState
from didomi_dataverse.delivery.retry import RetryLimits, apply_retry_limits
from didomi_dataverse.delivery.settle import outcome_word, settle
from didomi_dataverse.delivery.verdict import RowResult, is_mapping_fault, judge
from didomi_dataverse.delivery.write_flow import MatchPolicy, WriteFlow, write_flow
from didomi_dataverse.errors import TokenRefusedError, TokenUnavailableError
from didomi_dataverse.ledger.claims import DeliveryQueue
from didomi_dataverse.ledger.delivery_state import Claim
from didomi_dataverse.mapping.apply import Finding, apply, for_creation
from didomi_dataverse.mapping.rules import ColumnMapping

LEASE_MARGIN: Final = timedelta(seconds=60)
"""What a lease lasts beyond one call at its longest: time to claim, to map, to begin a second call, to
settle. Too small: rounds end early and their contacts are postponed. Too large: what a killed process held
waits longer, where no heartbeat shows that it is gone."""

_LEASE_ENDED: Final = classify(Unknown(UnknownCause.LEASE_ENDED))

log = structlog.get_logger(__name__)


class Listener(RateLimitListener, Protocol):
    """Observes what the senders do: metrics in the service, a list in tests."""

    def on_outcome(self, claim: Claim, conclusion: Conclusion) -> None:
        """One contact's write flow ended, and its outcome is stored."""

    def on_findings(self, findings: Sequence[Finding]) -> None:
        """The mapping had no column value for some choices of a contact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPolicy:
    """What the configuration decides about the delivery of a contact."""

    mapping: ColumnMapping
    """Which choices become which columns."""

    match: MatchPolicy
    """How rows are found, and whether they may be created."""

    retry_limits: RetryLimits
    """How long to go on with a contact that cannot be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What delivery needs of the process that it runs in."""

    clock: Clock
    """The clocks."""

    draw_jitter: Callable[[], float]
    """Returns a random number in [0, 1)."""

    listener: Listener
    """Observes what happens."""

    pseudonym: Callable[[str], str]
    """Replaces a contact's key in the log."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Waits for some seconds."""


@dataclass(slots=True)
class _InFlight:
    """One claim with its write flow, until it has an outcome."""

    claim: Claim
    flow: WriteFlow
    pending: Write | LookUp | None = None
    """What the flow asks now; None once it has ended."""

    conclusion: Conclusion | None = None
    """The outcome; None while the flow asks for something."""

    advice: str = ""
    """What a person must do, once every row was refused for the mapping. Empty before that."""

    is_partial: bool = False
    """Whether the row was refused, and only the refusals in it are written now."""

    def resume(self, reply: Reply | None) -> None:
        """Hands the reply to the flow (None to start it), and takes its next request or its end."""
        self.is_partial = self.is_partial or (reply is not None and is_mapping_fault(reply))
        try:
            self.pending = next(self.flow) if reply is None else self.flow.send(reply)
        except StopIteration as end:
            self.conclude(end.value)

    def downgrade_to_alert(self) -> None:
        """Does not park the contact when every row failed like this one: the mapping is wrong, not the
        row.
        """
        if self.advice and self.conclusion is not None and isinstance(self.conclusion.outcome, Parked):
            alerted = Alerted(AlertReason.REFUSED, self.advice)
            self.conclusion = replace(self.conclusion, outcome=alerted)

    def conclude(self, conclusion: Conclusion) -> None:
        """Ends the flow, whatever it would have asked next."""
        self.flow.close()
        self.pending, self.conclusion = None, conclusion


@dataclass(slots=True)
class _Run:
    """One delivery of claims, over all of its rounds."""

    claimed_at: float
    """The monotonic time just before they were claimed, in seconds."""

    holder: str
    """The name that they were claimed under."""

    is_healthy: bool = False
    """Whether a round showed that the sender may go on."""

    is_refused: bool = False
    """Whether a round was refused for a reason that every row shares."""


class Sender:
    """Writes claimed contacts to Dataverse as one application user. Any number of deliveries may run at
    once.
    """

    def __init__(
        self,
        *,
        ledger: DeliveryQueue,
        membership: Membership,
        connection: Connection,
        policy: DeliveryPolicy,
        runtime: Runtime,
        is_only_sender: bool,
    ) -> None:
        """`is_only_sender`: what this one may not send now waits for it, because there is no other."""
        self._ledger = ledger
        self._connection = connection
        self._rate_limiter = connection.rate_limiter
        self._policy = policy
        self._clock = runtime.clock
        self._draw_jitter = runtime.draw_jitter
        self._listener = runtime.listener
        self._pseudonym = runtime.pseudonym
        self._is_only_sender = is_only_sender
        self._single_row_faults = 0
        self.membership = membership
        self.lease = connection.longest_call + LEASE_MARGIN
        """How long a claim holds. A new call is begun only if it can end before the lease does, because after
        that another replica may write the same contact (docs/promises.md 3)."""

    @property
    def rate_limit(self) -> RateLimitState:
        """How fast it may go now."""
        return self._rate_limiter.state

    def back_off(self) -> None:
        """Pauses as after a call that failed: something failed on our side."""
        self._rate_limiter.back_off()

    async def deliver(self, claims: Sequence[Claim], *, claimed_at: float, holder: str | None = None) -> None:
        """Brings claimed contacts to an outcome each, and settles all of them in one transaction.

        `claimed_at` is the monotonic time just before they were claimed, `holder` the name that they were
        claimed under. Raises StoreError when the outcomes cannot be stored; the caller must then release the
        claims, and the same, idempotent writes are sent again.
        """
        flights = [self._start(claim) for claim in claims]
        run = _Run(claimed_at, holder or self.membership.holder)
        while pending := [flight for flight in flights if flight.pending is not None]:
            await self._send_round(pending, run)
        if run.is_healthy and not run.is_refused:
            self._rate_limiter.recover()
        now = self._clock.now()
        ended = [
            (flight.claim, self._limit(flight.conclusion, flight.claim, now))
            for flight in flights
            if flight.conclusion is not None
        ]
        settlements = [
            settle(claim, conclusion, now=now, jitter=self._draw_jitter()) for claim, conclusion in ended
        ]
        await self._ledger.settle(settlements, now=now)
        for claim, conclusion in ended:
            self._listener.on_outcome(claim, conclusion)
        self._log(ended)

    def _start(self, claim: Claim) -> _InFlight:
        try:
            values = apply(self._policy.mapping, resolve(claim.contact.registers))
            creation = for_creation(self._policy.mapping, values) if self._policy.match.upsert else {}
            flight = _InFlight(claim, write_flow(claim.contact, values, creation, self._policy.match))
            flight.resume(None)
            self._listener.on_findings(values.findings)
        except Exception:  # one contact that we fail on must not hold up the others of its batch
            log.exception("contact_not_mapped", contact=self._pseudonym(claim.contact.key))
            failed = Conclusion(outcome=Parked(ParkReason.INTERNAL_ERROR))
            return _InFlight(claim, _ended_flow(), conclusion=failed)
        return flight

    async def _send_round(self, flights: Sequence[_InFlight], run: _Run) -> None:
        """Sends what all of these flows ask now. A call that is refused as a whole is halved until the row
        that is its cause is alone (dataverse.md 5.2 "split").
        """
        if not self._has_time(run):
            _conclude_all(flights, Conclusion(outcome=Postponed(PostponeCause.OUT_OF_TIME)))
            return
        requests = [flight.pending for flight in flights if flight.pending is not None]
        try:
            replies = await self._send(requests, run)
        except TokenRefusedError as error:
            advice = str(error)
            run.is_refused = True
            self._rate_limiter.alert(AlertReason.CREDENTIAL, advice)
            _conclude_all(flights, Conclusion(outcome=Alerted(AlertReason.CREDENTIAL, advice)))
            return
        except TokenUnavailableError as error:
            log.warning("token_unavailable", cause=str(error))
            self._rate_limiter.back_off()
            _conclude_all(flights, Conclusion(outcome=Postponed(PostponeCause.NO_TOKEN)))
            return
        except ValueError:
            # One of the requests cannot be encoded at all.
            await self._halve(flights, run)
            return
        results = [
            RowResult(request, reply, flight.is_partial)
            for flight, request, reply in zip(flights, requests, replies, strict=True)
        ]
        await self._apply_verdict(flights, results, run)

    async def _send(self, requests: Sequence[Request], run: _Run) -> tuple[Reply, ...]:
        """Sends the requests, and gives up when their contacts could be claimed by others before the
        answer.
        """
        sending = self._connection.send(
            requests,
            has_time=lambda: self._has_time(run),
            # The rounds that found the alert may end: the refusals of a row are still to be written.
            despite_alert=run.is_refused,
        )
        replies = await run_while_held(self.membership, run.holder, sending)
        if replies is not None:
            return replies
        log.warning("call_given_up", cause="The store was not reached for too long to be sure of the leases.")
        return (_LEASE_ENDED,) * len(requests)

    async def _apply_verdict(
        self, flights: Sequence[_InFlight], results: Sequence[RowResult], run: _Run
    ) -> None:
        is_alerted = self.rate_limit.alert is not None
        verdict = judge(results, single_row_faults=self._single_row_faults, is_alerted=is_alerted)
        self._single_row_faults = verdict.single_row_faults
        shared = verdict.shared_refusal
        if shared is not None and verdict.stops_sender:
            run.is_refused = True
            self._rate_limiter.alert(AlertReason.REFUSED, shared.entry.advice)
        elif verdict.is_healthy:
            run.is_healthy = True
        for index, (flight, result) in enumerate(zip(flights, results, strict=True)):
            if index in verdict.to_split:
                continue
            flight.resume(result.reply)
            if shared is not None and is_mapping_fault(result.reply):
                flight.advice = shared.entry.advice
            flight.downgrade_to_alert()
        if verdict.to_split:
            await self._halve([flights[index] for index in sorted(verdict.to_split)], run)

    async def _halve(self, flights: Sequence[_InFlight], run: _Run) -> None:
        if len(flights) == 1:
            flights[0].conclude(Conclusion(outcome=Parked(ParkReason.UNSENDABLE)))
            return
        middle = len(flights) // 2
        await self._send_round(flights[:middle], run)
        await self._send_round(flights[middle:], run)

    def _has_time(self, run: _Run) -> bool:
        if run.holder != self.membership.holder or not self.membership.has_time:
            return False
        held_for = timedelta(seconds=self._clock.monotonic() - run.claimed_at)
        return held_for + self._connection.longest_call <= self.lease

    def _limit(self, conclusion: Conclusion, claim: Claim, now: datetime) -> Conclusion:
        outcome = conclusion.outcome
        if isinstance(outcome, Postponed) and not self._is_only_sender:
            # Another application user may be free to write it now.
            conclusion = replace(conclusion, outcome=replace(outcome, delay=None))
        return apply_retry_limits(conclusion, claim.contact, limits=self._policy.retry_limits, now=now)

    def _log(self, ended: Sequence[tuple[Claim, Conclusion]]) -> None:
        words = Counter(outcome_word(conclusion).value for _, conclusion in ended)
        log.info("contacts_settled", **words)
        for claim, conclusion in ended:
            if isinstance(conclusion.outcome, Parked):
                reply = conclusion.reply
                log.warning(
                    "contact_parked",
                    contact=self._pseudonym(claim.contact.key),
                    number=f"#{claim.contact.contact_id}",
                    reason=conclusion.outcome.reason.value,
                    code=reply.answer.code if reply and isinstance(reply.answer, Answered) else "",
                    advice=reply.entry.advice if reply else "",
                )


def _conclude_all(flights: Sequence[_InFlight], conclusion: Conclusion) -> None:
    for flight in flights:
        flight.conclude(conclusion)


def _ended_flow() -> WriteFlow:
    """The flow of a contact for which none could be started."""
    yield from ()
    return Conclusion(outcome=Parked(ParkReason.INTERNAL_ERROR))
