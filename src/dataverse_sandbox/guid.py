"""GUIDs: how one is written, and ids that the sandbox makes up."""

import re
from uuid import NAMESPACE_URL, uuid4, uuid5

GUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
"""A GUID without quotes or braces, in either case."""

EMPTY_GUID = "00000000-0000-0000-0000-000000000000"


def new_guid() -> str:
    """A random id, in lower case."""
    return str(uuid4())


def stable_guid(name: str) -> str:
    """The id of a named thing: the same at every start.

    >>> stable_guid("contact")
    '7906cb05-65ca-55e4-a225-2f7b20f2a06d'
    """
    return str(uuid5(NAMESPACE_URL, f"sandbox/{name}"))
