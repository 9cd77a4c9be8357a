"""Run by Alembic for every migration: on the connection, and inside the transaction, that `migrate.py`
opened.
"""

from alembic import context

from didomi_dataverse.ledger.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
