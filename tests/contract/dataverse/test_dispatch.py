"""The three delivery modes against the sandbox: the same replies, and the calls made to get them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.service.harness import tls_context

from dataverse_sandbox import SandboxServer, running_sandbox
from didomi_dataverse.clock import SystemClock
from didomi_dataverse.dataverse.auth.credentials import ClientSecret
from didomi_dataverse.dataverse.calls import CallKind, Exchange
from didomi_dataverse.dataverse.client import DataverseClient
from didomi_dataverse.dataverse.dispatch.base import Dispatcher
from didomi_dataverse.dataverse.dispatch.batch import BatchDispatcher
from didomi_dataverse.dataverse.dispatch.bulk import BulkDispatcher
from didomi_dataverse.dataverse.dispatch.single import SingleDispatcher
from didomi_dataverse.dataverse.factory import create_client
from didomi_dataverse.dataverse.replies import Answered, NotAttempted, Reply
from didomi_dataverse.dataverse.requests import AlternateKey, Condition, LookUp, Request, RowId, Write

ADA = "00000000-0000-4000-8000-00000000000a"
BOB = "00000000-0000-4000-8000-00000000000b"
MISSING = "00000000-0000-4000-8000-00000000dead"


@dataclass(slots=True)
class Driver:
    """Makes the calls of a plan, as far as it has permits, and remembers what was called."""

    client: DataverseClient
    permits: int = 99
    kinds: list[CallKind] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)

    async def send(self, dispatcher: Dispatcher, requests: Sequence[Request]) -> tuple[Reply, ...]:
        plan = dispatcher.plan(requests)
        exchange: Exchange | None = None
        while True:
            try:
                call = plan.send(exchange)
            except StopIteration as end:
                replies: tuple[Reply, ...] = end.value
                return replies
            self.permits -= 1
            exchange = await self.client.send(call) if self.permits >= 0 else None
            if exchange is not None:
                self.kinds.append(call.kind)
                self.rows.append(len(call.requests))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sandbox")


@pytest.fixture
async def sandbox(folder: Path) -> AsyncIterator[SandboxServer]:
    async with running_sandbox(folder) as server, httpx.AsyncClient(verify=tls_context(server)) as http:
        rows = [
            {"contactid": ADA, "new_didomikey": "ada", "emailaddress1": "a+b@example.com"},
            {"contactid": BOB, "new_didomikey": "bob"},
        ]
        await http.put(f"{server.url}/_sandbox/contacts", json=rows)
        yield server


@pytest.fixture
async def client(sandbox: SandboxServer) -> AsyncIterator[DataverseClient]:
    opened = create_client(
        url=sandbox.url,
        tenant_id=sandbox.identity.tenant_id,
        client_id=sandbox.identity.client_id,
        credential=ClientSecret(sandbox.identity.client_secret),
        authority=sandbox.authority,
        api_path="/api/data/v9.2",
        ca_bundle=sandbox.ca_bundle,
        connect_timeout=timedelta(seconds=10),
        read_timeout=timedelta(seconds=30),
        max_parallel=4,
        clock=SystemClock(),
    )
    yield opened
    await opened.aclose()


async def control(sandbox: SandboxServer, route: str, document: object) -> None:
    async with httpx.AsyncClient(verify=tls_context(sandbox)) as http:
        answer = await http.put(f"{sandbox.url}/_sandbox/{route}", json=document)
        assert answer.status_code == 200, answer.text


async def table(sandbox: SandboxServer) -> dict[str, dict[str, Any]]:
    async with httpx.AsyncClient(verify=tls_context(sandbox)) as http:
        rows = (await http.get(f"{sandbox.url}/_sandbox/contacts")).json()
    return {row["new_didomikey"]: row for row in rows}


def update(key: str, **columns: object) -> Write:
    return Write(AlternateKey("new_didomikey", key), Condition.UPDATE_ONLY, columns)  # type: ignore[arg-type]


def create(key: str, **columns: object) -> Write:
    return Write(AlternateKey("new_didomikey", key), Condition.CREATE_ONLY, columns)  # type: ignore[arg-type]


def seen(replies: Sequence[Reply]) -> list[tuple[int, str] | str]:
    """Status and code; a success is a success whatever its number."""
    return [
        (204 if answer.status < 300 else answer.status, answer.code)
        if isinstance(answer, Answered)
        else type(answer).__name__
        for answer in (reply.answer for reply in replies)
    ]


DISPATCHERS: Mapping[str, type[BatchDispatcher | BulkDispatcher | SingleDispatcher]] = {
    "batch": BatchDispatcher,
    "multiple": BulkDispatcher,
    "single": SingleDispatcher,
}
MODES = ["batch", "multiple", "single"]


@pytest.mark.parametrize("mode", MODES)
async def test_every_mode_gives_the_same_replies(
    client: DataverseClient, sandbox: SandboxServer, mode: str
) -> None:
    replies = await Driver(client).send(
        DISPATCHERS[mode](),
        [
            update("ada", donotemail=True),
            update("unknown", donotemail=True),
            Write(RowId(BOB), Condition.UPDATE_ONLY, {"donotfax": True}),
            Write(RowId(MISSING), Condition.UPDATE_ONLY, {"donotfax": True}),
            update("BOB", firstname="x" * 51),
            LookUp("emailaddress1", "a+b@example.com"),
            create("new-1", lastname="One"),
            create("new-2", lastname="Two"),
            create("ada", lastname="Taken"),
        ],
    )

    expected = [
        (204, ""),
        (404, "0x80060891"),
        (204, ""),
        (404, "0x80040217"),
        (400, "0x80044331"),
        (204, ""),
        (204, ""),
        (204, ""),
        (412, "0x80040237"),
    ]
    assert seen(replies) == expected
    found = replies[5].answer
    assert isinstance(found, Answered)
    assert found.row_ids == (ADA,)
    rows = await table(sandbox)
    assert sorted(rows) == ["ada", "bob", "new-1", "new-2"]
    assert (rows["ada"]["donotemail"], rows["bob"]["donotfax"], rows["new-2"]["lastname"]) == (
        True,
        True,
        "Two",
    )


async def test_good_rows_go_by_bulk_messages_alone(client: DataverseClient) -> None:
    driver = Driver(client)
    dispatcher = BulkDispatcher()
    await driver.send(dispatcher, [update("ada", donotfax=True), update("bob", donotfax=True)])
    await driver.send(dispatcher, [create("x", lastname="X"), create("y", lastname="Y")])

    assert driver.kinds == [
        CallKind.METADATA,
        CallKind.METADATA,
        CallKind.BATCH,
        CallKind.UPDATE_MULTIPLE,
        CallKind.CREATE_MULTIPLE,
    ]


async def test_no_row_is_named_twice_in_one_call(client: DataverseClient, sandbox: SandboxServer) -> None:
    """The later write of a row goes later, whichever way the row is named."""
    driver = Driver(client)
    replies = await driver.send(
        BulkDispatcher(),
        [
            update("ada", firstname="first"),
            update("bob", firstname="bob"),
            update("ADA", firstname="second"),
            Write(RowId(ADA), Condition.UPDATE_ONLY, {"firstname": "third"}),
        ],
    )

    assert seen(replies) == [(204, "")] * 4
    assert driver.rows[2:] == [3, 2, 2]
    assert (await table(sandbox))["ada"]["firstname"] == "third"


async def test_a_row_lost_between_reading_and_writing_fails_alone(
    client: DataverseClient, sandbox: SandboxServer
) -> None:
    gone = {"error": {"code": "0x80040217", "message": "contact With Id Does Not Exist"}}
    fault = {"match": {"path": "CRM.UpdateMultiple"}, "reply": {"status": 404, "body": gone}, "times": 1}
    await control(sandbox, "faults", [fault])
    driver = Driver(client)

    replies = await driver.send(
        BulkDispatcher(), [update("ada", donotfax=True), update("bob", donotfax=True)]
    )

    assert seen(replies) == [(204, "")] * 2
    assert driver.kinds[-2:] == [CallKind.UPDATE_MULTIPLE, CallKind.BATCH]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        pytest.param(429, "0x80072322", id="throttled"),
        pytest.param(413, "", id="too large"),
        pytest.param(500, "0x80044151", id="the database took too long"),
        pytest.param(503, "", id="unavailable"),
    ],
)
async def test_what_no_batch_can_mend_is_not_sent_again(
    client: DataverseClient, sandbox: SandboxServer, status: int, code: str
) -> None:
    body = {"error": {"code": code, "message": "No."}}
    fault = {"match": {"path": "CRM.UpdateMultiple"}, "reply": {"status": status, "body": body}, "times": 1}
    await control(sandbox, "faults", [fault])
    driver = Driver(client)

    replies = await driver.send(
        BulkDispatcher(), [update("ada", donotfax=True), update("bob", donotfax=True)]
    )

    assert seen(replies) == [(status, code)] * 2
    assert driver.kinds[-1] is CallKind.UPDATE_MULTIPLE


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(
            {"match": {"path": "sdkmessagefilters"}, "reply": {"status": 200, "body": {"value": []}}},
            id="the table has none",
        ),
        pytest.param(
            {"match": {"path": "sdkmessagefilters"}, "reply": {"status": 403, "body": ""}},
            id="not to be read",
        ),
        pytest.param(
            {
                "match": {"path": "CRM.UpdateMultiple"},
                "reply": {"status": 404, "body": {"error": {"code": "0x8006088a", "message": "segment"}}},
            },
            id="listed and not there",
        ),
    ],
)
async def test_without_bulk_messages_everything_goes_by_batch(
    client: DataverseClient, sandbox: SandboxServer, fault: dict[str, object]
) -> None:
    await control(sandbox, "faults", [fault])
    dispatcher = BulkDispatcher()
    both = [update("ada", donotfax=True), update("bob", donotfax=True)]
    await Driver(client).send(dispatcher, both)
    driver = Driver(client)

    assert seen(await driver.send(dispatcher, both)) == [(204, "")] * 2
    assert driver.kinds == [CallKind.BATCH]


async def test_an_unanswered_question_is_asked_again(client: DataverseClient, sandbox: SandboxServer) -> None:
    fault = {"match": {"path": "sdkmessagefilters"}, "reply": {"status": 503}, "times": 1}
    await control(sandbox, "faults", [fault])
    dispatcher = BulkDispatcher()
    both = [update("ada", donotfax=True), update("bob", donotfax=True)]
    await Driver(client).send(dispatcher, both)
    driver = Driver(client)

    await driver.send(dispatcher, both)

    assert driver.kinds[-1] is CallKind.UPDATE_MULTIPLE


@pytest.mark.parametrize("mode", MODES)
async def test_without_a_permit_nothing_is_sent(client: DataverseClient, mode: str) -> None:
    driver = Driver(client, permits=0)

    replies = await driver.send(DISPATCHERS[mode](), [update("ada", donotfax=True)] * 2)

    assert [reply.answer for reply in replies] == [NotAttempted(), NotAttempted()]
    assert driver.kinds == []


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param({"status": 429, "headers": {"Retry-After": "9"}}, id="throttled"),
        pytest.param({"status": 502, "body": "<html>"}, id="a gateway"),
    ],
)
async def test_one_by_one_ends_with_the_first_call_whose_failure_the_next_would_share(
    client: DataverseClient, sandbox: SandboxServer, reply: dict[str, object]
) -> None:
    await control(sandbox, "faults", [{"match": {"method": "PATCH"}, "reply": reply}])
    driver = Driver(client)

    replies = await driver.send(SingleDispatcher(), [update("ada", donotfax=True)] * 3)

    assert seen(replies) == [(reply["status"], ""), "NotAttempted", "NotAttempted"]
    assert len(driver.kinds) == 1


async def test_one_by_one_goes_on_after_a_bad_row(client: DataverseClient) -> None:
    replies = await Driver(client).send(
        SingleDispatcher(), [update("ada", firstname="x" * 51), update("bob", donotfax=True)]
    )

    assert seen(replies) == [(400, "0x80044331"), (204, "")]


@pytest.mark.parametrize("mode", MODES)
async def test_a_page_instead_of_an_answer_is_no_success(
    client: DataverseClient, sandbox: SandboxServer, mode: str
) -> None:
    fault = {"match": {"path": "/api/"}, "reply": {"status": 200, "body": "<html>Welcome</html>"}}
    await control(sandbox, "faults", [fault])

    replies = await Driver(client).send(DISPATCHERS[mode](), [update("ada", donotfax=True)])

    (reply,) = replies
    assert reply.is_whole_call
