"""The ids and the secret of a sandbox, and the file that keeps them for a restart."""

import json
import os
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dataverse_sandbox.guid import new_guid

IDENTITY_FILE = "identity.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxIdentity:
    """A tenant, one application with its user, and one environment."""

    tenant_id: str = field(default_factory=new_guid)
    """Id of the Entra tenant."""

    client_id: str = field(default_factory=new_guid)
    """Id of the application that may log in from the start."""

    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    """Secret of that application."""

    user_id: str = field(default_factory=new_guid)
    """Id of its application user in the environment."""

    business_unit_id: str = field(default_factory=new_guid)
    """Id of the root business unit, as `WhoAmI` states it."""

    organization_id: str = field(default_factory=new_guid)
    """Id of the environment, as `WhoAmI` states it."""


def load_or_create_identity(directory: Path) -> SandboxIdentity:
    """The identity kept in the folder, so that a restart accepts the same callers; else a new one."""
    path = directory / IDENTITY_FILE
    with suppress(OSError, ValueError, TypeError):
        known: dict[str, Any] = json.loads(path.read_text())
        return SandboxIdentity(**known)
    identity = SandboxIdentity()
    # Readable by its owner only: it holds the secret.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(identity), file)
    return identity
