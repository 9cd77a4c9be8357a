"""Health, metrics, logging, and read-only views for people."""
