"""What of a person may be shown, logged or counted, and in which form."""
