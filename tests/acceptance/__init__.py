"""Real processes, as an operator runs them: the installed command, its exit codes, signals and ports.

`kill -9` in the middle of a batch, restarts, two replicas on one PostgreSQL. A test here ends only the
processes that it started, waits for facts instead of for time, and stays on loopback.
"""
