"""Which privileges a write needs (dataverse.md 7, the end)."""

from collections.abc import Mapping

from dataverse_sandbox.table.table import RowAddress, Table
from dataverse_sandbox.users import APPEND, CREATE, WRITE, User

_WRITES = frozenset({CREATE, WRITE, APPEND})


def may_write_all(user: User) -> bool:
    """True for nearly everybody: nothing else need be looked at then."""
    return user.privileges >= _WRITES


def check_write(user: User, privilege: str, document: Mapping[str, object]) -> None:
    """Raises 403 unless the user may do this, and may bind lookups where the body does."""
    user.require(privilege)
    if APPEND not in user.privileges and any(name.endswith("@odata.bind") for name in document):
        user.require(APPEND)


def check_upsert(
    user: User, table: Table, address: RowAddress | None, document: Mapping[str, object]
) -> None:
    """An upsert is an update where there is a row, else a create."""
    row = None if address is None else table.find(address)
    check_write(user, CREATE if row is None else WRITE, document)
