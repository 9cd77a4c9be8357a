"""Bytes of a webhook to typed parts: the only place that knows Didomi's field names."""
