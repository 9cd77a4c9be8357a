"""From the bytes of a webhook to typed parts. Only this package knows Didomi's field names."""
