"""What the demo plays on: the sandbox and the service in this process, on free ports of this machine."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from dataverse_sandbox import SandboxServer, running_sandbox
from didomi_dataverse.admin.send import webhook_credentials
from didomi_dataverse.clock import Clock
from didomi_dataverse.demo.sandbox_config import write_config
from didomi_dataverse.demo.story import Row
from didomi_dataverse.errors import DidomiDataverseError
from didomi_dataverse.observability.health import Lifecycle
from didomi_dataverse.service.server import build_server_config
from didomi_dataverse.wiring.configuration import Configuration, load_configuration
from didomi_sandbox.webhook_client import Receipt, authenticate, post_notification

LOG_FILE = "service.log"
"""Where the service's log goes, in the demo's folder."""

SETTLE_WITHIN_SECONDS = 30
"""How long the service may take to write what it received, in seconds. Too small: the demo gives up on a slow
machine, or while the sandbox throttles. Too large: a service that hangs is noticed late.
"""

_LOOK_EVERY_SECONDS = 0.05


class DemoError(DidomiDataverseError):
    """The demo cannot go on. The log of the service, which the message names, is kept."""


class _EmbeddedServer(uvicorn.Server):
    """uvicorn as a part of this process: signals stay with the command."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True, slots=True)
class Stage:
    """A sandbox and a service that run."""

    folder: Path
    """Holds everything that they write."""

    configuration: Configuration
    """The service's configuration."""

    sandbox: SandboxServer
    """The sandbox: Microsoft Entra and Dataverse."""

    service_url: str
    """Where the service listens."""

    http: httpx.AsyncClient
    """Calls both."""

    headers: Mapping[str, str]
    """Authenticate webhook requests as Didomi."""

    @property
    def log_file(self) -> Path:
        """Where the service's log goes."""
        return self.folder / LOG_FILE

    async def send(self, body: dict[str, Any]) -> Receipt:
        """Post one notification as Didomi does. Raises DemoError when it is not stored."""
        receipt = await post_notification(self.http, self.service_url, body, self.headers)
        if not receipt.is_accepted:
            raise DemoError(
                f"The service answered {receipt.status} to a good notification. Its log is {self.log_file}."
            )
        return receipt

    async def wait_until_delivered(self) -> None:
        """Wait until the service's metrics show no contact that is due or being written. Raises DemoError."""
        waiting = tuple(f'didomi_dataverse_contacts{{state="{state}"}}' for state in ("due", "delivering"))
        try:
            async with asyncio.timeout(SETTLE_WITHIN_SECONDS):
                while True:
                    page = (await self.http.get(f"{self.service_url}/metrics")).text
                    counts = (line for line in page.splitlines() if line.startswith(waiting))
                    if all(line.endswith(" 0.0") for line in counts):
                        return
                    await asyncio.sleep(_LOOK_EVERY_SECONDS)
        except TimeoutError:
            raise DemoError(
                f"The service did not write what it received within {SETTLE_WITHIN_SECONDS} s. Its log is"
                f" {self.log_file}."
            ) from None

    async def rows(self) -> dict[str, Row]:
        """The Contact table, by the key column."""
        rows: list[Row] = await self.control("GET", "contacts")
        return {row["new_didomikey"]: row for row in rows}

    async def control(self, method: str, path: str, body: Sequence[object] | None = None) -> Any:  # noqa: ANN401 - JSON
        """Call one of the sandbox's control routes (docs/sandbox.md)."""
        answer = await self.http.request(method, f"{self.sandbox.url}/_sandbox/{path}", json=body)
        answer.raise_for_status()
        return answer.json()


@asynccontextmanager
async def open_stage(folder: Path, *, clock: Clock) -> AsyncIterator[Stage]:
    """Run a sandbox and a service until the end of the block. Raises DemoError when the service cannot
    start.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        async with running_sandbox(folder) as sandbox:
            path = write_config(folder, sandbox.url, sandbox.identity, service_port=port)
            configuration = load_configuration(path, {})
            lifecycle = Lifecycle()
            server = _EmbeddedServer(build_server_config(configuration, lifecycle, clock=clock))
            serving = asyncio.create_task(_serve(server, listening))
            try:
                await _wait_until_started(lifecycle, serving, folder / LOG_FILE)
                trust = ssl.create_default_context(cafile=str(sandbox.ca_bundle))
                async with httpx.AsyncClient(verify=trust, trust_env=False) as http:
                    service_url = f"http://127.0.0.1:{port}"
                    credentials = webhook_credentials(configuration.settings.didomi.auth)
                    headers = await authenticate(http, service_url, credentials)
                    yield Stage(folder, configuration, sandbox, service_url, http, headers)
            finally:
                server.should_exit = True
                await serving


async def _serve(server: uvicorn.Server, listening: socket.socket) -> None:
    try:
        await server.serve(sockets=[listening])
    except SystemExit:
        # uvicorn raises it when the service could not start. From here it would end the process in silence;
        # the lifecycle knows the cause.
        return


async def _wait_until_started(lifecycle: Lifecycle, serving: asyncio.Task[None], log_file: Path) -> None:
    """Wait for the start of the service. Raises DemoError when it ends before that."""
    started = asyncio.create_task(lifecycle.started.wait())
    await asyncio.wait({started, serving}, return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    if lifecycle.is_started:
        return
    error = lifecycle.start_error
    cause = str(error) if isinstance(error, DidomiDataverseError) else f"{type(error).__name__}: {error}"
    raise DemoError(f"The service could not start. {cause} Its log is {log_file}.")
