"""Several application users: limits are per user, so what stops one of them does not stop the others."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from dataverse_sandbox import AppRegistration, SandboxServer
from didomi_dataverse.ledger.delivery_state import DeliveryState
from tests.service.harness import Harness, open_house, says

SECOND = "33333333-3333-4333-8333-333333333333"
SECRET = "the-secret-of-the-second"
KEYS = ["customer-0001", "customer-0002", "customer-0003", "customer-0004"]


def two_users(text: str) -> str:
    users = f"  application_users: [{{ client_id: {SECOND}, client_secret: {SECRET} }}]\n"
    return text.replace("dataverse:\n", f"dataverse:\n{users}", 1)


@pytest.fixture
async def house(sandbox: SandboxServer, tmp_path: Path) -> AsyncIterator[Harness]:
    """One row per call, so that it shows who makes it."""
    sandbox.app.entra.register(SECOND, AppRegistration(client_secret=SECRET))
    async with open_house(sandbox, tmp_path, change=two_users, max_rows=1) as opened:
        await opened.control("PUT", "contacts", [{"new_didomikey": key} for key in KEYS])
        yield opened


def calls(house: Harness) -> dict[str, int]:
    """Calls under the limits, by user."""
    usages = house.sandbox.app.environment.usages
    names = {house.sandbox.identity.client_id: "first", SECOND: "second"}
    return {names[user]: len(usage.called_at) for user, usage in usages.items()}


async def test_what_one_may_not_send_now_the_other_sends(house: Harness) -> None:
    await house.control("PUT", "limits", {"enforce": True, "requests": 1, "window_seconds": 300})
    await house.receive(*(says(key, minute=1, newsletter=False) for key in KEYS[:2]))

    outcomes = await house.deliver()

    assert sorted(outcomes) == ["postponed", "written", "written"]
    assert calls(house) == {"first": 1, "second": 1}
    first, second = house.senders
    assert first.rate_limit.is_paused(house.clock.now())
    assert not second.rate_limit.is_paused(house.clock.now())


async def test_all_wait_when_all_are_throttled(house: Harness) -> None:
    await house.control("PUT", "limits", {"enforce": True, "requests": 1, "window_seconds": 30})
    await house.receive(*(says(key, minute=1, newsletter=False) for key in KEYS))

    outcomes = await house.deliver()

    assert outcomes.count("written") == 2
    assert house.is_paused()
    await house.control("PUT", "limits", {"enforce": False})
    await house.after(timedelta(minutes=6))
    assert [(await house.row(key))["new_newsletter"] for key in KEYS] == [False] * 4


async def test_the_alert_of_one_does_not_stop_the_other(house: Harness) -> None:
    house.sandbox.app.entra.register(SECOND, AppRegistration(client_secret="renewed and not told"))
    first, second = house.senders
    await house.receive(*(says(key, minute=1, newsletter=False) for key in KEYS))
    # The first is busy, so the second is asked.
    claims = await house.ledger.queue.claim(now=house.clock.now(), limit=1, lease=timedelta(minutes=5))
    await second.deliver(claims, claimed_at=house.clock.monotonic())
    assert second.rate_limit.alert is not None

    await house.deliver()
    await house.after(timedelta(seconds=10))

    assert first.rate_limit.alert is None
    assert [(await house.row(key))["new_newsletter"] for key in KEYS] == [False] * 4
    assert (await house.contact(KEYS[0])).state is DeliveryState.SETTLED
    gauge = house.heard.metrics.registry.get_sample_value
    assert gauge("didomi_dataverse_sender_alert", {"user": "2", "reason": "credential"}) == 1
    assert not gauge("didomi_dataverse_sender_alert", {"user": "1", "reason": "credential"})


async def test_a_contact_is_claimed_by_one_of_them_only(house: Harness) -> None:
    """Promise 3 rests on the claim, whichever user sends."""
    await house.receive(says(KEYS[0], minute=1, newsletter=False))
    claims = await house.ledger.queue.claim(now=house.clock.now(), limit=9, lease=timedelta(minutes=5))

    assert len(claims) == 1
    assert await house.worker.run_once() == 0
    await house.senders[1].deliver(claims, claimed_at=house.clock.monotonic())
    stats = await house.stats()
    assert list(stats["writes"].values()) == [1]
