"""Stage 1: what Didomi says, from bytes to choices, and who may say it."""
