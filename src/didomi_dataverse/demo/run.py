"""The command `demo`: the real service against the local sandbox, a story, and a reason for each column.

Nothing is special here: the configuration is the one that `sandbox` writes, the service is the one that
`serve` runs, MSAL and TLS are as they are. Only the story, and what must come of it, are the demo's own.
"""

import asyncio
import logging
import signal
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dataverse_sandbox import SandboxServer, running_sandbox
from didomi_dataverse.admin.explain import words
from didomi_dataverse.admin.send import credentials_of
from didomi_dataverse.admin.session import find_contact
from didomi_dataverse.clock import Clock, SystemClock
from didomi_dataverse.demo.sandbox_config import write_config
from didomi_dataverse.demo.story import Must, Row, Scene, Story, story
from didomi_dataverse.observability.health import Lifecycle
from didomi_dataverse.observability.logging import configure_logging
from didomi_dataverse.service.server import server_config
from didomi_dataverse.wiring.configuration import Configuration, load_configuration
from didomi_sandbox.webhook_client import authenticate, post_notification

SETTLE_WITHIN_SECONDS = 30
_LOOK_SECONDS = 0.05
_TABLE_WIDTH = 140
_CHANGED_BY_SERVER = frozenset({"@odata.etag", "modifiedon", "versionnumber"})


class _Server(uvicorn.Server):
    """uvicorn as a part of this process: signals stay with the command."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True, slots=True)
class _Stage:
    """What the story plays on."""

    http: httpx.AsyncClient
    sandbox: SandboxServer
    configuration: Configuration
    service_url: str
    headers: Mapping[str, str]
    clock: Clock


async def run_demo(*, keep: bool) -> bool:
    """Plays the story and prints what it did. Returns whether every column ended as it must.

    `keep` leaves the sandbox and the service running until they are interrupted.
    """
    console = Console()
    if not console.is_terminal:
        console.width = _TABLE_WIDTH  # a table folded to a narrow pipe helps nobody
    with tempfile.TemporaryDirectory(prefix="didomi-dataverse-demo-") as folder:
        async with _logs_in(Path(folder) / "service.log"), _stage(Path(folder), SystemClock()) as stage:
            told = story(stage.clock.now())
            await _control(stage, "PUT", "contacts", [dict(row) for row in told.rows])
            before = await _rows(stage)
            for number, scene in enumerate(told.scenes, start=1):
                console.print(f"[bold]{number}. {escape(scene.title)}[/bold]")
                await _play(stage, scene, console)
            is_right = await _show(stage, told, before, console)
            if keep:
                await _stay(stage, Path(folder), console)
    return is_right


@asynccontextmanager
async def _stage(folder: Path, clock: Clock) -> AsyncIterator[_Stage]:
    """A sandbox and a service on free ports of this machine, for as long as the block runs."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    async with running_sandbox(folder) as sandbox:
        path = write_config(folder, sandbox.url, sandbox.identity, service_port=port)
        configuration = load_configuration(path, {})
        lifecycle = Lifecycle()
        server = _Server(server_config(configuration, lifecycle, clock=clock))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            started = asyncio.create_task(lifecycle.started.wait())
            await asyncio.wait({started, serving}, return_when=asyncio.FIRST_COMPLETED)
            trust = ssl.create_default_context(cafile=str(sandbox.ca_bundle))
            async with httpx.AsyncClient(verify=trust, trust_env=False) as http:
                service_url = f"http://127.0.0.1:{port}"
                headers = await authenticate(
                    http, service_url, credentials_of(configuration.settings.didomi.auth)
                )
                yield _Stage(http, sandbox, configuration, service_url, headers, clock)
        finally:
            server.should_exit = True
            await serving


@asynccontextmanager
async def _logs_in(file: Path) -> AsyncIterator[None]:
    """The service's log goes to a file: the story is for reading."""
    with file.open("w") as stream:
        configure_logging(level="info", output_format="json", stream=stream)
        try:
            yield
        finally:
            logging.getLogger().handlers.clear()


