"""What commands on the ledger share: run a use case of `admin/`, and print a replay."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from didomi_dataverse.admin.render_notification import render_replay
from didomi_dataverse.admin.replay import ReplayedNotification, count_parked
from didomi_dataverse.admin.session import AdminSession, open_admin_session
from didomi_dataverse.cli.options import Failure, read_configuration, run
from didomi_dataverse.cli.output import print_view
from didomi_dataverse.clock import SystemClock

_T = TypeVar("_T")


def run_use_case(config: Path, use_case: Callable[[AdminSession], Awaitable[_T]]) -> _T:
    """What the use case returns. `config`: the configuration file.

    Raises ConfigurationFailure, and Failure when the store cannot be used or the use case fails.
    """
    configuration = read_configuration(config)

    async def run_in_session() -> _T:
        async with open_admin_session(configuration, clock=SystemClock()) as session:
            return await use_case(session)

    return run(run_in_session())


def print_replay(replayed: Sequence[ReplayedNotification], *, as_json: bool) -> None:
    """Print what became of each notification. Raises Failure when some are still parked."""
    print_view(replayed, render_replay(replayed), as_json=as_json)
    parked = count_parked(replayed)
    if parked:
        raise Failure(f"{parked} of {len(replayed)} are still parked.")
