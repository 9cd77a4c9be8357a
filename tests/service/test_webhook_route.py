"""POST /webhooks/didomi (docs/reference/http.md): what is answered, stored, and never shown."""

import hashlib
import ipaddress
import json
from datetime import timedelta
from typing import Any

import pytest

from didomi_dataverse.didomi.auth.access_tokens import create_issuer
from didomi_dataverse.didomi.auth.authenticator import WebhookAuthenticator
from didomi_dataverse.didomi.auth.credentials import StaticHeader
from didomi_dataverse.didomi.auth.ip_allowlist import IpAllowlist
from didomi_dataverse.didomi.interpreted import Disposition, Reason
from didomi_dataverse.errors import StoreError, StoreUnavailableError
from tests.clocks import FrozenClock
from tests.service.didomi_app import (
    CLIENT_ID,
    MAX_BODY_BYTES,
    SECRET,
    Chunks,
    Receiver,
    call_asgi,
    capture_log,
    with_token_endpoint,
)
from tests.unit.didomi.auth.keys import AUDIENCE, ISSUER, Provider, ec_jwk, ec_key, key_set, token
from tests.unit.didomi.bodies import created, encode, event

GOOD = encode(created(event()))


# --- stored -------------------------------------------------------------------------------------------------


async def test_a_notification_is_stored_and_then_acknowledged() -> None:
    receiver = Receiver()

    answer = await receiver.post(GOOD)

    assert (answer.status_code, answer.json()) == (202, {"received": 1, "duplicates": 0})
    (interpreted,) = receiver.store.notifications
    assert (interpreted.disposition, interpreted.body, interpreted.caller) == (
        Disposition.APPLIED,
        GOOD,
        "anonymous",
    )
    assert interpreted.received_at == receiver.clock.now()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{}", id="empty object"),
        pytest.param(encode(created(event(), kind="event.archived")), id="unknown type"),
        pytest.param(encode(created(event(organization_id="other"))), id="foreign organization"),
        pytest.param(encode(created(event(status="pending_approval"))), id="pending"),
        pytest.param(b'{"type": "event.created", "type": "event.deleted"}', id="a key twice"),
    ],
)
async def test_what_cannot_be_applied_is_stored_and_acknowledged_too(body: bytes) -> None:
    """didomi.md 1.5, rule 6: a 4xx would only burn the five attempts."""
    receiver = Receiver()

    answer = await receiver.post(body)

    assert answer.status_code == 202
    assert [interpreted.body for interpreted in receiver.store.notifications] == [body]
    assert receiver.store.notifications[0].disposition is not Disposition.APPLIED


async def test_the_notifications_of_a_list_are_stored_together() -> None:
    receiver = Receiver()
    other = created(event(id="E2"))

    answer = await receiver.post(encode([created(event()), other, created(event())]))

    assert (answer.status_code, answer.json()) == (202, {"received": 3, "duplicates": 1})
    assert receiver.store.calls == 1
    assert [interpreted.source_id for interpreted in receiver.store.notifications] == ["E1", "E2"]


async def test_an_empty_list_is_fine_and_stores_nothing() -> None:
    receiver = Receiver()

    answer = await receiver.post(b"[]")

    assert (answer.status_code, answer.json()) == (202, {"received": 0, "duplicates": 0})
    assert receiver.store.calls == 0


async def test_a_repeated_delivery_is_acknowledged_as_such() -> None:
    receiver = Receiver()
    await receiver.post(GOOD)

    answer = await receiver.post(json.dumps(json.loads(GOOD), indent=1).encode())

    assert answer.json() == {"received": 1, "duplicates": 1}
    assert receiver.tally.notifications == [
        ("event.created", "applied", ""),
        ("event.created", "duplicate", ""),
    ]


