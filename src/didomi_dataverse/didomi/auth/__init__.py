"""Who may call: secrets, tokens, addresses, and how often a login may fail."""
