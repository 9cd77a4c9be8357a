"""The Contact table in memory: rows, columns, alternate keys, and how values compare."""
