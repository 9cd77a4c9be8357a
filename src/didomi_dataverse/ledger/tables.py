"""The tables, the same in SQLite and PostgreSQL. `migrations/` creates them, and a test compares the two.

Instants are whole microseconds since 1970 UTC: exact, ordered alike in both databases, and independent of
time zone settings. Registers, confirmations and evidence are JSON text of our own (`codec.py`), which is only
ever read whole.
"""

from datetime import datetime
from functools import partial

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.types import TypeDecorator

from didomi_dataverse.ledger.database.instants import from_microseconds, to_microseconds
from didomi_dataverse.text import clip

_MAX_CHARACTERS = 500
"""Longest descriptive text. PostgreSQL refuses index entries of more than 2,704 bytes, so it cannot be much
larger. Too small: messages of Dataverse lose their end."""


class Instant(TypeDecorator[datetime]):
    """An aware datetime, stored as microseconds since 1970 UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """To the database."""
        del dialect
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        del dialect
        return None if value is None else from_microseconds(value)


clip_text = partial(clip, max_characters=_MAX_CHARACTERS)
"""Cuts a descriptive text to what both databases can store and index."""

# SQLite gives out row ids only to a column that is spelled INTEGER.
RowNumber = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

contacts = Table(
    "contacts",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("identifier", Text, nullable=False),
    Column("registers", Text, nullable=False),
    # Counts the changes. A worker that delivered an older revision leaves the contact due.
    Column("revision", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    # When a worker must look at it next; while it is being delivered, when the lease ends. NULL: never.
    Column("due_at", Instant),
    Column("priority", Integer, nullable=False),
    Column("lease", Text),
    Column("written", Text, nullable=False),
    Column("row_id", Text),
    Column("attempts", Integer, nullable=False),
    Column("unmatched_since", Instant),
    Column("reason", Text),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    # When retention first deleted a notification with choices of this person. NULL: all are still there.
    Column("history_cut_at", Instant),
)

# The claim: one range of this index per priority, already in the order in which contacts are handed out.
Index(
    "ix_contacts_claim",
    contacts.c.priority,
    contacts.c.due_at,
    sqlite_where=text("due_at IS NOT NULL"),
    postgresql_where=text("due_at IS NOT NULL"),
)
# Counting contacts by state, and why they are parked, without reading their registers.
Index("ix_contacts_state", contacts.c.state, contacts.c.reason)

notifications = Table(
    "notifications",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("received_at", Instant, nullable=False),
    Column("last_received_at", Instant, nullable=False),
    Column("times_received", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("regulation", Text, nullable=False),
    Column("organization_id", Text, nullable=False),
    Column("didomi_user", Text, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("effective_at", Instant),
    Column("caller", Text, nullable=False),
    Column("disposition", Text, nullable=False),
    Column("reason", Text),
    Column("notes", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("contact_id", RowNumber, ForeignKey("contacts.id")),
)

Index("ix_notifications_contact_id", notifications.c.contact_id)
# Deletes and histories are looked up by what Didomi calls them (docs/how-choices-are-decided.md,
# "Deletions").
Index(
    "ix_notifications_source_id",
    notifications.c.source_id,
    sqlite_where=text("source_id <> ''"),
    postgresql_where=text("source_id <> ''"),
)
Index(
    "ix_notifications_didomi_user",
    notifications.c.didomi_user,
    sqlite_where=text("didomi_user <> ''"),
    postgresql_where=text("didomi_user <> ''"),
)
Index("ix_notifications_disposition_reason", notifications.c.disposition, notifications.c.reason)
# Retention never deletes what is parked, so that old parked notifications are not in its way either.
Index(
    "ix_notifications_retention",
    notifications.c.received_at,
    sqlite_where=text("disposition <> 'parked'"),
    postgresql_where=text("disposition <> 'parked'"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("contact_id", RowNumber, ForeignKey("contacts.id"), nullable=False),
    Column("attempted_at", Instant, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("status", Integer),
    Column("code", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("columns", Text, nullable=False),
)

Index("ix_attempts_contact_id", attempts.c.contact_id)
Index("ix_attempts_attempted_at", attempts.c.attempted_at)

# What Didomi deleted, kept for good: what it concerns may still arrive. `digest` is that of the notification.
deleted_events = Table(
    "deleted_events",
    metadata,
    Column("source_id", Text, primary_key=True),
    Column("deleted_at", Instant, nullable=False),
    Column("digest", Text, nullable=False),
)

deleted_users = Table(
    "deleted_users",
    metadata,
    Column("didomi_user", Text, primary_key=True),
    Column("deleted_at", Instant, nullable=False),
    Column("digest", Text, nullable=False),
)

# What the ledger remembers about itself: the fingerprints of the mapping and of the target, the key of the
# identifier hash, the last probe, and the replicas at work with the heartbeat of each.
meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
