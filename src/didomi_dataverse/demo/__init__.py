"""The demo: a story, how it is played, and the configuration that points at the sandbox."""
