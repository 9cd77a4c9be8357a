"""POST /oauth/token: Didomi logs in, and calls with the token that it got (didomi.md 1.8)."""

import base64
import ipaddress
import json
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from didomi_dataverse.didomi.auth.access_tokens import create_issuer
from didomi_dataverse.didomi.auth.authenticator import WebhookAuthenticator
from didomi_dataverse.didomi.auth.ip_allowlist import IpAllowlist
from tests.service.didomi_app import CLIENT_ID, SECRET, Chunks, Receiver, capture_log, with_token_endpoint
from tests.unit.didomi.bodies import created, encode, event

RIGHT = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": SECRET}
WRONG = {**RIGHT, "client_secret": "a-wrong-one"}
BASIC = "Basic " + base64.b64encode(f"{CLIENT_ID}:{SECRET}".encode()).decode()


async def log_in(
    receiver: Receiver, app: FastAPI, fields: dict[str, str], *, peer: str = "192.0.2.1"
) -> httpx.Response:
    """A form login; the application is kept, because it remembers failures."""
    async with receiver.client(peer=peer, app=app) as client:
        return await client.post("/oauth/token", data=fields)


@pytest.mark.parametrize(
    "path", ["/oauth/token", "/oauth/token/"], ids=["as documented", "with a slash at its end"]
)
async def test_didomi_logs_in_and_delivers(path: str) -> None:
    receiver = with_token_endpoint()

    login = await receiver.post(json.dumps(RIGHT), path=path, headers={"Content-Type": "application/json"})
    headers = {"Authorization": f"Bearer {login.json()['access_token']}"}
    delivery = await receiver.post(encode(created(event())), headers=headers)

    assert login.status_code == 200
    assert login.headers["content-type"] == "application/json"
    assert login.headers["cache-control"] == "no-store"
    assert login.json()["expires_in"] == 86_400
    assert delivery.status_code == 202


async def test_a_token_is_good_at_another_replica() -> None:
    """Two applications that share nothing but the configuration."""
    here, there = with_token_endpoint(), with_token_endpoint()
    login = await here.post(json.dumps(RIGHT), path="/oauth/token")

    delivery = await there.post(
        encode(created(event())), headers={"Authorization": f"bearer {login.json()['access_token']}"}
    )

    assert delivery.status_code == 202


async def test_basic_login_needs_no_body() -> None:
    answer = await with_token_endpoint().post(b"", path="/oauth/token", headers={"Authorization": BASIC})

    assert answer.status_code == 200


async def test_wrong_credentials_are_refused_in_the_words_of_the_rfc() -> None:
    receiver = with_token_endpoint()

    answer = await log_in(receiver, receiver.app(), WRONG)

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_two_authorization_headers_are_refused() -> None:
    answer = await with_token_endpoint().post(
        b"", path="/oauth/token", headers=[("Authorization", BASIC), ("Authorization", BASIC)]
    )

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_an_endless_request_is_refused() -> None:
    body = Chunks([b"x" * 10_000] * 100)

    answer = await with_token_endpoint().post(body, path="/oauth/token")

    assert (answer.status_code, body.taken) == (413, 4)


async def test_an_address_that_guesses_has_to_wait_even_with_the_right_secret() -> None:
    receiver = with_token_endpoint()
    app = receiver.app()

    guesses = [(await log_in(receiver, app, WRONG)).status_code for _ in range(11)]
    right = await log_in(receiver, app, RIGHT)

    assert guesses == [401] * 10 + [429]
    assert (right.status_code, right.headers["retry-after"]) == (429, "6")


async def test_after_the_wait_the_right_secret_is_accepted() -> None:
    receiver = with_token_endpoint()
    app = receiver.app()
    for _ in range(11):
        await log_in(receiver, app, WRONG)
    receiver.clock.advance(timedelta(seconds=6))

    assert (await log_in(receiver, app, RIGHT)).status_code == 200


async def test_guesses_from_elsewhere_do_not_keep_didomi_out() -> None:
    receiver = with_token_endpoint()
    app = receiver.app()
    for _ in range(11):
        await log_in(receiver, app, WRONG)

    assert (await log_in(receiver, app, RIGHT, peer="35.159.1.63")).status_code == 200


async def test_unreadable_requests_do_not_count_as_guesses() -> None:
    receiver = with_token_endpoint()
    app = receiver.app()
    for _ in range(20):
        await log_in(receiver, app, {})

    assert (await log_in(receiver, app, RIGHT)).status_code == 200


async def test_expired_tokens_do_not_keep_didomi_from_logging_in() -> None:
    """Deliveries with the old token fail by the hundred; the way to a new one must stay open."""
    receiver = with_token_endpoint()
    app = receiver.app()
    async with receiver.client(app=app) as client:
        for _ in range(50):
            await client.post("/webhooks/didomi", content=b"{}", headers={"Authorization": "Bearer old"})
        answer = await client.post("/oauth/token", data=RIGHT)

    assert answer.status_code == 200


async def test_an_address_that_is_not_on_the_list_cannot_log_in() -> None:
    authenticator = WebhookAuthenticator(
        access_tokens=create_issuer(client_id=CLIENT_ID, client_secrets=[SECRET]),
        ip_allowlist=IpAllowlist(allowed=(ipaddress.ip_network("35.159.1.63"),)),
    )
    receiver = Receiver(authenticator=authenticator)

    with capture_log() as log:
        refused = await log_in(receiver, receiver.app(), RIGHT)

    assert refused.status_code == 403
    assert "didomi.auth.allowed_addresses" in refused.json()["detail"]
    (entry,) = log
    assert (entry["event"], entry["detail"]) == ("token_refused", refused.json()["detail"])
    assert "192.0.2.1" not in repr(log)
    assert (await log_in(receiver, receiver.app(), RIGHT, peer="35.159.1.63")).status_code == 200


@pytest.mark.parametrize("fields", [RIGHT, WRONG], ids=["right", "wrong"])
async def test_no_secret_and_no_token_is_logged(fields: dict[str, str]) -> None:
    receiver = with_token_endpoint()

    with capture_log() as log:
        answer = await log_in(receiver, receiver.app(), fields)

    assert [entry["event"] for entry in log] in (["token_issued"], ["token_refused"])
    for word in (SECRET, "a-wrong-one", str(answer.json().get("access_token", "a-wrong-one"))):
        assert word not in repr(log)
