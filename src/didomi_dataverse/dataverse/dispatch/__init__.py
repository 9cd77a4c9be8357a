"""The delivery modes: batch, bulk messages, and single calls."""
