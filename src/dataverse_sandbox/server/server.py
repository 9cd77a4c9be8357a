"""The sandbox as a real server: TLS on loopback, in the event loop that starts it."""

import asyncio
import json
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dataverse_sandbox.entra.identity import SandboxIdentity, load_or_create_identity
from dataverse_sandbox.server.app import Receive, SandboxApp, Scope
from dataverse_sandbox.server.certificates import ensure_certificates, server_context
from dataverse_sandbox.server.clock import SandboxClock

_DRAIN_SECONDS = 2
"""How long running calls may take to end after a stop. Too small: they are cut. Too large: a slow stop."""

_IDLE_SECONDS = 120
"""How long an idle connection stays open: as long as gateways in the cloud commonly keep it.

Too small: clients often find their connection closed. Too large: unused connections stay open.
"""


class _Connections:
    """The open connections by the caller's address, so that the application can cut one."""

    def __init__(self) -> None:
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}

    def protocol(self) -> type[asyncio.Protocol]:
        """A protocol class for the server that adds and removes its connections here."""
        transports = self._transports

        class RegisteringProtocol(HttpToolsProtocol):
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

        return RegisteringProtocol

    async def cut(self, scope: Scope, receive: Receive) -> bool:
        """Abort the connection of this call and wait until the server has noticed. False: it is not known."""
        transport = self._transports.get(tuple(scope["client"]))
        if transport is None:
            return False
        transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass
        return True


class _Server(uvicorn.Server):
    """A server that leaves the signals of the process alone, and states when it listens."""

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
    """A sandbox that can be started and stopped in one event loop."""

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        identity: SandboxIdentity | None = None,
        clock: SandboxClock | None = None,
        accent_sensitive: bool = False,
    ) -> None:
        """`directory` receives certificates and secrets. `port` 0 takes a free port when it starts.

        Without an `identity`, the one kept in the directory is used. `accent_sensitive`: see SandboxOptions.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.identity = identity or load_or_create_identity(directory)
        self.ca_bundle, self._server_pem = ensure_certificates(directory)
        self._connections = _Connections()
        self.app = SandboxApp(
            self.identity,
            clock=clock,
            accent_sensitive=accent_sensitive,
            cut_connection=self._connections.cut,
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
        """The URL of the tenant at the sign-in service, as MSAL expects it."""
        return f"{self.url}/{self.identity.tenant_id}"

    async def start(self) -> None:
        """Start to listen; return when connections are accepted. Raises OSError when the port is taken."""
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
        """Let running calls end, for a short time, and close."""
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
    """A sandbox that runs as long as the block. Raises OSError when the port is taken."""
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

    `announce` gets one JSON line as soon as connections are accepted: `ready_line`, and the members that
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
    """What a client needs: addresses, the tenant, the credential and the certificate authority."""
    return {
        "url": server.url,
        "authority": server.authority,
        "tenant_id": server.identity.tenant_id,
        "client_id": server.identity.client_id,
        "client_secret": server.identity.client_secret,
        "ca_bundle": str(server.ca_bundle.resolve()),
    }


def _listen(port: int) -> list[socket.socket]:
    """Sockets on 127.0.0.1 and, where the machine has it, ::1, on the same port."""
    sockets = [_bind(socket.AF_INET, "127.0.0.1", port)]
    # `localhost` may mean ::1 first. Without IPv6, callers fall back to 127.0.0.1 by themselves.
    with suppress(OSError):
        sockets.append(_bind(socket.AF_INET6, "::1", sockets[0].getsockname()[1]))
    return sockets


def _bind(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    # asyncio disables Nagle's algorithm only for a socket with a named protocol: a GET took 44 ms, then 2 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener
