"""The Didomi half: what reaches a service, and what the bodies hold (didomi.md 1.2, 1.3, 1.8, 2)."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from didomi_sandbox import bodies
from didomi_sandbox.webhook_client import (
    ClientCredentials,
    StaticHeader,
    WebhookLoginError,
    authenticate,
    fetch_token,
    post_notification,
)

SERVICE = "https://service.test"
AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class FakeService:
    """A receiver that knows one client and notes what it was sent."""

    def __init__(self) -> None:
        self.received: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.received.append(request)
        if request.url.path == "/oauth/token":
            return self._token(request)
        return httpx.Response(202, json={"stored": True})

    def _token(self, request: httpx.Request) -> httpx.Response:
        text = request.content.decode()
        if request.headers["Content-Type"] == "application/json":
            given = json.loads(text)
        else:
            given = {name: values[0] for name, values in parse_qs(text).items()}
        if (given["grant_type"], given["client_id"], given["client_secret"]) != (
            "client_credentials",
            "d",
            "s&s",
        ):
            return httpx.Response(401, json={"error": "invalid_client"})
        return httpx.Response(
            200, json={"access_token": "token-1", "token_type": "Bearer", "expires_in": 3600}
        )


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
async def client(service: FakeService) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(service)) as opened:
        yield opened


@pytest.mark.parametrize("as_json", [False, True])
async def test_a_sender_logs_in_and_delivers_with_the_token(
    service: FakeService, client: httpx.AsyncClient, as_json: bool
) -> None:
    credentials = ClientCredentials("d", "s&s", as_json=as_json)
    headers = await authenticate(client, SERVICE, credentials)

    receipt = await post_notification(client, SERVICE + "/", {"type": "event.created"}, headers)

    assert (receipt.status, receipt.is_accepted, receipt.answer) == (202, True, {"stored": True})
    assert service.received[-1].url.path == "/webhooks/didomi"
    assert service.received[-1].headers["Authorization"] == "Bearer token-1"
    assert json.loads(service.received[-1].content) == {"type": "event.created"}


async def test_a_sender_may_carry_a_static_header(service: FakeService, client: httpx.AsyncClient) -> None:
    headers = await authenticate(client, SERVICE, StaticHeader("X-Webhook-Secret", "s"))

    await post_notification(client, SERVICE, b"not json", headers)

    assert service.received[0].headers["X-Webhook-Secret"] == "s"
    assert service.received[0].content == b"not json"


async def test_a_refused_login_says_so_without_the_secret(client: httpx.AsyncClient) -> None:
    credentials = ClientCredentials("d", "wrong")

    with pytest.raises(WebhookLoginError, match=r"401.*invalid_client") as caught:
        await fetch_token(client, SERVICE, credentials)

    assert "wrong" not in str(caught.value) + repr(credentials)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        pytest.param(401, {"error": "invalid_client"}, "client id and secret", id="wrong-secret"),
        pytest.param(403, {"title": "No entry."}, r"No entry.*allowed_addresses", id="address"),
        pytest.param(404, {"detail": "Not Found"}, "didomi.auth.oauth is set", id="no-such-route"),
        pytest.param(429, {"error": "slow_down"}, "wait", id="too-many"),
        pytest.param(503, None, "log", id="something-else"),
    ],
)
async def test_a_refused_login_says_what_to_do(status: int, body: object, said: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json=body))
    async with httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(WebhookLoginError, match=said):
            await fetch_token(client, SERVICE, ClientCredentials("d", "s&s"))


def test_instants_are_written_in_utc() -> None:
    paris = timezone(timedelta(hours=1))

    assert bodies.format_instant(datetime(2026, 3, 1, 13, 0, tzinfo=paris)) == "2026-03-01T12:00:00Z"
    assert bodies.format_instant(AT + timedelta(milliseconds=5)) == "2026-03-01T12:00:00.005Z"


def example_event(*, status: str | None = "confirmed", regulation: str = "gdpr") -> bodies.Entity:
    purposes = [
        bodies.purpose("newsletter", True),
        bodies.purpose(
            "profiling",
            None,
            legitimate_interest=False,
            values={"topics": ["sport", "culture"], "remark": "", "frequency": None},
        ),
    ]
    user = bodies.person("customer-0001", country="FR", metadata={"loyalty_id": "L1"})
    return bodies.event(
        "e-1", user, purposes, created_at=AT, channels={"sms": False}, status=status, regulation=regulation
    )


def test_an_event_has_the_shape_of_the_fact_page() -> None:
    body = bodies.event_created(example_event())

    assert body.keys() == {"type", "regulation", "parameters"}
    entity: Any = body["parameters"]
    entity = entity["entity"]
    assert (entity["id"], entity["status"], entity["created_at"]) == (
        "e-1",
        "confirmed",
        "2026-03-01T12:00:00Z",
    )
    assert entity["user"]["organization_user_id"] == "customer-0001"
    assert entity["consents"]["purposes"] == [
        {"id": "newsletter", "enabled": True},
        {
            "id": "profiling",
            "enabled": None,
            "enabled_li": False,
            "values": {
                "topics": {"value": "sport,culture"},
                "remark": {"value": ""},
                "frequency": {"value": None},
            },
        },
    ]
    assert entity["consents"]["channels"] == [{"id": "sms", "enabled": False, "metadata": {}}]
    assert "status" not in example_event(status=None)


def test_the_older_form_nests_preferences_and_channels() -> None:
    entry: Any = bodies.purpose_v1("cookies", True, preferences={"news": False}, channels={"email": None})

    assert entry["preferences"] == [{"id": "news", "enabled": False, "metadata": {}, "channels": []}]
    assert entry["channels"] == [{"id": "email", "enabled": None, "metadata": {}}]


def test_a_confirmation_keeps_the_event_and_moves_its_time() -> None:
    pending = example_event(status="pending_approval", regulation="cpra")

    body: Any = bodies.event_confirmed(pending, AT + timedelta(minutes=1))

    assert (body["type"], body["regulation"]) == ("event.updated", "cpra")
    assert body["parameters"]["source"] == {"id": "e-1", "created_at": "2026-03-01T12:00:00Z"}
    assert body["parameters"]["old_entity"]["status"] == "pending_approval"
    new = body["parameters"]["new_entity"]
    assert (new["id"], new["status"], new["updated_at"]) == ("e-1", "confirmed", "2026-03-01T12:01:00Z")


def test_a_user_holds_its_identity_at_the_top() -> None:
    before = bodies.user_state(bodies.person("customer-0001"), [], version=1, updated_at=AT)
    after = {**before, "version": 2}

    created: Any = bodies.user_created(before)
    updated: Any = bodies.user_updated(before, after, source=example_event())
    plain: Any = bodies.user_updated(before, after)

    assert created["parameters"]["entity"]["organization_user_id"] == "customer-0001"
    assert created["parameters"]["entity"]["id"] == "didomi-customer-0001"
    assert "status" not in created["parameters"]["entity"]
    assert updated["parameters"]["source"]["id"] == "e-1"
    assert updated["parameters"]["new_entity"]["version"] == 2
    assert "source" not in plain["parameters"]


def test_deletes_hold_little() -> None:
    event: Any = bodies.event_deleted(example_event())
    user: Any = bodies.user_deleted(bodies.user_state(bodies.person("x"), [], version=3, updated_at=AT))

    assert event["parameters"]["entity"] == {"id": "e-1", "created_at": "2026-03-01T12:00:00Z"}
    assert (user["type"], user["parameters"]["entity"]["version"]) == ("user.deleted", 3)
