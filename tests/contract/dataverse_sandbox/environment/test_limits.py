"""dataverse.md 4.1: the three limits, really counted, on a clock that the test moves."""

import asyncio

import httpx
import pytest
from tests.contract.dataverse_sandbox.batches import GO_ON, answers, batch, patch
from tests.contract.dataverse_sandbox.conftest import BASE_URL, CONTROL, ManualClock, fetch_token

from dataverse_sandbox import SandboxApp

ROW = "contacts(new_didomikey='customer-0001')"
LIMITS = f"{CONTROL}/limits"


async def call(api: httpx.AsyncClient) -> tuple[int, str | None, str | None]:
    response = await api.patch(ROW, json={"donotemail": True})
    code = response.json()["error"]["code"] if response.status_code >= 400 else None
    return response.status_code, code, response.headers.get("Retry-After")


class Gate(ManualClock):
    """Sleeps end when the test releases them; `full` is set when enough of them wait."""

    def __init__(self, expected: int) -> None:
        super().__init__()
        self.full, self.opened = asyncio.Event(), asyncio.Event()
        self._expected = expected

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) == self._expected:
            self.full.set()
        await self.opened.wait()


async def test_requests_are_limited_in_a_sliding_window(api: httpx.AsyncClient, clock: ManualClock) -> None:
    await api.put(LIMITS, json={"enforce": True, "requests": 3, "window_seconds": 100})
    for _ in range(3):
        assert await call(api) == (204, None, None)
        clock.time += 10

    assert await call(api) == (429, "0x80072322", "70")
    clock.time += 70
    assert await call(api) == (204, None, None)
    # The second of the three leaves the window ten seconds after the first.
    assert await call(api) == (429, "0x80072322", "10")


async def test_calling_during_a_pause_lengthens_it(api: httpx.AsyncClient, clock: ManualClock) -> None:
    await api.put(LIMITS, json={"enforce": True, "requests": 1, "window_seconds": 100})
    await call(api)

    waits = [(await call(api))[2] for _ in range(3)]

    assert waits == ["100", "101", "102"]
    clock.time += 102
    assert (await call(api))[0] == 204


async def test_execution_time_is_limited(api: httpx.AsyncClient, clock: ManualClock) -> None:
    await api.put(
        LIMITS, json={"enforce": True, "execution_seconds": 5, "window_seconds": 100, "call_ms": 3000}
    )
    assert [(await call(api))[0] for _ in range(2)] == [204, 204]

    status, code, wait = await call(api)

    assert (status, code) == (429, "0x80072321")
    # The first call ended three seconds before the second did.
    assert wait == "97"
    clock.time += 97
    assert (await call(api))[0] == 204


async def test_concurrency_is_limited(api: httpx.AsyncClient, app: SandboxApp) -> None:
    await api.put(LIMITS, json={"enforce": True, "concurrent": 2, "call_ms": 1})
    gate = app.clock = Gate(2)
    running = [asyncio.create_task(call(api)) for _ in range(2)]
    await gate.full.wait()

    refused = await call(api)
    gate.opened.set()

    assert refused == (429, "0x80072326", "1")
    assert [status for status, _, _ in await asyncio.gather(*running)] == [204, 204]
    stats = (await api.get(f"{CONTROL}/stats")).json()
    assert (stats["peak_parallel"], stats["throttled"]) == (3, 1)


async def test_a_refused_call_writes_nothing(api: httpx.AsyncClient) -> None:
    await api.put(LIMITS, json={"enforce": True, "requests": 0})

    response = await api.post("$batch", content=batch(patch("new")), headers=GO_ON)

    assert response.status_code == 429
    assert response.headers["Content-Type"].startswith("application/json")
    rows = (await api.get(f"{CONTROL}/contacts?select=new_didomikey")).json()
    assert "new" not in [row["new_didomikey"] for row in rows]


async def test_a_batch_counts_as_one_request(api: httpx.AsyncClient) -> None:
    await api.put(LIMITS, json={"enforce": True, "requests": 1})

    response = await api.post("$batch", content=batch(patch("a"), patch("b")), headers=GO_ON)

    assert [answer.status for answer in answers(response.headers["Content-Type"], response.content)] == [
        204,
        204,
    ]
    assert response.headers["x-ms-ratelimit-burst-remaining-xrm-requests"] == "0"


async def test_limits_are_off_by_default(api: httpx.AsyncClient) -> None:
    await api.put(LIMITS, json={"requests": 1})

    assert [(await call(api))[0] for _ in range(3)] == [204, 204, 204]


@pytest.mark.parametrize(
    ("rows", "seconds"),
    [pytest.param(1, 0.1 + 0.02, id="one-row"), pytest.param(10, 0.1 + 0.2, id="ten-rows")],
)
async def test_a_batch_takes_as_long_as_the_cost_model_says(
    api: httpx.AsyncClient, clock: ManualClock, rows: int, seconds: float
) -> None:
    await api.put(LIMITS, json={"call_ms": 100, "row_ms": {"batch": 20, "single": 50}})
    before = clock.time

    await api.post("$batch", content=batch(*[patch(f"k-{number}") for number in range(rows)]), headers=GO_ON)

    assert clock.time - before == pytest.approx(seconds)


async def test_a_single_call_takes_as_long_as_the_cost_model_says(
    api: httpx.AsyncClient, clock: ManualClock
) -> None:
    await api.put(LIMITS, json={"call_ms": 100, "row_ms": {"batch": 20, "single": 50}})

    await call(api)

    assert clock.slept == [pytest.approx(0.15)]


async def test_every_response_states_what_is_left(api: httpx.AsyncClient) -> None:
    await api.put(LIMITS, json={"dop_hint": 7})

    response = await api.get("WhoAmI")

    assert response.headers["x-ms-ratelimit-burst-remaining-xrm-requests"] == "5999"
    assert response.headers["x-ms-ratelimit-time-remaining-xrm-requests"] == "1,200.00"
    assert response.headers["x-ms-dop-hint"] == "7"
    assert "ARRAffinity=" in response.headers["Set-Cookie"]
    assert response.headers["x-ms-service-request-id"]


async def test_the_sign_in_service_and_control_are_not_limited(
    api: httpx.AsyncClient, stranger: httpx.AsyncClient, app: SandboxApp
) -> None:
    await api.put(LIMITS, json={"enforce": True, "requests": 0})

    assert await fetch_token(stranger, app.identity)
    assert (await stranger.get(f"{BASE_URL}/_sandbox/stats")).status_code == 200


async def test_a_reset_clears_the_counters(api: httpx.AsyncClient) -> None:
    limited = {"enforce": True, "requests": 1, "execution_seconds": 1, "call_ms": 5000}
    await api.put(LIMITS, json=limited)
    assert [(await call(api))[0] for _ in range(2)] == [204, 429]

    await api.post(f"{CONTROL}/reset")
    await api.put(LIMITS, json=limited)

    assert (await call(api))[0] == 204
