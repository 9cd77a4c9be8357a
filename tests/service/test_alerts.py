"""What stops the sender until a person acts: contacts stay due, every place says what to do, and no restart
is needed afterwards.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from dataverse_sandbox import AppRegistration, SandboxServer
from didomi_dataverse.delivery.rate_limit.state import ALERT_PAUSE
from didomi_dataverse.ledger.delivery_state import DeliveryState
from didomi_dataverse.observability.health import Lifecycle, build_health_router
from tests.service.harness import Harness, open_house, says

ONE, TWO = "customer-0001", "customer-0002"
WRONG_SECRET = "not-the-secret-at-all"


@dataclass(frozen=True, slots=True)
class Trouble:
    """How it begins and ends, and what a person must read."""

    begins: Callable[[Harness], Awaitable[object]]
    ends: Callable[[Harness], Awaitable[object]]
    says: str
    reason: str = "refused"
    config: tuple[tuple[str, str], ...] = ()


def refused(status: int, code: str, **match: str) -> Callable[[Harness], Awaitable[object]]:
    body = {"error": {"code": code, "message": "No."}}

    async def begins(house: Harness) -> None:
        await house.put_faults({"match": match, "reply": {"status": status, "body": body}})

    return begins


async def no_more_faults(house: Harness) -> None:
    await house.put_faults()


async def key_inactive(house: Harness) -> None:
    await key(house, "Pending")


async def key_active(house: Harness) -> None:
    await key(house, "Active")


async def key(house: Harness, status: str) -> None:
    keys: Mapping[str, Mapping[str, Any]] = (await house.control("GET", "schema"))["keys"]
    name = next(name for name, spec in keys.items() if spec["columns"] == ["new_didomikey"])
    await house.control("PUT", "schema", {"keys": {name: {"columns": ["new_didomikey"], "status": status}}})


async def nothing(house: Harness) -> None:
    """It is wrong from the start."""


async def secret_accepted(house: Harness) -> None:
    identity = house.sandbox.identity
    house.sandbox.app.entra.register(identity.client_id, AppRegistration(client_secret=WRONG_SECRET))


TROUBLES = {
    "right missing": Trouble(
        refused(403, "0x80040220", path="contacts"),
        no_more_faults,
        "Give the application user a security role",
    ),
    "column gone": Trouble(
        refused(400, "0x8005e009", path="contacts"), no_more_faults, "A mapped column no longer exists"
    ),
    "key inactive": Trouble(key_inactive, key_active, "be Active"),
    "wrong secret": Trouble(
        nothing,
        secret_accepted,
        "Copy the secret's value",
        reason="credential",
        config=(("client_secret:", f"client_secret: {WRONG_SECRET} # was:"),),
    ),
    "environment disabled": Trouble(
        refused(503, "0x8004a104", path="/api/"), no_more_faults, "administration mode, disabled or expired"
    ),
}


@pytest.fixture(params=["batch", "multiple", "single"])
def mode(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


async def readyz(house: Harness) -> httpx.Response:
    """The probe over the senders of this house."""

    async def check_store() -> None:
        await house.ledger.maintenance.probe()

    lifecycle = Lifecycle()
    lifecycle.started.set()
    app = FastAPI()
    app.include_router(
        build_health_router(
            lifecycle=lifecycle,
            check_store=check_store,
            rate_limits=lambda: [sender.rate_limit for sender in house.senders],
            clock=house.clock,
        )
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        return await client.get("/readyz")


@pytest.mark.parametrize("name", TROUBLES)
async def test_the_sender_stops_says_what_to_do_and_goes_on_by_itself(
    sandbox: SandboxServer, tmp_path: Path, *, mode: str, name: str
) -> None:
    trouble = TROUBLES[name]

    def change(text: str) -> str:
        # The last one is Dataverse's.
        for old, new in trouble.config:
            head, found, tail = text.rpartition(old)
            assert found
            text = head + new + tail
        return text

    async with open_house(sandbox, tmp_path, change=change, mode=mode) as house:
        await trouble.begins(house)
        await house.receive(*(says(key, minute=1, newsletter=False) for key in (ONE, TWO)))

        with capture_logs() as logs:
            # The first round may tell of one contact only; none is parked.
            await house.deliver()
            for _ in range(3):
                await house.after(ALERT_PAUSE)
        stopped = house.sender.rate_limit
        assert stopped.alert is not None
        assert (stopped.alert.reason.value, stopped.parallel) == (trouble.reason, 1)

        assert "written" not in house.heard.outcomes
        for contact in (ONE, TWO):
            assert (await house.contact(contact)).state is DeliveryState.DUE
        attempts = await house.ledger.reader.attempts_of((await house.contact(ONE)).contact_id, 1)
        assert trouble.says in attempts[0].message

        probe = await readyz(house)
        assert probe.status_code == 200, "notifications are still taken"
        assert probe.json()["sender"]["state"] == "stopped"
        assert trouble.says in probe.json()["sender"]["what_to_do"]
        (alerted,) = [line for line in logs if line["event"] == "sender_alerted"]
        assert (alerted["log_level"], alerted["reason"]) == ("error", trouble.reason)
        assert trouble.says in alerted["advice"]
        assert WRONG_SECRET not in str(logs)
        labels = {"user": "1", "reason": trouble.reason}
        assert house.heard.metrics.registry.get_sample_value("didomi_dataverse_sender_alert", labels) == 1

        await trouble.ends(house)
        for _ in range(10):
            await house.after(timedelta(minutes=1))
        assert [(await house.row(contact))["new_newsletter"] for contact in (ONE, TWO)] == [False, False]
        assert house.sender.rate_limit.alert is None
        assert (await readyz(house)).json()["sender"]["state"] == "delivering"
        assert house.heard.metrics.registry.get_sample_value("didomi_dataverse_sender_alert", labels) == 0


async def test_one_call_at_a_time_asks_whether_it_is_mended(house: Harness) -> None:
    await house.put_faults({"match": {"path": "contacts"}, "reply": {"status": 403}})
    await house.receive(*(says(f"customer-000{n}", minute=1, newsletter=False) for n in (1, 2, 3)))
    await house.deliver()
    before = len(house.heard.exchanges)

    for _ in range(4):
        await house.after(ALERT_PAUSE)

    asked = house.heard.exchanges[before:]
    assert len(asked) == 4
