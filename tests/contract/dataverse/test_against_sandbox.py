"""The client with an unmodified MSAL against the sandbox, over TLS. The two share no code."""

import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import certifi
import httpx
import pytest
import pytest_asyncio

from dataverse_sandbox import SandboxServer, running_sandbox
from didomi_dataverse.clock import SystemClock
from didomi_dataverse.dataverse.auth.credentials import ClientSecret
from didomi_dataverse.dataverse.calls import BatchCall
from didomi_dataverse.dataverse.client import DataverseClient
from didomi_dataverse.dataverse.errors.entry import Action
from didomi_dataverse.dataverse.factory import create_client
from didomi_dataverse.dataverse.keys import fits_key_url
from didomi_dataverse.dataverse.replies import Answer, Answered, Unknown, UnknownCause
from didomi_dataverse.dataverse.requests import AlternateKey, Condition, JsonScalar, LookUp, RowId, Write
from didomi_dataverse.errors import TokenRefusedError, TokenUnavailableError

from .fakes import answers

ADA = "00000000-0000-4000-8000-00000000000a"
BOB = "00000000-0000-4000-8000-00000000000b"
MISSING = "00000000-0000-4000-8000-00000000dead"


# One sandbox for all of these tests, so one event loop as well: starting it takes longer than they do.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SandboxServer]:
    async with running_sandbox(tmp_path_factory.mktemp("sandbox")) as server:
        yield server


def opened(sandbox: SandboxServer, **changed: Any) -> DataverseClient:  # noqa: ANN401 - arguments of all types
    arguments: dict[str, Any] = {
        "url": sandbox.url,
        "tenant_id": sandbox.identity.tenant_id,
        "client_id": sandbox.identity.client_id,
        "credential": ClientSecret(sandbox.identity.client_secret),
        "authority": sandbox.authority,
        "api_path": "/api/data/v9.2",
        "ca_bundle": sandbox.ca_bundle,
        "connect_timeout": timedelta(seconds=10),
        "read_timeout": timedelta(seconds=30),
        "max_parallel": 4,
        "clock": SystemClock(),
    }
    return create_client(**(arguments | changed))


@pytest_asyncio.fixture(loop_scope="module")
async def client(sandbox: SandboxServer) -> AsyncIterator[DataverseClient]:
    client = opened(sandbox)
    yield client
    await client.aclose()