@pytest.mark.parametrize(
    "content_type",
    [
        pytest.param("application/json", id="JSON"),
        pytest.param("application/json; charset=utf-8", id="with charset"),
        pytest.param("text/plain", id="text"),
        pytest.param("application/x-www-form-urlencoded", id="form"),
        pytest.param(None, id="none"),
    ],
)
async def test_the_content_type_does_not_matter(content_type: str | None) -> None:
    """didomi.md 1.1: the customer sets it by hand."""
    headers = {} if content_type is None else {"Content-Type": content_type}

    assert (await Receiver().post(GOOD, headers=headers)).status_code == 202


@pytest.mark.parametrize("path", ["/webhooks/didomi", "/webhooks/didomi/", "/webhooks/didomi?x=1"])
async def test_no_spelling_of_the_path_is_redirected(path: str) -> None:
    assert (await Receiver().post(GOOD, path=path)).status_code == 202


async def test_a_body_in_pieces_is_put_together() -> None:
    receiver = Receiver()

    answer = await receiver.post(Chunks([GOOD[:7], b"", GOOD[7:]]))

    assert answer.status_code == 202
    assert receiver.store.notifications[0].body == GOOD


# --- not JSON -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hello", id="words"),
        pytest.param(b'{"a": NaN}', id="NaN"),
        pytest.param(b"\xff\x00\xfe", id="bytes"),
        pytest.param(b"[1]", id="list of numbers"),
        pytest.param(GOOD[:-1], id="cut off"),
    ],
)
async def test_what_is_not_json_goes_to_quarantine_and_is_answered_400(body: bytes) -> None:
    receiver = Receiver()

    answer = await receiver.post(body)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"] == "The body is not a JSON object or a list of JSON objects."
    (interpreted,) = receiver.store.notifications
    assert (interpreted.disposition, interpreted.reason) == (Disposition.PARKED, Reason.NOT_JSON)
    assert (interpreted.body, interpreted.digest) == (body, hashlib.sha256(body).hexdigest())
    assert receiver.tally.notifications == [("other", "parked", "not_json")]
    assert receiver.tally.refusals == [400]


async def test_what_could_not_be_put_in_quarantine_is_asked_for_again() -> None:
    receiver = Receiver()
    receiver.store.fails_with = StoreUnavailableError()

    assert (await receiver.post(b"hello")).status_code == 503


# --- our own failures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [StoreUnavailableError("disk full"), StoreError("no such table")])
async def test_a_store_that_cannot_commit_is_answered_503(failure: StoreError) -> None:
    receiver = Receiver()
    receiver.store.fails_with = failure

    answer = await receiver.post(GOOD)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.headers["content-type"] == "application/problem+json"
    assert str(failure) not in answer.text
    assert receiver.tally.notifications == []
    assert receiver.tally.refusals == [503]


class BrokenPolicy:
    """A configuration that makes interpretation fail: any mistake of ours."""

    @property
    def organization_id(self) -> str:
        raise RuntimeError("a mistake with a secret@example.com in it")


async def test_a_notification_that_we_fail_on_is_kept_to_be_replayed() -> None:
    receiver = Receiver(policy=BrokenPolicy())

    with capture_log() as log:
        answer = await receiver.post(encode([created(event()), created(event(), kind="event.archived")]))

    assert answer.status_code == 202
    failed, fine = receiver.store.notifications
    assert (failed.disposition, failed.reason) == (Disposition.PARKED, Reason.INTERNAL_ERROR)
    assert json.loads(failed.body) == created(event())
    assert fine.reason is Reason.UNKNOWN_TYPE
    assert "secret" not in repr(log)


# --- size and time ------------------------------------------------------------------------------------------


async def test_a_body_of_the_largest_size_is_taken() -> None:
    assert (await Receiver().post(GOOD.ljust(MAX_BODY_BYTES))).status_code == 202


async def test_an_announced_size_beyond_the_limit_is_refused_unread() -> None:
    receiver, body = Receiver(), Chunks([b"{}"])

    answer = await receiver.post(body, headers={"Content-Length": str(MAX_BODY_BYTES + 1)})

    assert (answer.status_code, body.taken) == (413, 0)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"


