"""The application users of the environment, and the privileges of their security roles (dataverse.md 7)."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from dataverse_sandbox import errors
from dataverse_sandbox.guid import EMPTY_GUID, stable_guid

READ, WRITE, CREATE, DELETE = (f"prv{verb}Contact" for verb in ("Read", "Write", "Create", "Delete"))
APPEND, APPEND_TO = "prvAppendContact", "prvAppendToContact"
BYPASS_LOGIC = "prvBypassCustomBusinessLogic"
BYPASS_PLUGINS = "prvBypassCustomPlugins"
ACT_FOR_OTHERS = "prvActOnBehalfOfAnotherUser"
DEFAULT_PRIVILEGES = (READ, WRITE, CREATE, DELETE, APPEND, APPEND_TO)
ALL_PRIVILEGES = (*DEFAULT_PRIVILEGES, BYPASS_LOGIC, BYPASS_PLUGINS, ACT_FOR_OTHERS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class User:
    """The user that a request runs as."""

    user_id: str
    """Id of the system user, in lower case; empty before the request is authenticated."""

    privileges: frozenset[str] = field(default_factory=frozenset)
    """Names of the privileges, of `ALL_PRIVILEGES`."""

    impersonator_id: str | None = None
    """Id of the user who sent the request, when it runs on behalf of another user."""

    def require(self, privilege: str) -> None:
        """Raises the 403 that names the privilege, if the user does not hold it."""
        if privilege not in self.privileges:
            raise errors.missing_privilege(self.user_id, privilege, len(self.privileges))


SYSTEM = User(user_id=EMPTY_GUID, privileges=frozenset(ALL_PRIVILEGES))
"""The author of rows until a request names one."""


class Users:
    """Application users by client id. An application without an entry has the user of the first one."""

    def __init__(self, client_id: str, user_id: str) -> None:
        self._first = (client_id, user_id)
        self.first = SYSTEM
        """The user of the first application."""
        self._users: dict[str, User | None] = {}
        self._impersonations: dict[tuple[str, str], User] = {}
        self.reset()

    def reset(self) -> None:
        """Keep only the first application's user, with the default privileges."""
        client_id, user_id = self._first
        self.first = User(user_id=user_id, privileges=frozenset(DEFAULT_PRIVILEGES))
        self._users = {client_id: self.first}
        self._impersonations = {}

    def set_privileges(self, client_id: str, privileges: Iterable[str] | None) -> None:
        """Give an application's user these privileges; None takes the application out of the environment."""
        first_client, first_user = self._first
        user_id = first_user if client_id == first_client else stable_guid(f"systemuser/{client_id}")
        self._users[client_id] = (
            None if privileges is None else User(user_id=user_id, privileges=frozenset(privileges))
        )
        self._impersonations = {}

    def of_client(self, client_id: str) -> User:
        """The application's user. Raises 403 when it has none here (dataverse.md 10, the end)."""
        user = self._users[client_id if client_id in self._users else self._first[0]]
        if user is None:
            raise errors.user_not_member()
        return user

    def find(self, user_id: str) -> User | None:
        """The user of that id, or None."""
        return next((user for user in self._users.values() if user and user.user_id == user_id.lower()), None)

    def impersonate(self, user: User, other_id: str) -> User:
        """`user` acting for another user, with the privileges that both hold. Raises 403.

        A user without an entry holds all privileges.
        """
        if ACT_FOR_OTHERS not in user.privileges:
            raise errors.impersonation_denied()
        other = self.find(other_id)
        pair = (user.user_id, other_id.lower())
        if pair not in self._impersonations:
            privileges = user.privileges if other is None else user.privileges & other.privileges
            self._impersonations[pair] = User(
                user_id=other_id.lower(), privileges=privileges, impersonator_id=user.user_id
            )
        return self._impersonations[pair]

    def document(self) -> dict[str, object]:
        """The answer of `GET applications`."""
        return {
            client_id: {"user_id": user.user_id, "privileges": sorted(user.privileges)} if user else None
            for client_id, user in self._users.items()
        }
