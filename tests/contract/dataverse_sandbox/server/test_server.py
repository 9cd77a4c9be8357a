"""The sandbox over real TLS on loopback: unmodified clients, cut connections, signals."""

import asyncio
import json
import os
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msal  # type: ignore[import-untyped]
import pytest

from dataverse_sandbox import SandboxServer, running_sandbox
from dataverse_sandbox.server.certificates import ensure_certificates

ROW = "/api/data/v9.2/contacts(new_didomikey='customer-0001')"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SandboxServer]:
    async with running_sandbox(tmp_path) as running:
        yield running


def strict_context(ca_bundle: Path) -> ssl.SSLContext:
    """What Python 3.13 verifies by default."""
    context = ssl.create_default_context(cafile=ca_bundle)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def acquire(server: SandboxServer, secret: str) -> dict[str, object]:
    application = msal.ConfidentialClientApplication(
        server.identity.client_id,
        authority=server.authority,
        client_credential=secret,
        instance_discovery=False,
        verify=str(server.ca_bundle),
    )
    try:
        return dict(application.acquire_token_for_client([f"{server.url}/.default"]))
    finally:
        application.http_client.close()


async def connected(server: SandboxServer) -> httpx.AsyncClient:
    answer = await asyncio.to_thread(acquire, server, server.identity.client_secret)
    return httpx.AsyncClient(
        base_url=server.url,
        verify=strict_context(server.ca_bundle),
        headers={"Authorization": f"Bearer {answer['access_token']}"},
    )


async def test_msal_gets_a_token_that_the_web_api_takes(server: SandboxServer) -> None:
    async with await connected(server) as client:
        assert (await client.get("/api/data/v9.2/WhoAmI")).status_code == 200


async def test_msal_gets_an_error_dictionary_for_a_wrong_secret(server: SandboxServer) -> None:
    answer = await asyncio.to_thread(acquire, server, "wrong")

    assert (answer["error"], answer["error_codes"]) == ("invalid_client", [7000215])


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
async def test_each_loopback_name_is_certified(server: SandboxServer, host: str) -> None:
    async with httpx.AsyncClient(verify=strict_context(server.ca_bundle)) as client:
        try:
            response = await client.get(f"https://{host}:{server.port}/_sandbox/limits")
        except httpx.ConnectError:
            assert host == "[::1]", "only IPv6 may be missing on a machine"
            return

    assert response.status_code == 200


async def test_other_authorities_do_not_certify_it(server: SandboxServer) -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.get(f"{server.url}/_sandbox/limits")


@pytest.mark.parametrize(("behaviour", "written"), [("cut_before", False), ("cut_after_commit", True)])
async def test_a_cut_is_a_connection_error_without_an_answer(
    server: SandboxServer,
    behaviour: str,
    written: bool,
) -> None:
    fault = {"match": {"method": "PATCH"}, "behaviour": behaviour, "times": 1}
    async with await connected(server) as client:
        await client.put("/_sandbox/faults", json=[fault])

        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await client.patch(ROW, json={"donotemail": True})

        assert (await client.get(ROW)).json()["donotemail"] is written


class MeetingClock:
    """Real time, but a sleep ends only when the expected number of calls sleep."""

    def __init__(self, expected: int) -> None:
        self._meeting = asyncio.Barrier(expected)

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:  # noqa: ARG002 - time is not what it waits for
        await self._meeting.wait()


async def test_calls_run_side_by_side(tmp_path: Path) -> None:
    async with (
        running_sandbox(tmp_path, clock=MeetingClock(5)) as server,
        await connected(server) as client,
    ):
        await client.put("/_sandbox/limits", json={"call_ms": 1})
        await asyncio.gather(*[client.patch(ROW, json={"donotemail": True}) for _ in range(5)])

        stats = (await client.get("/_sandbox/stats")).json()
        assert (stats["peak_parallel"], stats["peak_writers_per_row"]) == (5, 5)


async def test_a_restart_in_the_same_folder_keeps_trust_and_secrets(tmp_path: Path) -> None:
    async with running_sandbox(tmp_path) as first:
        identity, ca = first.identity, first.ca_bundle.read_bytes()
    async with running_sandbox(tmp_path, port=first.port) as second:
        assert (second.identity, second.ca_bundle.read_bytes()) == (identity, ca)
        async with await connected(second) as client:
            assert (await client.get("/api/data/v9.2/WhoAmI")).status_code == 200


async def test_a_port_in_use_is_reported_at_once(server: SandboxServer, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="in use"):
        await SandboxServer(tmp_path, port=server.port).start()


async def test_secrets_are_for_their_owner_only(server: SandboxServer) -> None:
    for name in ("server.pem", "identity.json"):
        assert (server.directory / name).stat().st_mode & 0o077 == 0
    assert server.identity.client_secret not in repr(server.identity)


def test_certificates_are_renewed_before_they_run_out(tmp_path: Path) -> None:
    made_at = datetime(2026, 1, 1, tzinfo=UTC)
    authority, _ = ensure_certificates(tmp_path, made_at)
    first = authority.read_bytes()

    ensure_certificates(tmp_path, made_at + timedelta(days=300))
    assert authority.read_bytes() == first
    ensure_certificates(tmp_path, made_at + timedelta(days=360))
    assert authority.read_bytes() != first


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_command_says_when_it_is_ready_and_ends_by_signal(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dataverse_sandbox", "--dir", str(tmp_path),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        ready = json.loads(await process.stdout.readline())
        async with httpx.AsyncClient(verify=strict_context(Path(ready["ca_bundle"]))) as client:
            rows = (await client.get(f"{ready['url']}/_sandbox/contacts")).json()
        process.send_signal(number)
        rest, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert (process.returncode, rest) == (0, b"")
    assert len(rows) == 8
