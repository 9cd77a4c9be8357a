"""The application in this process, from a webhook's bytes to the outcome, against the sandbox.

Real routes, real ledger, real encoding over the wire on loopback; only time is ours. Nothing sleeps: a test
moves the clock and calls `run_once()`.
"""
