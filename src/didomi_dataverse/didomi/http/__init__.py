"""The routes that Didomi calls: the webhook and the token endpoint."""
