"""Who is written first."""

from enum import IntEnum


class Priority(IntEnum):
    """The smaller, the sooner. A contact keeps its most urgent one until it is settled."""

    WITHDRAWAL = 0  # promise 5 (design.md 1)
    NORMAL = 1
    REMAP = 2  # nobody chose anything: the mapping changed