async def test_a_body_is_refused_as_soon_as_it_exceeds_the_limit() -> None:
    receiver, body = Receiver(), Chunks([b"x" * 1_000] * 1_000)

    answer = await receiver.post(body)

    assert (answer.status_code, body.taken) == (413, 5)
    assert receiver.store.notifications == []
    assert receiver.tally.refusals == [413]


@pytest.mark.parametrize("announced", ["-1", "many", "", "9" * 400, "\u0664"])
async def test_a_senseless_announced_size_does_no_harm(announced: str) -> None:
    headers = [(b"content-length", announced.encode())]
    message = {"type": "http.request", "body": GOOD, "more_body": False}

    start, _ = await call_asgi(Receiver().app(), {"headers": headers}, message)

    assert start["status"] == (413 if announced.isascii() and announced.isdigit() else 202)


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    """The time-out is zero here, so that nothing depends on how fast this machine is."""
    receiver = Receiver(body_timeout=timedelta(0))

    start, _ = await call_asgi(receiver.app(), {}, {"type": "http.request", "body": b"{", "more_body": True})

    assert start["status"] == 408
    assert receiver.store.notifications == []


async def test_a_caller_who_leaves_stores_nothing() -> None:
    receiver = Receiver()

    await call_asgi(
        receiver.app(),
        {},
        {"type": "http.request", "body": GOOD, "more_body": True},
        {"type": "http.disconnect"},
    )

    assert receiver.store.calls == 0


# --- who may call -------------------------------------------------------------------------------------------

HEADER = StaticHeader(name="X-Webhook-Secret", values=("one long secret value", "other long secret value"))


def own_token(clock: FrozenClock) -> str:
    tokens = create_issuer(client_id=CLIENT_ID, client_secrets=[SECRET])
    return tokens.issue(tokens.keys[0], clock.now())


def authenticator_with(methods: str) -> WebhookAuthenticator:
    """An authenticator with these methods, named by their first letters."""
    issuer = create_issuer(client_id=CLIENT_ID, client_secrets=[SECRET])
    return WebhookAuthenticator(
        access_tokens=issuer if "o" in methods else None,
        verify_jwt=Provider().verifier().verify if "j" in methods else None,
        static_header=HEADER if "h" in methods else None,
        allow_anonymous="a" in methods,
    )


def credentials(which: str) -> dict[str, str]:
    clock = FrozenClock()
    expires_at = clock.now().timestamp() + 3600
    return {
        "nothing": {},
        "own token": {"Authorization": f"Bearer {own_token(clock)}"},
        "customer's token": {"Authorization": f"Bearer {token(exp=expires_at)}"},
        "forged token": {"Authorization": f"Bearer {token(ec_key('x'), algorithm='ES256', exp=expires_at)}"},
        "header": {"X-WEBHOOK-SECRET": "other long secret value"},
        "wrong header": {"X-Webhook-Secret": "one long secret valu"},
        "basic": {"Authorization": "Basic ZGlkb21pOng="},
        "client secret": {"Authorization": f"Bearer {SECRET}"},
    }[which]


@pytest.mark.parametrize(
    ("methods", "presented", "caller"),
    [
        pytest.param("o", "own token", "oauth", id="own token"),
        pytest.param("j", "customer's token", "jwt", id="customer's token"),
        pytest.param("h", "header", "header", id="header"),
        pytest.param("ojh", "own token", "oauth", id="all methods, own token"),
        pytest.param("ojh", "customer's token", "jwt", id="all methods, customer's token"),
        pytest.param("ojh", "header", "header", id="all methods, header"),
        pytest.param("a", "nothing", "anonymous", id="every caller"),
        pytest.param("a", "forged token", "anonymous", id="every caller, with a wrong token"),
    ],
)
async def test_every_configured_method_is_accepted(methods: str, presented: str, caller: str) -> None:
    receiver = Receiver(authenticator=authenticator_with(methods))

    answer = await receiver.post(GOOD, headers=credentials(presented))

    assert answer.status_code == 202
    assert [interpreted.caller for interpreted in receiver.store.notifications] == [caller]