class Control:
    """The sandbox's control routes (docs/sandbox.md)."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def put(self, route: str, document: object) -> None:
        answer = await self._http.put(f"/_sandbox/{route}", json=document)
        assert answer.status_code == 200, answer.text

    async def get(self, route: str) -> Any:  # noqa: ANN401 - JSON
        return (await self._http.get(f"/_sandbox/{route}")).json()

    async def row(self, contactid: str) -> dict[str, Any]:
        rows: list[dict[str, Any]] = await self.get("contacts")
        return next(row for row in rows if row["contactid"] == contactid)


@pytest_asyncio.fixture(loop_scope="module")
async def control(sandbox: SandboxServer) -> AsyncIterator[Control]:
    trusted = ssl.create_default_context(cafile=str(sandbox.ca_bundle))
    async with httpx.AsyncClient(base_url=sandbox.url, verify=trusted) as http:
        control = Control(http)
        await http.post("/_sandbox/reset")
        await control.put(
            "contacts",
            [
                {"contactid": ADA, "new_didomikey": "Zoë O'Neil", "emailaddress1": "a+b@example.com"},
                {"contactid": BOB, "new_didomikey": "u-43", "emailaddress1": "twice@example.com"},
                {"contactid": MISSING.replace("dead", "cccc"), "emailaddress1": "twice@example.com"},
            ],
        )
        yield control


def update(key: str, **columns: JsonScalar) -> Write:
    return Write(AlternateKey("new_didomikey", key), Condition.UPDATE_ONLY, columns)


def unsigned(found: Sequence[Answer]) -> tuple[Answer, ...]:
    """Without the ids that the server gave its answers; each answer has one."""
    assert all(isinstance(answer, Answered) and answer.request_id for answer in found)
    return tuple(
        replace(answer, request_id="") if isinstance(answer, Answered) else answer for answer in found
    )


def seen(found: Sequence[Answer]) -> list[tuple[int, str, str]]:
    return [
        (answer.status, answer.code, answer.name) if isinstance(answer, Answered) else (0, "", repr(answer))
        for answer in found
    ]


async def test_a_key_of_any_script_and_a_quote_reach_the_row(
    client: DataverseClient, control: Control
) -> None:
    exchange = await client.send(BatchCall([update("Zoë O'Neil", donotemail=True, firstname="Zoë, 日本 😀")]))

    assert seen(answers(exchange)) == [(204, "", "")]
    row = await control.row(ADA)
    assert (row["donotemail"], row["firstname"]) == (True, "Zoë, 日本 😀")


async def test_every_condition_meets_its_answer(client: DataverseClient, control: Control) -> None:
    """dataverse.md 2.1 and 2.3, in one batch; a refused part stops nothing after it."""
    new = Write(AlternateKey("new_didomikey", "u-new"), Condition.CREATE_ONLY, {"lastname": "New"})
    taken = Write(AlternateKey("new_didomikey", "u-43"), Condition.CREATE_ONLY, {"lastname": "Taken"})
    gone = Write(RowId(MISSING), Condition.UPDATE_ONLY, {"donotemail": True})
    by_id = Write(RowId(BOB), Condition.UPDATE_ONLY, {"donotemail": True})

    exchange = await client.send(BatchCall([update("u-none", donotemail=True), taken, gone, new, by_id]))

    assert seen(answers(exchange)) == [
        (404, "0x80060891", "RecordNotFoundByEntityKey"),
        (412, "0x80040237", "DuplicateRecord"),
        (404, "0x80040217", "ObjectDoesNotExist"),
        (204, "", ""),
        (204, "", ""),
    ]
    assert (await control.row(BOB))["donotemail"] is True
    assert "new_didomikey" in next(
        row for row in await control.get("contacts") if row.get("new_didomikey") == "u-new"
    )


@pytest.mark.usefixtures("control")
async def test_a_look_up_finds_what_no_key_can_carry(client: DataverseClient) -> None:
    assert not fits_key_url("a+b@example.com")

    exchange = await client.send(
        BatchCall(
            [
                LookUp("emailaddress1", "a+b@example.com"),
                LookUp("emailaddress1", "A+B@EXAMPLE.COM"),
                LookUp("emailaddress1", "twice@example.com"),
                LookUp("emailaddress1", "twice@example.com", at_most=1),
                LookUp("new_didomikey", "Zoë O'Neil"),
                LookUp("emailaddress1", "a b@example.com"),
            ]
        )
    )

    rows = [reply.row_ids for reply in answers(exchange) if isinstance(reply, Answered)]
    assert rows[:2] == [(ADA,), (ADA,)]
    assert [len(found) for found in rows[2:]] == [2, 1, 1, 0]


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        pytest.param("donotemail", 1, "0x0", id="number for Yes/No"),
        pytest.param("new_misspelt", True, "0x80048d19", id="no such column"),
        pytest.param("firstname", "x" * 51, "0x80044331", id="text too long"),
        pytest.param("new_profiling", 7, "0x8004431a", id="no such option"),
    ],
)
async def test_a_bad_row_delays_only_itself(
    client: DataverseClient, control: Control, column: str, value: JsonScalar, code: str
) -> None:
    exchange = await client.send(
        BatchCall([update("u-43", **{column: value}), update("Zoë O'Neil", donotemail=True)])
    )

    first, second = answers(exchange)
    assert isinstance(first, Answered)
    assert (first.code, exchange.replies[0].action) == (code, Action.DEAD)
    assert unsigned([second]) == (Answered(status=204),)
    assert (await control.row(ADA))["donotemail"] is True


@pytest.mark.usefixtures("control")
async def test_no_cookie_is_kept(client: DataverseClient) -> None:
    """The sandbox sets one on every answer (dataverse.md 4.1)."""
    await client.send(BatchCall([update("u-43", donotemail=True)]))

    assert len(client._http.cookies.jar) == 0


async def test_a_throttled_call_says_how_long_to_wait(client: DataverseClient, control: Control) -> None:
    await control.put("limits", {"enforce": True, "requests": 1, "window_seconds": 300})
    await client.send(BatchCall([update("u-43", donotemail=True)]))

    throttled = await client.send(BatchCall([update("u-43", donotemail=False)]))
    (reply,) = answers(throttled)

    assert isinstance(reply, Answered)
    assert (reply.status, reply.code, reply.whole_call) == (429, "0x80072322", True)
    assert reply.retry_after is not None
    assert throttled.replies[0].action is Action.WAIT


async def test_a_connection_cut_after_the_commit_is_unknown_and_written(
    client: DataverseClient, control: Control
) -> None:
    await control.put("faults", [{"match": {"path": "$batch"}, "behaviour": "cut_after_commit", "times": 1}])

    assert answers(await client.send(BatchCall([update("u-43", donotemail=True)]))) == (
        Unknown(UnknownCause.CUT),
    )
    assert (await control.row(BOB))["donotemail"] is True


async def test_a_gateway_s_page_is_a_reply_for_each(client: DataverseClient, control: Control) -> None:
    await control.put("faults", [{"match": {"path": "$batch"}, "behaviour": "html", "times": 1}])

    exchange = await client.send(BatchCall([update("u-43", donotemail=True)] * 2))

    page = Answered(status=502, message="a page instead of an answer: 502 Bad Gateway", whole_call=True)
    assert answers(exchange) == (page, page)


async def test_a_refused_token_is_renewed_and_the_call_repeated(
    client: DataverseClient, control: Control
) -> None:
    await client.send(BatchCall([update("u-43", donotemail=False)]))
    fault = {"match": {"path": "$batch"}, "reply": {"status": 401, "headers": {}, "body": ""}, "times": 1}
    await control.put("faults", [fault])

    exchange = await client.send(BatchCall([update("u-43", donotemail=True)]))

    assert unsigned(answers(exchange)) == (Answered(status=204),)


async def test_a_fault_in_one_part_is_that_part_s_alone(client: DataverseClient, control: Control) -> None:
    busy = {"error": {"code": "0x80044150", "message": "Generic SQL error."}}
    fault = {
        "match": {"method": "PATCH", "columns": {"new_didomikey": "u-43"}},
        "reply": {"status": 500, "headers": {"Content-Type": "application/json"}, "body": busy},
        "times": 1,
    }
    await control.put("faults", [fault])

    exchange = await client.send(
        BatchCall([update("u-43", donotemail=True), update("Zoë O'Neil", donotemail=True)])
    )

    assert seen(answers(exchange)) == [(500, "0x80044150", ""), (204, "", "")]


async def test_a_wrong_secret_is_refused_with_advice(sandbox: SandboxServer) -> None:
    client = opened(sandbox, credential=ClientSecret("another"))
    try:
        with pytest.raises(TokenRefusedError, match="AADSTS7000215") as refused:
            await client.send(BatchCall([update("u-43", donotemail=True)]))
    finally:
        await client.aclose()

    shown = str(refused.value)
    assert not [text for text in ("another", sandbox.identity.client_id, "Trace") if text in shown]


@pytest.mark.parametrize(
    ("changed", "advice"),
    [
        pytest.param({"client_id": MISSING}, "client_id", id="application"),
        pytest.param({"tenant_id": MISSING, "authority": "host"}, "tenant_id", id="tenant"),
    ],
)
async def test_a_wrong_setting_is_named(sandbox: SandboxServer, changed: dict[str, str], advice: str) -> None:
    if "authority" in changed:
        changed = changed | {"authority": sandbox.url}
    client = opened(sandbox, **changed)
    try:
        with pytest.raises(TokenRefusedError, match=advice):
            await client.send(BatchCall([update("u-43", donotemail=True)]))
    finally:
        await client.aclose()


async def test_a_certificate_that_is_not_trusted_is_unreachable(sandbox: SandboxServer) -> None:
    client = opened(sandbox, ca_bundle=None)
    try:
        with pytest.raises(TokenUnavailableError, match="SSLCertVerificationError"):
            await client.send(BatchCall([update("u-43", donotemail=True)]))
    finally:
        await client.aclose()


async def test_certificates_of_the_environment_do_not_replace_the_bundle(
    sandbox: SandboxServer, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its own HTTP client MSAL would trust these alone, and refuse what `ca_bundle` says to trust."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, certifi.where())
    client = opened(sandbox)
    try:
        exchange = await client.send(BatchCall([update("u-43", donotemail=True)]))
    finally:
        await client.aclose()

    assert unsigned(answers(exchange)) == (Answered(status=204),)
    assert (await control.row(BOB))["donotemail"] is True


async def test_a_wrong_api_path_is_an_alert(sandbox: SandboxServer) -> None:
    client = opened(sandbox, api_path="/acme/api/data/v9.2")
    try:
        (reply,) = (await client.send(BatchCall([update("u-43", donotemail=True)]))).replies
    finally:
        await client.aclose()

    assert reply.action is Action.ALERT
