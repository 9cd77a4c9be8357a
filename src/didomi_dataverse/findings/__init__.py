"""What can be wrong with a set-up. Nothing is here yet."""
