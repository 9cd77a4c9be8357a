"""What people chose: items, choices, registers and the fold. Pure; imports no other stage."""
