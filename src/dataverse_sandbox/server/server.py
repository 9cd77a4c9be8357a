"""The sandbox as a real server: TLS on loopback, in the event loop that it is started in."""

import asyncio
import json
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dataverse_sandbox.entra.identity import SandboxClock, SandboxIdentity
from dataverse_sandbox.server.app import Receive, SandboxApp, Scope
from dataverse_sandbox.server.certificates import ensure_certificates, server_context

_DRAIN_SECONDS = 2
# As long as gateways in the cloud commonly wait: with a few seconds, clients meet a closed connection often.
_IDLE_SECONDS = 120


class _Connections:
    """The open connections by the caller's address, so that the application can cut the one it answers on."""

    def __init__(self) -> None:
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}

    def protocol(self) -> type[asyncio.Protocol]:
        """The server's protocol class, with this register kept by it."""
        transports = self._transports

        class RegisteredProtocol(HttpToolsProtocol):
            address: tuple[str, int] | None = None

            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                peer = transport.get_extra_info("peername")
                self.address = (peer[0], peer[1]) if peer else None
                if self.address is not None:
                    transports[self.address] = transport
                super().connection_made(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                if self.address is not None:
                    transports.pop(self.address, None)
                super().connection_lost(exc)

        return RegisteredProtocol

    async def cut(self, scope: Scope, receive: Receive) -> bool:
        """Abort the connection of this call and wait until the server has noticed."""
        transport = self._transports.get(tuple(scope["client"]))
        if transport is None:
            return False
        transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass
        return True


class _Server(uvicorn.Server):
    """Leaves the signals of the process to whoever started it, and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set()


class SandboxServer:
    """A running sandbox, for one event loop. `directory` receives certificates and secrets."""

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        identity: SandboxIdentity | None = None,
        clock: SandboxClock | None = None,
        accent_sensitive: bool = False,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.identity = identity or ensure_identity(directory)
        self.ca_bundle, self._server_pem = ensure_certificates(directory)
        self._connections = _Connections()
        self.app = SandboxApp(
            self.identity, clock=clock, accent_sensitive=accent_sensitive, cut=self._connections.cut
        )
        self.port = port
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The environment's URL."""
        return f"https://localhost:{self.port}"

    @property
    def authority(self) -> str:
        """The tenant at the sign-in service, as MSAL takes it."""
        return f"{self.url}/{self.identity.tenant_id}"

    async def start(self) -> None:
        """Listen; returns when connections are accepted. Raises OSError when the port is taken."""
        sockets = _listen(self.port)
        self.port = sockets[0].getsockname()[1]
        context = server_context(self._server_pem)

        def tls(_config: uvicorn.Config, _default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
            return context

        config = uvicorn.Config(
            self.app,
            http=self._connections.protocol(),
            ssl_context_factory=tls,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=512,
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
        server = self._server = _Server(config)
        self._serving = asyncio.create_task(server.serve(sockets=sockets))
        listening = asyncio.create_task(server.listening.wait())
        await asyncio.wait({self._serving, listening}, return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            listening.cancel()
            await self._serving

    async def stop(self) -> None:
        """Finish what is under way (briefly) and close."""
        if self._server is None or self._serving is None:
            return
        self._server.should_exit = True
        await self._serving
        self._server = self._serving = None


@asynccontextmanager
async def running_sandbox(
    directory: Path,
    *,
    port: int = 0,
    clock: SandboxClock | None = None,
    accent_sensitive: bool = False,
) -> AsyncIterator[SandboxServer]:
    """A sandbox for as long as the block runs."""
    server = SandboxServer(directory, port=port, clock=clock, accent_sensitive=accent_sensitive)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def _add_nothing(_server: SandboxServer) -> Mapping[str, str]:
    return {}


async def run_sandbox(
    port: int,
    directory: Path,
    *,
    announce: Callable[[str], None] = print,
    add_to_ready_line: Callable[[SandboxServer], Mapping[str, str]] = _add_nothing,
) -> int:
    """Serve until SIGINT or SIGTERM, then return 0.

    `announce` gets one JSON line as soon as connections are accepted: `ready_line` and whatever members
    `add_to_ready_line` returns for the running server, such as the path of a file that it wrote.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    try:
        async with running_sandbox(directory, port=port) as server:
            announce(json.dumps({**ready_line(server), **add_to_ready_line(server)}))
            await stopping.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    return 0


def ready_line(server: SandboxServer) -> dict[str, str]:
    """What a client must know: addresses, the tenant, the credential and the certificate authority."""
    return {
        "url": server.url,
        "authority": server.authority,
        "tenant_id": server.identity.tenant_id,
        "client_id": server.identity.client_id,
        "client_secret": server.identity.client_secret,
        "ca_bundle": str(server.ca_bundle.resolve()),
    }


def ensure_identity(directory: Path) -> SandboxIdentity:
    """The identity kept in the folder, so that a restart still knows its callers; a new one at first."""
    path = directory / "identity.json"
    with suppress(OSError, ValueError, TypeError):
        known: dict[str, Any] = json.loads(path.read_text())
        return SandboxIdentity(**known)
    identity = SandboxIdentity()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(identity.document(), file)
    return identity


def _listen(port: int) -> list[socket.socket]:
    """Sockets on 127.0.0.1 and, where the machine has it, ::1, on the same port."""
    sockets = [_bound(socket.AF_INET, "127.0.0.1", port)]
    # `localhost` may mean ::1 first; without IPv6 callers fall back to 127.0.0.1 by themselves.
    with suppress(OSError):
        sockets.append(_bound(socket.AF_INET6, "::1", sockets[0].getsockname()[1]))
    return sockets


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    # asyncio sends without delay only where the protocol is named: measured, 44 ms for a GET became 2 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener
