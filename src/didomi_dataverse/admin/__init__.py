"""What operators do: each use case is one function from arguments to a view value. Nothing here prints.

The command line and the console are two faces of these functions.
"""
