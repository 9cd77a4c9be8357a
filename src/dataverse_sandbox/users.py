"""The application users of the environment, and what their security roles let them do (dataverse.md 7)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import NAMESPACE_URL, uuid5

from dataverse_sandbox import errors

READ, WRITE, CREATE, DELETE = (f"prv{verb}Contact" for verb in ("Read", "Write", "Create", "Delete"))
APPEND, APPEND_TO = "prvAppendContact", "prvAppendToContact"
BYPASS_LOGIC = "prvBypassCustomBusinessLogic"
BYPASS_PLUGINS = "prvBypassCustomPlugins"
ACT_FOR_OTHERS = "prvActOnBehalfOfAnotherUser"
AT_START = (READ, WRITE, CREATE, DELETE, APPEND, APPEND_TO)
KNOWN = (*AT_START, BYPASS_LOGIC, BYPASS_PLUGINS, ACT_FOR_OTHERS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class User:
    """Who a request runs as. `acting_id`: the user who really sent it, when it runs for somebody else."""

    user_id: str
    privileges: frozenset[str] = field(default_factory=frozenset)
    acting_id: str | None = None

    def require(self, privilege: str) -> None:
        """Raises the 403 that names the privilege, if the user does not hold it."""
        if privilege not in self.privileges:
            raise errors.missing_privilege(self.user_id, privilege, len(self.privileges))


SYSTEM = User(user_id="00000000-0000-0000-0000-000000000000", privileges=frozenset(KNOWN))
"""Who writes where nobody is named."""


class Users:
    """Application users by client id. An application that was never set has the user of the first."""

    def __init__(self, client_id: str, user_id: str) -> None:
        self._first = (client_id, user_id)
        self.first = SYSTEM
        self._users: dict[str, User | None] = {}
        self._acting: dict[tuple[str, str], User] = {}
        self.reset()

    def reset(self) -> None:
        """Only the first application's user, with the rights it has at start."""
        client_id, user_id = self._first
        self.first = User(user_id=user_id, privileges=frozenset(AT_START))
        self._users = {client_id: self.first}
        self._acting = {}

    def set(self, client_id: str, privileges: Iterable[str] | None) -> None:
        """Give an application's user these rights, or (None) take the application out of the environment."""
        first_client, first_user = self._first
        user_id = first_user if client_id == first_client else _user_id(client_id)
        self._users[client_id] = (
            None if privileges is None else User(user_id=user_id, privileges=frozenset(privileges))
        )
        self._acting = {}

    def of_client(self, client_id: str) -> User:
        """The application's user. Raises 403 when it has none here (dataverse.md 10, the end)."""
        user = self._users[client_id if client_id in self._users else self._first[0]]
        if user is None:
            raise errors.not_a_member()
        return user

    def of_id(self, user_id: str) -> User | None:
        """The user of that id, if there is one."""
        return next((user for user in self._users.values() if user and user.user_id == user_id.lower()), None)

    def on_behalf(self, user: User, other_id: str) -> User:
        """`user` acting for another, with the rights that both have; people who are not set have all."""
        if ACT_FOR_OTHERS not in user.privileges:
            raise errors.may_not_act_for_others()
        other = self.of_id(other_id)
        place = (user.user_id, other_id.lower())
        if place not in self._acting:
            rights = user.privileges if other is None else user.privileges & other.privileges
            self._acting[place] = User(user_id=other_id.lower(), privileges=rights, acting_id=user.user_id)
        return self._acting[place]

    def document(self) -> dict[str, object]:
        """The answer of `GET applications`."""
        return {
            client_id: {"user_id": user.user_id, "privileges": sorted(user.privileges)} if user else None
            for client_id, user in self._users.items()
        }


def _user_id(client_id: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"sandbox/systemuser/{client_id}"))
