"""What the service counts, for Prometheus. One registry per service, so that tests can run several."""

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from didomi_dataverse.dataverse.calls import Exchange
from didomi_dataverse.dataverse.replies import Answered
from didomi_dataverse.dataverse.requests import Condition, Request, Write
from didomi_dataverse.delivery.outcome import AlertReason, Conclusion
from didomi_dataverse.delivery.rate_limit.state import RateLimitState
from didomi_dataverse.delivery.settle import outcome_word
from didomi_dataverse.ledger.delivery_state import Claim, DeliveryState
from didomi_dataverse.mapping.apply import Finding

_PREFIX = "didomi_dataverse"


class Metrics:
    """Every counter and gauge, and the listener through which the sender feeds them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._notifications = Counter(
            f"{_PREFIX}_notifications",
            "Notifications stored, by type and what became of them. Duplicates are counted as `duplicate`.",
            ["type", "disposition", "reason"],
            registry=self.registry,
        )
        self._refusals = Counter(
            f"{_PREFIX}_webhook_refusals",
            "Webhook requests that were not accepted, by HTTP status.",
            ["status"],
            registry=self.registry,
        )
        self._calls = Counter(
            "dataverse_calls",
            "HTTP calls to the Web API, by kind and status.",
            ["kind", "status"],
            registry=self.registry,
        )
        self._operations = Counter(
            "dataverse_operations",
            "Rows read or written, counted as the Power Platform entitlement counts them.",
            ["operation"],
            registry=self.registry,
        )
        self._call_seconds = Histogram(
            "dataverse_call_seconds",
            "Duration of a call to the Web API, seconds.",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
            registry=self.registry,
        )
        self._outcomes = Counter(
            f"{_PREFIX}_outcomes",
            "Contacts brought to an outcome, by outcome.",
            ["outcome"],
            registry=self.registry,
        )
        self._findings = Counter(
            f"{_PREFIX}_mapping_findings",
            "Choices that the mapping has no column value for, by problem.",
            ["problem"],
            registry=self.registry,
        )
        self._contacts = Gauge(
            f"{_PREFIX}_contacts", "Contacts, by delivery state.", ["state"], registry=self.registry
        )
        self._oldest_due = Gauge(
            f"{_PREFIX}_oldest_due_seconds",
            "How long the contact that waits longest could have been tried, in seconds since its last try.",
            registry=self.registry,
        )
        self._store_up = Gauge(
            f"{_PREFIX}_store_up",
            "1 while the store answers; else 0, and what is told of contacts is what it last said.",
            registry=self.registry,
        )
        self._parallel = Gauge(
            f"{_PREFIX}_sender_parallel",
            "Calls that may run at the same time, by application user.",
            ["user"],
            registry=self.registry,
        )
        self._paused_until = Gauge(
            f"{_PREFIX}_sender_paused_until",
            "Until when an application user pauses, seconds since 1970; 0 when it never did.",
            ["user"],
            registry=self.registry,
        )
        self._alert = Gauge(
            f"{_PREFIX}_sender_alert",
            "1 while an application user is stopped until a person acts, by reason.",
            ["user", "reason"],
            registry=self.registry,
        )
        self._rows = Gauge(
            f"{_PREFIX}_sender_rows_per_call",
            "Contacts that a call may carry now, by application user.",
            ["user"],
            registry=self.registry,
        )

    def count_notification(self, kind: str, disposition: str, reason: str) -> None:
        """One notification was stored, or recognised as a duplicate. `kind` is one of Didomi's six types or
        `other`.
        """
        self._notifications.labels(kind, disposition, reason).inc()

    def count_refusal(self, status: int) -> None:
        """A request was answered with an error."""
        self._refusals.labels(str(status)).inc()

    def on_call(self, exchange: Exchange) -> None:
        """One call ended."""
        answers = [reply.answer for reply in exchange.replies]
        whole = answers[0].status if isinstance(answers[0], Answered) and answers[0].whole_call else None
        status = str(whole or (200 if any(isinstance(answer, Answered) for answer in answers) else "none"))
        self._calls.labels(exchange.call.kind.value, status).inc()
        self._call_seconds.observe(exchange.duration.total_seconds())
        for request, answer in zip(exchange.call.requests, answers, strict=False):
            if isinstance(answer, Answered) and not answer.whole_call:
                self._operations.labels(_operation(request)).inc()

    def on_outcome(self, claim: Claim, conclusion: Conclusion) -> None:  # noqa: ARG002 - the listener's form
        """One contact reached an outcome."""
        self._outcomes.labels(outcome_word(conclusion)).inc()

    def on_findings(self, findings: Sequence[Finding]) -> None:
        """The mapping had no column value for some choices of a contact."""
        for finding in findings:
            self._findings.labels(finding.problem).inc()

    def on_rate_limit_change(self, user: str, state: RateLimitState) -> None:
        """The rate limit of an application user changed."""
        self._parallel.labels(user).set(state.parallel)
        self._rows.labels(user).set(state.rows)
        paused_until = 0 if state.paused_until is None else state.paused_until.timestamp()
        self._paused_until.labels(user).set(paused_until)
        for reason in AlertReason:
            stopped = state.alert is not None and state.alert.reason is reason
            self._alert.labels(user, reason.value).set(1 if stopped else 0)

    def contacts(self, by_state: Mapping[DeliveryState, int], oldest_due_seconds: float) -> None:
        """The ledger's own counts, taken when the page is asked for."""
        for state in DeliveryState:
            self._contacts.labels(state.value).set(by_state.get(state, 0))
        self._oldest_due.set(oldest_due_seconds)
        self._store_up.set(1)

    def store_failed(self) -> None:
        """The store does not say how many contacts there are."""
        self._store_up.set(0)

    def page(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)


def _operation(request: Request) -> str:
    """What the entitlement counts a row as (dataverse.md 4.2)."""
    if not isinstance(request, Write):
        return "read"
    return "create" if request.condition is Condition.CREATE_ONLY else "update"
