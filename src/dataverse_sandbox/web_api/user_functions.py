"""What the Web API states of users: `WhoAmI`, privileges, and access to a row (dataverse.md 7)."""

import re

from dataverse_sandbox import errors
from dataverse_sandbox.entra.identity import SandboxIdentity
from dataverse_sandbox.guid import EMPTY_GUID, stable_guid
from dataverse_sandbox.messages import Request, Response, json_response
from dataverse_sandbox.options import SandboxOptions
from dataverse_sandbox.table.table import Table
from dataverse_sandbox.users import (
    ALL_PRIVILEGES,
    APPEND,
    APPEND_TO,
    CREATE,
    DELETE,
    READ,
    WRITE,
    User,
    Users,
)
from dataverse_sandbox.web_api.key_url import parse_address
from dataverse_sandbox.web_api.query import parse_options

_CONTEXT = "$metadata#Microsoft.Dynamics.CRM."
_PRIVILEGES = re.compile(
    r"systemusers\(([0-9a-fA-F-]{36})\)/Microsoft\.Dynamics\.CRM\."
    r"(?:RetrieveUserPrivilegeByPrivilegeName\(PrivilegeName='(\w+)'\)|RetrieveUserPrivileges(?:\(\))?)"
)
_ACCESS = re.compile(
    r"systemusers\(([0-9a-fA-F-]{36})\)/Microsoft\.Dynamics\.CRM\.RetrievePrincipalAccess\(Target=(@\w+)\)"
)
_TARGET = re.compile(r"\{\s*'@odata\.id'\s*:\s*'/?contacts\((.+)\)'\s*\}")
_ACCESS_RIGHTS = {
    READ: "ReadAccess",
    WRITE: "WriteAccess",
    APPEND: "AppendAccess",
    APPEND_TO: "AppendToAccess",
    CREATE: "CreateAccess",
    DELETE: "DeleteAccess",
}


class UserFunctions:
    """An extension of the Web API."""

    def __init__(
        self, table: Table, options: SandboxOptions, users: Users, identity: SandboxIdentity
    ) -> None:
        self._table = table
        self._options = options
        self._users = users
        self._identity = identity

    def answer(self, request: Request, resource: str, base: str, now: float) -> Response | None:  # noqa: ARG002 - an extension
        """The response about a user, or None for another path. Raises ODataError."""
        if resource in {"WhoAmI", "WhoAmI()"}:
            request.require_method("GET")
            return self._who_am_i(base, request.caller)
        if not resource.startswith("systemusers("):
            return None
        privileges = _PRIVILEGES.fullmatch(resource)
        if privileges is not None:
            return self._list_privileges(self._find_user(privileges[1]), privileges[2], base)
        access = _ACCESS.fullmatch(resource)
        return None if access is None else self._show_access(request, access[1], access[2], base)

    def _who_am_i(self, base: str, caller: User) -> Response:
        return json_response(
            {
                "@odata.context": f"{base}{_CONTEXT}WhoAmIResponse",
                "BusinessUnitId": self._identity.business_unit_id,
                "UserId": caller.user_id,
                "OrganizationId": self._identity.organization_id,
            }
        )

    def _list_privileges(self, user: User, wanted: str | None, base: str) -> Response:
        """The privileges of the user's roles; `wanted` restricts them to one."""
        if wanted is not None and not wanted.startswith("prv"):
            raise errors.invalid_argument(f"There is no privilege '{wanted}'.")
        held = [name for name in ALL_PRIVILEGES if name in user.privileges and wanted in {None, name}]
        role_privileges = [
            {
                "Depth": "Global",
                "PrivilegeId": stable_guid(name),
                "BusinessUnitId": self._identity.business_unit_id,
                "PrivilegeName": name,
                "RecordFilterId": EMPTY_GUID,
                "RecordFilterUniqueName": "",
            }
            for name in held
        ]
        context = f"{base}{_CONTEXT}RetrieveUserPrivilegesResponse"
        return json_response({"@odata.context": context, "RolePrivileges": role_privileges})

    def _show_access(self, request: Request, user_id: str, alias: str, base: str) -> Response:
        """The user's access rights to one row; here they are the same for every row."""
        user = self._find_user(user_id)
        target = _TARGET.fullmatch(parse_options(request.query, frozenset()).aliases.get(alias, ""))
        if target is None:
            raise errors.query_syntax_error(
                "'Target' takes {'@odata.id':'contacts(…)'} through a parameter alias."
            )
        self._table.get(parse_address(target[1], self._table.schema, self._options))
        rights = [right for privilege, right in _ACCESS_RIGHTS.items() if privilege in user.privileges]
        context = f"{base}{_CONTEXT}RetrievePrincipalAccessResponse"
        return json_response({"@odata.context": context, "AccessRights": ", ".join(rights) or "None"})

    def _find_user(self, user_id: str) -> User:
        user = self._users.find(user_id)
        if user is None:
            raise errors.not_found(f"systemuser With Id = {user_id} Does Not Exist")
        return user
