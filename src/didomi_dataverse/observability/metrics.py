"""What the service measures, for Prometheus. One registry per service, so that tests can run several."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from didomi_dataverse.clock import Clock
from didomi_dataverse.dataverse.calls import Exchange
from didomi_dataverse.dataverse.replies import Answered
from didomi_dataverse.dataverse.requests import Condition, Request, Write
from didomi_dataverse.delivery.outcome import AlertReason, Conclusion
from didomi_dataverse.delivery.rate_limit.state import RateLimitState
from didomi_dataverse.delivery.settle import outcome_word
from didomi_dataverse.errors import StoreError
from didomi_dataverse.ledger.delivery_state import Claim, DeliveryState
from didomi_dataverse.ledger.read_models import ContactCounts
from didomi_dataverse.mapping.apply import Finding

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' text format."""

_PREFIX = "didomi_dataverse"


class Metrics:
    """Every counter, gauge and histogram. The receiving routes and the senders report to it directly: it is
    the `WebhookMetrics` of the former and the `Listener` of the latter.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._notifications = Counter(
            f"{_PREFIX}_notifications",
            "Notifications stored, by type, disposition and reason; repeats count as `duplicate`.",
            ["type", "disposition", "reason"],
            registry=self.registry,
        )
        self._refusals = Counter(
            f"{_PREFIX}_webhook_refusals",
            "Webhook requests answered with an error, by HTTP status.",
            ["status"],
            registry=self.registry,
        )
        self._calls = Counter(
            "dataverse_calls",
            "HTTP calls to the Dataverse Web API, by kind and HTTP status; `none` without an answer.",
            ["kind", "status"],
            registry=self.registry,
        )
        self._operations = Counter(
            "dataverse_operations",
            "Rows read, created or updated, counted as the Power Platform request entitlement counts them.",
            ["operation"],
            registry=self.registry,
        )
        self._call_seconds = Histogram(
            "dataverse_call_seconds",
            "Duration of HTTP calls to the Dataverse Web API, in seconds.",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
            registry=self.registry,
        )
        self._outcomes = Counter(
            f"{_PREFIX}_outcomes",
            "Ended deliveries of contacts, by outcome.",
            ["outcome"],
            registry=self.registry,
        )
        self._findings = Counter(
            f"{_PREFIX}_mapping_findings",
            "Choices without a column value in the mapping, by problem.",
            ["problem"],
            registry=self.registry,
        )
        self._contacts = Gauge(
            f"{_PREFIX}_contacts",
            "Contacts in the store, by delivery state.",
            ["state"],
            registry=self.registry,
        )
        self._oldest_due = Gauge(
            f"{_PREFIX}_oldest_due_seconds",
            "Seconds since the `due_at` of the longest-waiting due contact; each postponement moves it.",
            registry=self.registry,
        )
        self._store_up = Gauge(
            f"{_PREFIX}_store_up",
            "1 if the store can be read, else 0; the gauges of contacts are then stale.",
            registry=self.registry,
        )
        self._parallel = Gauge(
            f"{_PREFIX}_sender_parallel",
            "Calls to Dataverse that may run at the same time, by application user.",
            ["user"],
            registry=self.registry,
        )
        self._paused_until = Gauge(
            f"{_PREFIX}_sender_paused_until",
            "End of the latest pause, in seconds since 1970, by application user; 0 before the first.",
            ["user"],
            registry=self.registry,
        )
        self._alert = Gauge(
            f"{_PREFIX}_sender_alert",
            "1 while delivery by an application user is stopped until an operator acts, by reason.",
            ["user", "reason"],
            registry=self.registry,
        )
        self._rows = Gauge(
            f"{_PREFIX}_sender_rows_per_call",
            "Contacts that one call may carry, by application user.",
            ["user"],
            registry=self.registry,
        )

    def count_notification(self, kind: str, disposition: str, reason: str) -> None:
        """Counts one notification that was stored, or recognised as a duplicate. `kind` is one of Didomi's
        six types or `other`; `disposition` one of ours or `duplicate`; `reason` empty where there is none.
        """
        self._notifications.labels(kind, disposition, reason).inc()

    def count_refusal(self, status: int) -> None:
        """Counts a webhook request that was answered with an error."""
        self._refusals.labels(str(status)).inc()

    def on_call(self, exchange: Exchange) -> None:
        """Counts one HTTP call and the rows in it."""
        answers = [reply.answer for reply in exchange.replies]
        whole = answers[0].status if isinstance(answers[0], Answered) and answers[0].whole_call else None
        status = str(whole or (200 if any(isinstance(answer, Answered) for answer in answers) else "none"))
        self._calls.labels(exchange.call.kind.value, status).inc()
        self._call_seconds.observe(exchange.duration.total_seconds())
        for request, answer in zip(exchange.call.requests, answers, strict=False):
            if isinstance(answer, Answered) and not answer.whole_call:
                self._operations.labels(_operation(request)).inc()

    def on_outcome(self, claim: Claim, conclusion: Conclusion) -> None:  # noqa: ARG002 - the protocol's signature
        """Counts the outcome of one contact."""
        self._outcomes.labels(outcome_word(conclusion)).inc()

    def on_findings(self, findings: Sequence[Finding]) -> None:
        """Counts choices of a contact for which the mapping has no column value."""
        for finding in findings:
            self._findings.labels(finding.problem).inc()

    def on_rate_limit_change(self, user: str, state: RateLimitState) -> None:
        """Shows the state of an application user's rate limiter. `user`: its number, from "1"."""
        self._parallel.labels(user).set(state.parallel)
        self._rows.labels(user).set(state.rows)
        paused_until = 0 if state.paused_until is None else state.paused_until.timestamp()
        self._paused_until.labels(user).set(paused_until)
        for reason in AlertReason:
            stopped = state.alert is not None and state.alert.reason is reason
            self._alert.labels(user, reason.value).set(1 if stopped else 0)

    def show_contacts(self, by_state: Mapping[DeliveryState, int], *, oldest_due_seconds: float) -> None:
        """Shows what the store says of its contacts."""
        for state in DeliveryState:
            self._contacts.labels(state.value).set(by_state.get(state, 0))
        self._oldest_due.set(oldest_due_seconds)
        self._store_up.set(1)

    def show_store_down(self) -> None:
        """Shows that the store cannot be read. The gauges of contacts keep their last values."""
        self._store_up.set(0)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


def build_metrics_router(
    metrics: Metrics, *, count_contacts: Callable[[], Awaitable[ContactCounts]], clock: Clock
) -> APIRouter:
    """`GET /metrics`. `count_contacts` asks the store, and raises StoreError when it cannot be read."""
    router = APIRouter(tags=["probes"])

    @router.get("/metrics")
    async def metrics_page() -> Response:
        """Prometheus' text format. While the store is down, everything that is known without it is still
        shown.
        """
        try:
            counts = await count_contacts()
        except StoreError:
            metrics.show_store_down()
        else:
            waited = 0.0
            if counts.oldest_due_at is not None:
                waited = max(0.0, (clock.now() - counts.oldest_due_at).total_seconds())
            metrics.show_contacts(counts.by_state, oldest_due_seconds=waited)
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    return router


def _operation(request: Request) -> str:
    """How the entitlement counts a row (dataverse.md 4.2)."""
    if not isinstance(request, Write):
        return "read"
    return "create" if request.condition is Condition.CREATE_ONLY else "update"
