"""The user that a request runs as, and its permission to write: impersonation, bypass headers, privileges.

The bypass headers (dataverse.md 2.5) are checked and then change nothing: the sandbox has no custom logic.
"""

from collections.abc import Mapping

from dataverse_sandbox import errors
from dataverse_sandbox.errors import ODataError
from dataverse_sandbox.guid import GUID
from dataverse_sandbox.table.table import RowAddress, Table
from dataverse_sandbox.users import APPEND, BYPASS_LOGIC, BYPASS_PLUGINS, CREATE, WRITE, User, Users

MAX_STEPS = 3
"""Step ids that one bypass header may hold (dataverse.md 2.5)."""

_IMPERSONATION_HEADERS = ("callerobjectid", "mscrmcallerid")
_WRITE_PRIVILEGES = frozenset({CREATE, WRITE, APPEND})


def acting_user(headers: Mapping[str, str], user: User, users: Users) -> User:
    """The user that the request runs as (dataverse.md 2.5).

    Raises 403 for a missing privilege, 400 for a header with a value that the service cannot read.
    """
    for name, value in headers.items():
        if name.startswith(("mscrm", "caller")):
            if name in _IMPERSONATION_HEADERS:
                if not GUID.fullmatch(value):
                    raise _wrong_header(name, "the id of a user")
                return users.impersonate(user, value)
            _check_bypass(name, value, user)
    return user


def _check_bypass(name: str, value: str, user: User) -> None:
    match name:
        case "mscrm.bypassbusinesslogicexecution":
            user.require(BYPASS_LOGIC)
            if not {piece.strip().lower() for piece in value.split(",")} <= {"customsync", "customasync"}:
                raise _wrong_header(name, "CustomSync, CustomAsync or both")
        case "mscrm.bypassbusinesslogicexecutionstepids":
            user.require(BYPASS_LOGIC)
            steps = value.split(",")
            if len(steps) > MAX_STEPS or not all(GUID.fullmatch(step.strip()) for step in steps):
                raise _wrong_header(name, f"the ids of at most {MAX_STEPS} steps")
        case "mscrm.suppresscallbackregistrationexpanderjob" if value.lower() == "true":
            user.require(BYPASS_LOGIC)
        case "mscrm.bypasscustompluginexecution" if value.lower() == "true":
            user.require(BYPASS_PLUGINS)
        case _:
            pass


def _wrong_header(name: str, expected: str) -> ODataError:
    return errors.invalid_argument(f"The value of the header '{name}' is not valid: it takes {expected}.")


def may_write_all(user: User) -> bool:
    """True for a user with every privilege that a write can need; no other check is necessary then."""
    return user.privileges >= _WRITE_PRIVILEGES


def check_write(user: User, privilege: str, document: Mapping[str, object]) -> None:
    """Raises 403 unless the user holds the privilege, and may bind lookups where the body does.

    dataverse.md 7, the end.
    """
    user.require(privilege)
    if APPEND not in user.privileges and any(name.endswith("@odata.bind") for name in document):
        user.require(APPEND)


def check_upsert(
    user: User, table: Table, address: RowAddress | None, document: Mapping[str, object]
) -> None:
    """The same for an upsert: an update where the row exists, else a create. `address` None: a create."""
    row = None if address is None else table.find(address)
    check_write(user, CREATE if row is None else WRITE, document)
