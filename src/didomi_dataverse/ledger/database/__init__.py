"""The two databases, SQLite and PostgreSQL: connections, transactions, and every statement that differs."""
