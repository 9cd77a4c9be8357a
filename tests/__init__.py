"""The rings, from the inside out: `unit`, `contract`, `service`, `acceptance`.

A test belongs to the innermost ring that can show its fact. What several tests share stands beside them and
is imported by its full name (`from tests.unit.builders import ...`).
"""
