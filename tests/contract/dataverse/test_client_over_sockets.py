"""What real sockets do to a call: the port is closed, the peer hangs up, the certificate is not trusted."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest
from tests.clocks import FrozenClock

from didomi_dataverse.dataverse.auth.credentials import ClientSecret
from didomi_dataverse.dataverse.auth.token_cache import TokenCache
from didomi_dataverse.dataverse.calls import BatchCall
from didomi_dataverse.dataverse.client import DataverseClient
from didomi_dataverse.dataverse.factory import create_client
from didomi_dataverse.dataverse.replies import Unknown, UnknownCause
from didomi_dataverse.dataverse.requests import Condition, RowId, Write

from .fakes import FakeEntra, answers

WRITE = Write(RowId("6f1c2d3e-0000-4000-8000-00000000abcd"), Condition.UPDATE_ONLY, {"donotemail": True})

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(peer: Peer) -> AsyncIterator[int]:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await peer(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def calling(port: int, *, read_s: float = 10.0) -> AsyncIterator[DataverseClient]:
    clock = FrozenClock()
    client = DataverseClient(
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=httpx.Timeout(10.0, read=read_s)),
        TokenCache(FakeEntra().opener(), scope="s", clock=clock),
        api_path="/api/data/v9.2",
        clock=clock,
        longest_call=timedelta(seconds=30),
    )
    try:
        yield client
    finally:
        await client.aclose()


async def read_request(reader: asyncio.StreamReader) -> None:
    """To its last byte, so that whatever is done next happens after the request was received."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    await reader.readexactly(length)


async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await read_request(reader)


async def hang_up_in_the_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Length: 500\r\n\r\n--b\r\n"
    )
    await writer.drain()


async def answer_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
    await writer.drain()


@pytest.mark.parametrize("peer", [hang_up, hang_up_in_the_answer, answer_nonsense])
async def test_an_answer_that_is_cut_leaves_the_outcome_unknown(peer: Peer) -> None:
    async with listening(peer) as port, calling(port) as client:
        assert answers(await client.send(BatchCall([WRITE]))) == (Unknown(UnknownCause.CUT),)


async def test_an_answer_that_does_not_come_leaves_the_outcome_unknown() -> None:
    answered = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await answered.wait()

    async with listening(say_nothing) as port, calling(port, read_s=0.02) as client:
        assert answers(await client.send(BatchCall([WRITE]))) == (Unknown(UnknownCause.READ_TIMEOUT),)
        answered.set()


async def test_to_a_closed_port_nothing_is_sent() -> None:
    async with listening(hang_up) as port:
        pass
    async with calling(port) as client:
        assert answers(await client.send(BatchCall([WRITE]))) == (
            Unknown(UnknownCause.CONNECT_FAILED, sent=False),
        )


async def test_a_peer_without_tls_is_told_from_one_that_is_not_there() -> None:
    """An operator looks elsewhere for it: at the certificates, not at the network."""
    clock = FrozenClock()

    async def speak_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with listening(speak_plainly) as port:
        client = DataverseClient(
            httpx.AsyncClient(base_url=f"https://127.0.0.1:{port}", verify=ssl.create_default_context()),
            TokenCache(FakeEntra().opener(), scope="s", clock=clock),
            api_path="/api/data/v9.2",
            clock=clock,
            longest_call=timedelta(seconds=30),
        )
        try:
            assert answers(await client.send(BatchCall([WRITE]))) == (
                Unknown(UnknownCause.TLS_FAILED, sent=False),
            )
        finally:
            await client.aclose()


async def test_a_new_client_makes_no_call_by_itself() -> None:
    client = create_client(
        url="https://acme.crm4.dynamics.com",
        tenant_id="acme",
        client_id="app",
        credential=ClientSecret("s3cret"),
        authority=None,
        api_path="/api/data/v9.2",
        ca_bundle=None,
        connect_timeout=timedelta(seconds=10),
        read_timeout=timedelta(seconds=120),
        max_parallel=4,
        clock=FrozenClock(),
    )
    await client.aclose()

    assert client.longest_call > timedelta(seconds=130)
