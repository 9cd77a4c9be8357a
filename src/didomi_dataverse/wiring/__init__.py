"""From the configuration to the parts. No other package builds a part from settings."""
