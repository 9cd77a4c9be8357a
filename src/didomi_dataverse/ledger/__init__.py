"""Stage 2: what we know of each contact, kept durably."""
