"""Bodies and requests made to hurt: answered at once, stored or refused, and nothing grows without bound."""

import json
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from didomi_dataverse.didomi.notification import parse_notifications
from didomi_dataverse.errors import NotJsonError
from didomi_dataverse.ledger.read_models import NotificationFilter
from tests.clocks import FrozenClock
from tests.contract.ledger.steps import open_ledger
from tests.service.whole_app import LET_IN, open_app
from tests.unit.didomi.bodies import created, encode, event

MEBIBYTE = 1_048_576


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with open_app(tmp_path) as opened:
        yield opened


async def last(folder: Path) -> tuple[str, str | None]:
    """What became of the notification that was stored last, as `notifications list` would say it."""
    ledger = await open_ledger(f"sqlite:///{folder}/ledger.db", clock=FrozenClock())
    try:
        (logged,) = await ledger.reader.list_notifications(NotificationFilter(limit=1))
    finally:
        await ledger.close()
    return logged.disposition.value, None if logged.reason is None else logged.reason.value


def by(person: object, *, event_id: str = "E1") -> bytes:
    return encode(created(event(id=event_id, user={"id": "U1", "organization_user_id": person})))


def with_purposes(*entries: dict[str, Any]) -> bytes:
    return encode(created(event(list(entries))))


DEEP = b'{"type":"event.created","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
MANY = [{"id": f"purpose-{n}", "enabled": True} for n in range(10_000)]


@pytest.mark.parametrize(
    ("body", "became"),
    [
        pytest.param(by("a\x00b"), ("parked", "identity_unusable"), id="NUL in the identifier"),
        pytest.param(by("a\ud800"), ("parked", "identity_unusable"), id="half a surrogate pair in it"),
        pytest.param(by("a", event_id="E\x00\ud800"), ("applied", None), id="both in the event's id"),
        pytest.param(
            with_purposes({"id": "p\x00", "enabled": True}), ("parked", "malformed"), id="NUL in a purpose"
        ),
        pytest.param(by(42), ("applied", None), id="a number for an identifier"),
        pytest.param(by(True), ("parked", "identity_unusable"), id="a switch for an identifier"),
        pytest.param(by(1.5), ("parked", "identity_unusable"), id="a fraction for an identifier"),
        pytest.param(by("x" * 10_000), ("parked", "identity_unusable"), id="an identifier of 10,000"),
        pytest.param(by("a", event_id="E" * 10_000), ("applied", None), id="an event id of 10,000"),
        pytest.param(
            with_purposes({"id": "p" * 10_000, "enabled": True}),
            ("parked", "malformed"),
            id="a purpose id of 10,000",
        ),
        pytest.param(encode(created(event(MANY))), ("parked", "too_large"), id="10,000 purposes"),
        pytest.param(
            with_purposes({"id": "p", "values": {"remark": {"value": "x" * 300_000}}}),
            ("applied", None),
            id="a long text",
        ),
        pytest.param(
            with_purposes({"id": "p", "values": {"remark": {"value": "x" * 900_000}}}),
            ("parked", "too_large"),
            id="a text that no contact can hold",
        ),
        pytest.param(
            encode(created(event())).replace(b'"enabled": true', b'"enabled": false, "enabled": true'),
            ("parked", "malformed"),
            id="a key twice",
        ),
        pytest.param(DEEP, ("parked", "not_json"), id="nested 100,000 deep"),
        pytest.param(b'{"a": NaN}', ("parked", "not_json"), id="NaN"),
        pytest.param(b'{"a": "\xff\xfe"}', ("parked", "not_json"), id="not UTF-8"),
        pytest.param(b'{"a": ' + b"9" * 1_000_000 + b"}", ("parked", "malformed"), id="a long number"),
    ],
)
async def test_a_bad_body_is_kept_with_its_reason(
    client: httpx.AsyncClient, tmp_path: Path, body: bytes, became: tuple[str, str | None]
) -> None:
    assert len(body) <= MEBIBYTE
    answer = await client.post("/webhooks/didomi", content=body, headers=LET_IN)
    assert answer.status_code == (400 if became[1] == "not_json" else 202)
    assert await last(tmp_path) == became


async def test_a_body_of_ten_mebibytes_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/webhooks/didomi", content=b"{" + b" " * 10 * MEBIBYTE, headers=LET_IN)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"a":[' + b"[]," * 349_000 + b"[]]}", id="empty lists"),
        pytest.param(b'{"a":[' + b"{}," * 349_000 + b"{}]}", id="empty objects"),
        pytest.param(b'{"a":"' + b"\\u0000" * 174_000 + b'"}', id="escapes"),
        pytest.param(
            b'{"type":"event.created",' + b",".join(b'"entity__a%d__b":1' % n for n in range(45_000)) + b"}",
            id="flat keys",
        ),
        pytest.param(b"[" + b"{}," * 349_000 + b"{}]", id="more notifications than allowed"),
    ],
)
def test_the_memory_that_a_body_takes_is_bounded(body: bytes) -> None:
    """Some hundred bytes for each of its own, whatever it holds."""
    assert len(body) <= MEBIBYTE
    tracemalloc.start()
    try:
        parse_notifications(body)
    except NotJsonError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 150 * MEBIBYTE


INJECTED = "x\r\nSet-Cookie: a=b"


@pytest.mark.parametrize("member", ["client_id", "client_secret", "scope", "grant_type"])
@pytest.mark.parametrize("as_json", [True, False], ids=["JSON", "form"])
async def test_no_token_request_can_write_a_header(
    client: httpx.AsyncClient, member: str, *, as_json: bool
) -> None:
    fields = {"client_id": "didomi", "client_secret": "another-long-secret", member: INJECTED}
    answer = await (
        client.post("/oauth/token", content=json.dumps(fields).encode())
        if as_json
        else client.post("/oauth/token", data=fields)
    )
    assert answer.status_code in {400, 401}
    assert "set-cookie" not in answer.headers
    assert not any("\n" in value or "\r" in value for value in answer.headers.values())
    assert "a=b" not in answer.text
