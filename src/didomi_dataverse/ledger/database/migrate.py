"""Bring the tables to what this version expects. The process that starts first does it, under a lock."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect
from sqlalchemy import exc as sa_exc

from didomi_dataverse.errors import StoreError, StoreUnavailableError
from didomi_dataverse.ledger.database import errors
from didomi_dataverse.ledger.database.engines import Engines
from didomi_dataverse.ledger.database.statements import lock_for_migration
from didomi_dataverse.ledger.tables import metadata

_MIGRATIONS = Path(__file__).parents[1] / "migrations"


def migrate(engines: Engines, *, shown_url: str) -> None:
    """Create or upgrade the tables. Where nothing is to be done, it only reads and takes no lock.

    `shown_url` is the address without its password. Raises StoreError, with what to do about it, when the
    store cannot be used as it is, and StoreUnavailableError when it cannot be reached now.
    """
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    try:
        if _is_current(engines, script, shown_url):
            return
        with engines.writing.begin() as connection:
            lock_for_migration(connection)
            # Another process may have done it while this one waited for the lock.
            if not _is_at_head(connection, script, shown_url):
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
    except sa_exc.SQLAlchemyError as error:
        raise _translate(error, shown_url) from None


def _is_current(engines: Engines, script: ScriptDirectory, shown_url: str) -> bool:
    if engines.path is not None and not engines.path.exists():
        return False
    with engines.reading.connect() as connection:
        return _is_at_head(connection, script, shown_url)


def _is_at_head(connection: Connection, script: ScriptDirectory, shown_url: str) -> bool:
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        # Never mix our tables with another program's tables of the same names.
        foreign = metadata.tables.keys() & set(inspect(connection).get_table_names())
        if foreign:
            raise StoreError(
                f"{shown_url} already holds tables named {', '.join(sorted(foreign))} that are not ours. "
                "Give the service a database of its own."
            )
        return False
    try:
        script.get_revision(revision)
    except CommandError as error:
        raise StoreError(
            f"{shown_url} was written by a newer version of didomi-dataverse (schema {revision}). "
            "Install that version again, or restore a backup from before the upgrade."
        ) from error
    return revision == script.get_current_head()


def _translate(error: sa_exc.SQLAlchemyError, shown_url: str) -> StoreError:
    cause = errors.describe(error)
    if errors.is_not_a_database(error):
        return StoreError(f"{shown_url} is not a SQLite database. Name another file, or restore a backup.")
    if errors.is_damaged(error):
        return StoreError(
            f"The file of {shown_url} is damaged ({cause}). Stop the service, keep the file, "
            "and restore a backup, or save what can be read with `sqlite3 FILE .recover`."
        )
    if errors.is_unavailable(error):
        return StoreUnavailableError(
            f"The store {shown_url} cannot be opened: {cause}. Check that it can be reached, "
            "that the service may write to it (for SQLite to its folder, too), and that its disk is not full."
        )
    return StoreError(f"The tables of {shown_url} cannot be created or upgraded: {cause}.")
