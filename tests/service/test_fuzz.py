"""No caller can make the service fail: every request is stored or refused, and none is answered 5xx.

A short run here; docs/howto/fuzz.md says how to look for longer.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service.whole_app import LET_IN, open_app

shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The whole application; the examples of one test share its store."""
    async with open_app(tmp_path) as opened:
        yield opened


words = st.text(max_size=8) | st.sampled_from(
    ["newsletter", "E1", "U1", "acme", "gdpr", "\x00", "\ud800", "__"]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | words
anything = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(words, below, max_size=3),
    max_leaves=8,
)
TYPES = ["event.created", "event.updated", "event.deleted", "user.created", "user.updated", "user.deleted"]
choices = st.fixed_dictionaries(
    {"id": words},
    optional={
        "enabled": anything,
        "enabled_li": anything,
        "values": st.dictionaries(words, st.fixed_dictionaries({"value": anything}) | anything, max_size=3),
        "channels": anything,
        "preferences": anything,
    },
)
entities = st.fixed_dictionaries(
    {"id": words, "user": st.fixed_dictionaries({"id": words, "organization_user_id": scalars}) | anything},
    optional={
        "organization_id": words,
        "organization_user_id": scalars,
        "created_at": st.datetimes().map(str) | scalars,
        "updated_at": st.datetimes().map(str) | scalars,
        "status": scalars,
        "version": scalars,
        "metadata": anything,
        "consents": st.fixed_dictionaries({"purposes": st.lists(choices, max_size=3)}) | anything,
    },
)
parameters = st.fixed_dictionaries(
    {}, optional={"entity": entities, "new_entity": entities, "old_entity": entities, "source": anything}
)
envelopes = st.fixed_dictionaries(
    {"type": st.sampled_from(TYPES) | words, "parameters": parameters | anything},
    optional={"regulation": words | anything},
)
flat = st.dictionaries(
    st.lists(
        words | st.sampled_from(["consents", "purposes", "enabled", "0", "values"]), min_size=1, max_size=6
    ).map(lambda parts: "__".join(["entity", *parts])),
    anything,
    max_size=8,
).map(lambda members: {"type": "event.created", **members})


@shared
@given(st.binary(max_size=200))
async def test_any_bytes_are_stored_or_refused(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/webhooks/didomi", content=body, headers=LET_IN)
    assert answer.status_code in {202, 400}


@shared
@given(envelopes | st.lists(envelopes, max_size=3) | flat | anything)
async def test_any_json_is_stored_or_refused(client: httpx.AsyncClient, body: object) -> None:
    answer = await client.post("/webhooks/didomi", content=json.dumps(body).encode(), headers=LET_IN)
    assert answer.status_code in {202, 400}


header_values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=30).map(
    lambda text: text.encode("latin-1")
)
credentials = st.fixed_dictionaries(
    {},
    optional={
        "grant_type": st.just("client_credentials") | words,
        "client_id": st.just("didomi") | words,
        "client_secret": st.just("another-long-secret") | words,
        "scope": words,
    },
)


@shared
@given(
    st.binary(max_size=100) | (credentials | anything).map(lambda found: json.dumps(found).encode()),
    st.dictionaries(st.sampled_from([b"Authorization", b"Content-Type", b"X-Forwarded-For"]), header_values),
)
async def test_any_token_request_is_answered(
    client: httpx.AsyncClient, body: bytes, headers: dict[bytes, bytes]
) -> None:
    answer = await client.post("/oauth/token", content=body, headers=headers)
    assert answer.status_code in {200, 400, 401, 429}


@shared
@given(
    st.dictionaries(
        st.sampled_from([b"Authorization", b"X-Webhook-Secret", b"Content-Length"]), header_values
    )
)
async def test_any_header_is_accepted_or_refused(
    client: httpx.AsyncClient, headers: dict[bytes, bytes]
) -> None:
    answer = await client.post("/webhooks/didomi", content=b"{}", headers=headers)
    assert answer.status_code in {202, 401, 413}