async def _play(stage: _Stage, scene: Scene, console: Console) -> None:
    if scene.faults:
        await _control(stage, "PUT", "faults", list(scene.faults))
    for body in scene.bodies:
        receipt = await post_notification(stage.http, stage.service_url, body, stage.headers)
        if not receipt.is_accepted:
            message = f"The service answered {receipt.status} to a good notification."
            raise RuntimeError(message)
        is_known = isinstance(receipt.answer, dict) and receipt.answer.get("duplicates")
        note = ", already known" if is_known else ""
        console.print(f"   {body['type']}: {receipt.status} stored{note}", style="dim", highlight=False)
        await _until_nothing_is_due(stage)


async def _until_nothing_is_due(stage: _Stage) -> None:
    """Waits until the service says on its metrics page that nobody waits to be written."""
    waiting = tuple(f'didomi_dataverse_contacts{{state="{state}"}}' for state in ("due", "delivering"))
    async with asyncio.timeout(SETTLE_WITHIN_SECONDS):
        while True:
            page = (await stage.http.get(f"{stage.service_url}/metrics")).text
            if not any(line.startswith(waiting) and not line.endswith(" 0.0") for line in page.splitlines()):
                return
            await asyncio.sleep(_LOOK_SECONDS)


async def _show(stage: _Stage, told: Story, before: Mapping[str, Row], console: Console) -> bool:
    """Prints every column that changed or had to, and says of each whether it is as it must be."""
    after = await _rows(stage)
    table = Table(title="\nThe Contact table", title_justify="left", expand=False)
    for heading in ("person", "column", "before", "after", "why", ""):
        table.add_column(heading, overflow="fold")
    is_right = set(after) == set(before)
    for key, row in after.items():
        must = told.must.get(key, {})
        names = [name for name in row if name in must or _differs(row, before.get(key, {}), name)]
        for name in sorted(names, key=lambda name: list(must).index(name) if name in must else len(must)):
            expected = must.get(name, Must(before.get(key, {}).get(name), "nobody asked for this"))
            is_as_told = row[name] == expected.value
            is_right &= is_as_told
            table.add_row(
                key,
                name,
                words(before.get(key, {}).get(name)),
                words(row[name]),
                expected.because,
                "[green]right[/green]" if is_as_told else "[red]WRONG[/red]",
            )
        table.add_section()
    for key in told.unmatched:
        view = await find_contact(stage.configuration, key, clock=stage.clock)
        is_kept = view is not None and view["state"] == "unmatched" and key not in after
        is_right &= is_kept
        verdict = "[green]right[/green]" if is_kept else "[red]WRONG[/red]"
        why = "no such row: the choice is kept and looked for again, nothing is created"
        table.add_row(key, "(no row)", "(empty)", "(empty)", why, verdict)
    console.print(table)
    return is_right & await _written_as_often_as_told(stage, told, after, console)


def _differs(row: Row, before: Row, name: str) -> bool:
    return name not in _CHANGED_BY_SERVER and row[name] != before.get(name)


async def _written_as_often_as_told(
    stage: _Stage, told: Story, after: Mapping[str, Row], console: Console
) -> bool:
    stats = await _control(stage, "GET", "stats")
    calls = sum(stats["calls"].get("batch", {}).values())
    console.print(
        f"{stats['rows_written']} rows written in {calls} calls, {stats['throttled']} of them throttled.",
        highlight=False,
    )
    wrong = [
        key for key, times in told.writes.items() if stats["writes"].get(after[key]["contactid"], 0) != times
    ]
    for key in wrong:
        console.print(f"[red]WRONG[/red]: {key} was not written exactly {told.writes[key]} time(s).")
    return not wrong and stats["throttled"] > 0


async def _rows(stage: _Stage) -> dict[str, Row]:
    rows: list[Row] = await _control(stage, "GET", "contacts")
    return {row["new_didomikey"]: row for row in rows}


async def _control(stage: _Stage, method: str, what: str, body: Sequence[object] | None = None) -> Any:  # noqa: ANN401 - JSON
    answer = await stage.http.request(method, f"{stage.sandbox.url}/_sandbox/{what}", json=body)
    answer.raise_for_status()
    return answer.json()


async def _stay(stage: _Stage, folder: Path, console: Console) -> None:
    config = folder / "config.yaml"
    console.print(
        f"\nStill running: sandbox {stage.sandbox.url}, service {stage.service_url}. Ctrl-C ends both."
    )
    console.print(f"Configuration: {config}\nLog: {folder / 'service.log'}")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
