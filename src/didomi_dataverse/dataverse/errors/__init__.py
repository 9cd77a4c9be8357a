"""Error answers of the Web API: read, looked up in one table, and classified."""