@pytest.mark.parametrize(
    ("methods", "presented"),
    [
        pytest.param("ojh", "nothing", id="nothing"),
        pytest.param("ojh", "wrong header", id="wrong header"),
        pytest.param("ojh", "forged token", id="forged token"),
        pytest.param("ojh", "basic", id="another scheme"),
        pytest.param("ojh", "client secret", id="the client secret for a token"),
        pytest.param("h", "own token", id="a token where only the header counts"),
        pytest.param("o", "header", id="a header where only tokens count"),
        pytest.param("o", "customer's token", id="a customer's token where only ours count"),
        pytest.param("j", "own token", id="our token where only the customer's count"),
        pytest.param("", "nothing", id="no method at all"),
    ],
)
async def test_any_other_caller_is_refused_before_the_body_is_read(methods: str, presented: str) -> None:
    receiver, body = Receiver(authenticator=authenticator_with(methods)), Chunks([GOOD])

    answer = await receiver.post(body, headers=credentials(presented))

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    assert (body.taken, receiver.store.calls) == (0, 0)
    assert receiver.tally.refusals == [401]


async def test_two_authorization_headers_are_refused() -> None:
    receiver = with_token_endpoint()
    good = f"Bearer {own_token(receiver.clock)}"

    answer = await receiver.post(GOOD, headers=[("Authorization", good), ("Authorization", good)])

    assert answer.status_code == 401


async def test_an_expired_token_is_refused() -> None:
    receiver = with_token_endpoint()
    headers = {"Authorization": f"Bearer {own_token(receiver.clock)}"}
    receiver.clock.advance(timedelta(hours=25))

    assert (await receiver.post(GOOD, headers=headers)).status_code == 401


async def test_a_remembered_token_ends_when_it_ends() -> None:
    """It is verified a minute before the leeway ends; being remembered must not make it good for longer."""
    receiver = Receiver(authenticator=authenticator_with("j"))
    end = receiver.clock.now() - timedelta(minutes=4)
    headers = {"Authorization": f"Bearer {token(exp=end.timestamp())}"}

    answers = []
    async with receiver.client() as client:
        for _ in range(3):
            answers.append(await client.post("/webhooks/didomi", content=GOOD, headers=headers))
            receiver.clock.advance(timedelta(seconds=40))

    assert [answer.status_code for answer in answers] == [202, 202, 401]


async def test_a_withdrawn_key_ends_a_remembered_token() -> None:
    """Keys are fetched again after an hour, and a token is remembered for a few minutes only."""
    provider, clock = Provider(), FrozenClock()
    receiver = Receiver(
        authenticator=WebhookAuthenticator(verify_jwt=provider.verifier(clock).verify), clock=clock
    )
    end = clock.now() + timedelta(hours=9)
    headers = {"Authorization": f"Bearer {token(exp=end.timestamp())}"}
    app = receiver.app()

    async with receiver.client(app=app) as client:
        first = await client.post("/webhooks/didomi", content=GOOD, headers=headers)
        provider.answer = key_set(ec_jwk("two"))
        clock.advance(timedelta(hours=1, seconds=1))
        second = await client.post("/webhooks/didomi", content=GOOD, headers=headers)

    assert [first.status_code, second.status_code] == [202, 401]


