"""Two things that must behave alike, held to one suite.

The ledger on SQLite and on a real PostgreSQL: every test runs on both. The sandbox against the rules recorded
from Microsoft's documentation: what the other rings learn from it is worth as much as this ring makes it.
"""
