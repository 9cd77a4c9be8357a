"""What people do: each use case is a function from arguments to a view value. Nothing here prints."""
