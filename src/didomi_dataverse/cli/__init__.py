"""The command line: one file for each command, and one table of their names (`main.COMMANDS`)."""
