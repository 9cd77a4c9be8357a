"""The headers that change how a request runs (dataverse.md 2.5): who may use them, and what they may hold.

There is no custom logic here that they could bypass: a request that may use them runs as any other.
"""

from collections.abc import Mapping

from dataverse_sandbox.errors import Refusal
from dataverse_sandbox.table.column import GUID
from dataverse_sandbox.users import BYPASS_LOGIC, BYPASS_PLUGINS, User, Users

MOST_STEPS = 3
_ON_BEHALF = ("callerobjectid", "mscrmcallerid")


def acting_user(headers: Mapping[str, str], user: User, users: Users) -> User:
    """As whom the request runs. Raises 403 for a missing privilege, 400 for a value that cannot be meant."""
    for name, value in headers.items():
        if name.startswith(("mscrm", "caller")):
            if name in _ON_BEHALF:
                if not GUID.fullmatch(value):
                    raise _wrong(name, "the id of a user")
                return users.on_behalf(user, value)
            _check(name, value, user)
    return user


def _check(name: str, value: str, user: User) -> None:
    match name:
        case "mscrm.bypassbusinesslogicexecution":
            user.require(BYPASS_LOGIC)
            if not {piece.strip().lower() for piece in value.split(",")} <= {"customsync", "customasync"}:
                raise _wrong(name, "CustomSync, CustomAsync or both")
        case "mscrm.bypassbusinesslogicexecutionstepids":
            user.require(BYPASS_LOGIC)
            steps = value.split(",")
            if len(steps) > MOST_STEPS or not all(GUID.fullmatch(step.strip()) for step in steps):
                raise _wrong(name, f"the ids of at most {MOST_STEPS} steps")
        case "mscrm.suppresscallbackregistrationexpanderjob" if value.lower() == "true":
            user.require(BYPASS_LOGIC)
        case "mscrm.bypasscustompluginexecution" if value.lower() == "true":
            user.require(BYPASS_PLUGINS)
        case _:
            pass


def _wrong(name: str, expected: str) -> Refusal:
    return Refusal(400, "0x80040203", f"The value of the header '{name}' is not valid: it takes {expected}.")
