"""Values in, values out: the pure modules, and files that are only read.

No event loop, no socket, no database, no clock of the machine. Laws are property tests here: folding is
commutative, associative and idempotent; what is encoded decodes to itself. The whole ring takes seconds, so
it runs at every save.
"""
