"""The command `demo`: the real service against the local sandbox, a story, and a reason for each column.

Nothing but the story is special to the demo: the configuration is the one that `sandbox` writes, the service
is the one that `serve` runs, and MSAL and TLS are used as ever.
"""

import asyncio
import logging
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from didomi_dataverse.admin.contacts import show_contact
from didomi_dataverse.admin.lookup import NotFoundError
from didomi_dataverse.admin.render import render_value
from didomi_dataverse.admin.session import open_admin_session
from didomi_dataverse.clock import Clock, SystemClock
from didomi_dataverse.demo.compare import ColumnResult, compare_columns, find_wrong_write_counts
from didomi_dataverse.demo.stage import LOG_FILE, DemoError, Stage, open_stage
from didomi_dataverse.demo.story import Row, Scene, Story, build_story
from didomi_dataverse.ledger.delivery_state import DeliveryState
from didomi_dataverse.observability.logging import configure_logging

_TABLE_WIDTH = 140
"""Columns of the output where it is not a terminal: a table that is folded to a narrow pipe cannot be read.
"""


async def run_demo(*, keep: bool) -> bool:
    """Play the story and print what it did. Returns whether every column ended as it must.

    `keep` leaves the sandbox and the service running until they are interrupted. Raises DemoError.
    """
    console = Console()
    if not console.is_terminal:
        console.width = _TABLE_WIDTH
    clock = SystemClock()
    with _temporary_folder() as folder:
        async with _log_to(folder / LOG_FILE), open_stage(folder, clock=clock) as stage:
            story = build_story(clock.now())
            await stage.control("PUT", "contacts", [dict(row) for row in story.rows])
            before = await stage.rows()
            for number, scene in enumerate(story.scenes, start=1):
                console.print(f"[bold]{number}. {escape(scene.title)}[/bold]")
                await _play(stage, scene, console)
            after = await stage.rows()
            is_right = await _print_table(stage, story, before, after, console, clock=clock)
            is_right &= await _print_writes(stage, story, after, console)
            if keep:
                await _keep_running(stage, console)
    return is_right


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder that is removed at the end, except after a DemoError: then the log in it is needed."""
    folder = Path(tempfile.mkdtemp(prefix="didomi-dataverse-demo-"))
    is_needed = False
    try:
        yield folder
    except DemoError:
        is_needed = True
        raise
    finally:
        if not is_needed:
            shutil.rmtree(folder)


@asynccontextmanager
async def _log_to(file: Path) -> AsyncIterator[None]:
    """Send the log to a file, so that only the story is printed."""
    with file.open("w") as stream:
        configure_logging(level="info", output_format="json", stream=stream)
        try:
            yield
        finally:
            logging.getLogger().handlers.clear()


async def _play(stage: Stage, scene: Scene, console: Console) -> None:
    """Send what arrives in one scene, each notification once the one before it is delivered."""
    if scene.faults:
        await stage.control("PUT", "faults", list(scene.faults))
    for body in scene.bodies:
        receipt = await stage.send(body)
        is_duplicate = isinstance(receipt.answer, dict) and receipt.answer.get("duplicates")
        note = ", already known" if is_duplicate else ""
        console.print(f"   {body['type']}: {receipt.status} stored{note}", style="dim", highlight=False)
        await stage.wait_until_delivered()


async def _print_table(
    stage: Stage,
    story: Story,
    before: Mapping[str, Row],
    after: Mapping[str, Row],
    console: Console,
    *,
    clock: Clock,
) -> bool:
    """Print every column that changed or had to. Returns whether all is as it must be, rows included."""
    table = Table(title="\nThe Contact table", title_justify="left", expand=False)
    for heading in ("person", "column", "before", "after", "why", ""):
        table.add_column(heading, overflow="fold")
    is_right = set(after) == set(before)
    person = None
    for result in compare_columns(story, before, after):
        if person not in (None, result.person):
            table.add_section()
        person = result.person
        is_right &= result.is_right
        _add_result(table, result)
    table.add_section()
    for key in story.unmatched:
        is_kept = key not in after and await _is_unmatched(stage, key, clock=clock)
        is_right &= is_kept
        reason = "no such row: the choice is kept and looked for again, nothing is created"
        table.add_row(key, "(no row)", "(empty)", "(empty)", reason, _verdict(is_right=is_kept))
    console.print(table)
    return is_right


def _add_result(table: Table, result: ColumnResult) -> None:
    table.add_row(
        result.person,
        result.column,
        render_value(result.before),
        render_value(result.after),
        result.reason,
        _verdict(is_right=result.is_right),
    )


def _verdict(*, is_right: bool) -> str:
    return "[green]right[/green]" if is_right else "[red]WRONG[/red]"


async def _is_unmatched(stage: Stage, organization_user_id: str, *, clock: Clock) -> bool:
    """Does the service know this person and look for the row?"""
    async with open_admin_session(stage.configuration, clock=clock) as session:
        try:
            view = await show_contact(session, organization_user_id)
        except NotFoundError:
            return False
    return view.state is DeliveryState.UNMATCHED


async def _print_writes(stage: Stage, story: Story, after: Mapping[str, Row], console: Console) -> bool:
    """Print how many rows were written. Returns whether each was written as often as it must be, and
    throttled.
    """
    stats = await stage.control("GET", "stats")
    calls = sum(stats["calls"].get("batch", {}).values())
    console.print(
        f"{stats['rows_written']} rows written in {calls} calls, {stats['throttled']} of them throttled.",
        highlight=False,
    )
    wrong = find_wrong_write_counts(story, after, stats["writes"])
    for person, times in wrong.items():
        console.print(f"[red]WRONG[/red]: {person} was not written exactly {times} time(s).")
    return not wrong and stats["throttled"] > 0


async def _keep_running(stage: Stage, console: Console) -> None:
    """Print where everything is, and wait for SIGINT or SIGTERM."""
    console.print(
        f"\nStill running: sandbox {stage.sandbox.url}, service {stage.service_url}. Ctrl-C ends both."
    )
    console.print(f"Configuration: {stage.folder / 'config.yaml'}\nLog: {stage.log_file}")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
