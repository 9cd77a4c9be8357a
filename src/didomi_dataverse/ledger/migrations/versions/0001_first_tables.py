"""First tables: contacts, notifications, attempts, meta."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Spelled out rather than imported from `tables.py`: a migration says what was done then, whatever the tables
# are now.
_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INSTANT = sa.BigInteger()


def upgrade() -> None:
    """Create everything."""
    op.create_table(
        "contacts",
        sa.Column("id", _ROW_NUMBER, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("registers", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", _INSTANT),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("lease", sa.Text()),
        sa.Column("written", sa.Text(), nullable=False),
        sa.Column("row_id", sa.Text()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("unmatched_since", _INSTANT),
        sa.Column("reason", sa.Text()),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("changed_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_contacts"),
        sa.UniqueConstraint("key", name="uq_contacts_key"),
    )
    _create_index("ix_contacts_claim", "contacts", ["priority", "due_at"], where="due_at IS NOT NULL")
    _create_index("ix_contacts_state", "contacts", ["state", "reason"])
    op.create_table(
        "notifications",
        sa.Column("id", _ROW_NUMBER, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("received_at", _INSTANT, nullable=False),
        sa.Column("last_received_at", _INSTANT, nullable=False),
        sa.Column("times_received", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("regulation", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("didomi_user", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("effective_at", _INSTANT),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("disposition", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("contact_id", _ROW_NUMBER),
        sa.PrimaryKeyConstraint("id", name="pk_notifications"),
        sa.UniqueConstraint("digest", name="uq_notifications_digest"),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"], name="fk_notifications_contact_id_contacts"),
    )
    _create_index("ix_notifications_contact_id", "notifications", ["contact_id"])
    _create_index("ix_notifications_source_id", "notifications", ["source_id"], where="source_id <> ''")
    _create_index("ix_notifications_didomi_user", "notifications", ["didomi_user"], where="didomi_user <> ''")
    _create_index("ix_notifications_disposition_reason", "notifications", ["disposition", "reason"])
    _create_index(
        "ix_notifications_retention", "notifications", ["received_at"], where="disposition <> 'parked'"
    )
    op.create_table(
        "attempts",
        sa.Column("id", _ROW_NUMBER, nullable=False),
        sa.Column("contact_id", _ROW_NUMBER, nullable=False),
        sa.Column("attempted_at", _INSTANT, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("columns", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_attempts"),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"], name="fk_attempts_contact_id_contacts"),
    )
    _create_index("ix_attempts_contact_id", "attempts", ["contact_id"])
    _create_index("ix_attempts_attempted_at", "attempts", ["attempted_at"])
    op.create_table(
        "meta",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_meta"),
    )


def _create_index(name: str, table: str, columns: list[str], where: str | None = None) -> None:
    condition = None if where is None else sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)
