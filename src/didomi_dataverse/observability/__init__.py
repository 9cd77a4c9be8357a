"""Health, metrics and logs: what a running service tells of itself."""
