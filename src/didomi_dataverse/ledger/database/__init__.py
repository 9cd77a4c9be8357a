"""The two databases, SQLite and PostgreSQL: connections, transactions, and all in which they differ."""
