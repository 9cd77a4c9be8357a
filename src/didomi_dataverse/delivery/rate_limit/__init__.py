"""How fast calls may go: the limits of Dataverse as far as they are known, and one limiter."""
