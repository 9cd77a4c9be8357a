"""Deletions: what Didomi deleted, and whose history is no longer complete.

The version before goes on working beside these: it leaves the new tables and the new column alone.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_INSTANT = sa.BigInteger()


def upgrade() -> None:
    """Add two tables and a column that may be empty."""
    op.create_table(
        "deleted_events",
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("deleted_at", _INSTANT, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("source_id", name="pk_deleted_events"),
    )
    op.create_table(
        "deleted_users",
        sa.Column("didomi_user", sa.Text(), nullable=False),
        sa.Column("deleted_at", _INSTANT, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("didomi_user", name="pk_deleted_users"),
    )
    op.add_column("contacts", sa.Column("history_cut_at", _INSTANT))
