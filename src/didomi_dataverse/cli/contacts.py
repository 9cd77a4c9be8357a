"""`contacts show|retry|resync`: one person, and delivering to Dataverse again."""

from pathlib import Path

import click

from didomi_dataverse.admin import contacts as use_cases
from didomi_dataverse.admin.render_contact import render_contact, render_resync, render_retry
from didomi_dataverse.cli.help import example
from didomi_dataverse.cli.ledger import run_use_case
from didomi_dataverse.cli.options import Failure, config_option, json_option, limit_option
from didomi_dataverse.cli.output import print_view

_ID_NOTE = "ID is an organization user id as Didomi has it, or a number from `parked list`: '#12'."


@click.group(epilog=example("contacts show anna@example.com", "contacts retry '#12'"))
def contacts() -> None:
    """Show people, and deliver them again.

    Everything that is known of a person, why each column says what it says, and what Dataverse was told.
    """


@contacts.command(
    "show", epilog=example("contacts show anna@example.com", "contacts show '#12'", note=_ID_NOTE)
)
@click.argument("name", metavar="ID")
@limit_option(use_cases.DEFAULT_LIMIT, "How many notifications, and how many attempts.")
@config_option
@json_option
def show_contact(name: str, config: Path, limit: int, *, as_json: bool) -> None:
    """Show one person.

    The choices, the columns and their reasons, the notifications, and the attempts at writing.
    """
    view = run_use_case(config, lambda session: use_cases.show_contact(session, name, limit=limit))
    print_view(view, render_contact(view), as_json=as_json)


@contacts.command("retry", epilog=example("contacts retry anna@example.com '#12'", note=_ID_NOTE))
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@config_option
@json_option
def retry_contacts(ids: tuple[str, ...], config: Path, *, as_json: bool) -> None:
    """Deliver people now rather than later.

    Those who are parked, and those whose row was not found: it is looked for again.
    """
    result = run_use_case(config, lambda session: use_cases.retry_contacts(session, ids))
    print_view(result, render_retry(result), as_json=as_json)


@contacts.command(
    "resync", epilog=example("contacts resync anna@example.com", "contacts resync --all", note=_ID_NOTE)
)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All people: one write for each contact there is.")
@config_option
@json_option
def resync_contacts(ids: tuple[str, ...], config: Path, *, is_all: bool, as_json: bool) -> None:
    """Send every mapped column again.

    As if Dataverse had never been told: for example after rows were restored from a backup. Contacts that are
    being written at that moment are left alone; the exit status is then 1.
    """
    if is_all == bool(ids):
        raise click.UsageError("Pass IDs or --all.")
    result = run_use_case(
        config,
        lambda session: (
            use_cases.resync_all_contacts(session) if is_all else use_cases.resync_contacts(session, ids)
        ),
    )
    print_view(result, render_resync(result), as_json=as_json)
    if result.being_written:
        raise Failure(
            f"{result.being_written} are being written at this moment, and were left alone. Try again."
        )
