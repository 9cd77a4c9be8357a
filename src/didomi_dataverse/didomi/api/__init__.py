"""Client of Didomi's REST API. Nothing is here yet."""
