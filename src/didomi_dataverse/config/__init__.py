"""The configuration: the document with its lines, the environment, and every setting."""
