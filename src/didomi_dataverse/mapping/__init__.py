"""Stage 3: what a contact's choices mean in Contact columns."""
