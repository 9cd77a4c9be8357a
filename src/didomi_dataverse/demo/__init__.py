"""The demo: a story, how it is played, and the configuration of the sandbox."""