async def test_a_token_that_cannot_be_checked_now_is_asked_for_again() -> None:
    receiver = Receiver(authenticator=WebhookAuthenticator(verify_jwt=Provider(None).verifier().verify))

    answer = await receiver.post(GOOD, headers=credentials("customer's token"))

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "status"),
    [
        pytest.param("35.159.1.63", None, 202, id="the address"),
        pytest.param("192.0.2.9", None, 403, id="another address"),
        pytest.param("10.0.0.1", "35.159.1.63", 202, id="through the trusted proxy"),
        pytest.param("10.0.0.1", "192.0.2.9", 403, id="another address through the trusted proxy"),
        pytest.param("10.0.0.1", "35.159.1.63, 192.0.2.9", 403, id="a forged hop before another address"),
        pytest.param("192.0.2.9", "35.159.1.63", 403, id="a forged header"),
        pytest.param("10.0.0.1", None, 403, id="the proxy itself"),
    ],
)
async def test_addresses_are_checked_in_addition(peer: str, forwarded_for: str | None, status: int) -> None:
    allowlist = IpAllowlist(
        allowed=(ipaddress.ip_network("35.159.1.63"),), trusted_proxies=(ipaddress.ip_network("10.0.0.0/8"),)
    )
    receiver = Receiver(authenticator=WebhookAuthenticator(static_header=HEADER, ip_allowlist=allowlist))
    headers = credentials("header") | ({} if forwarded_for is None else {"X-Forwarded-For": forwarded_for})

    answer = await receiver.post(GOOD, headers=headers, peer=peer)

    assert answer.status_code == status


async def test_a_good_address_alone_proves_nothing() -> None:
    """didomi.md 1.9: never "address or token"."""
    allowlist = IpAllowlist(allowed=(ipaddress.ip_network("35.159.1.63"),))
    receiver = Receiver(authenticator=WebhookAuthenticator(static_header=HEADER, ip_allowlist=allowlist))

    assert (await receiver.post(GOOD)).status_code == 401


# --- what is never shown ------------------------------------------------------------------------------------

PERSONAL = encode(
    created(
        event([{"id": "newsletter", "enabled": False}], user={"id": "U1", "organization_user_id": "anna"})
    )
)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(PERSONAL, {"X-Webhook-Secret": "one long secret value"}, id="stored"),
        pytest.param(PERSONAL[:-1], {"X-Webhook-Secret": "one long secret value"}, id="quarantined"),
        pytest.param(PERSONAL, {"X-Webhook-Secret": "wrong secret value"}, id="wrong header"),
        pytest.param(PERSONAL, {"Authorization": "Bearer secret-token"}, id="wrong token"),
        pytest.param(PERSONAL, {"Authorization": "Basic c2VjcmV0"}, id="wrong scheme"),
    ],
)
async def test_no_body_no_person_and_no_secret_is_logged_or_answered(
    body: bytes, headers: dict[str, str]
) -> None:
    receiver = Receiver(authenticator=authenticator_with("oh"))

    with capture_log() as log:
        answer = await receiver.post(body, headers=headers)

    assert log
    for word in ("anna", "newsletter", "secret value", "secret-token", "c2VjcmV0", "U1"):
        assert word not in repr(log)
        assert word not in answer.text


async def test_a_stored_notification_can_be_followed_by_its_digest() -> None:
    receiver = Receiver()

    with capture_log() as log:
        await receiver.post(GOOD)

    assert [(entry["event"], entry["notification"]) for entry in log] == [
        ("notification_stored", receiver.store.notifications[0].digest)
    ]


async def test_the_callers_type_never_becomes_a_label() -> None:
    receiver = Receiver()

    await receiver.post(encode(created(event(), kind="anything at all")))

    assert receiver.tally.notifications == [("other", "parked", "unknown_type")]


# --- the description ----------------------------------------------------------------------------------------


def operations(receiver: Receiver) -> dict[str, Any]:
    return dict(receiver.app().openapi()["paths"])


def test_the_description_knows_every_answer() -> None:
    webhook = operations(with_token_endpoint())["/webhooks/didomi"]["post"]

    assert set(webhook["responses"]) == {"202", "400", "401", "403", "408", "413", "503"}
    assert "requestBody" in webhook


def test_the_description_names_each_path_once() -> None:
    assert set(operations(with_token_endpoint())) == {"/webhooks/didomi", "/oauth/token"}


def test_without_our_own_tokens_there_is_no_token_endpoint() -> None:
    assert set(operations(Receiver())) == {"/webhooks/didomi"}


def test_the_provider_of_these_tests_is_the_one_that_is_configured() -> None:
    assert (ISSUER, AUDIENCE) == ("https://login.example.com/tenant/v2.0", "api://didomi-webhook")
