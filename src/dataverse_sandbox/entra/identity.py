"""Who the sandbox is, and the two clocks it lives by."""

import asyncio
import secrets
import time
from dataclasses import asdict, dataclass, field
from typing import Protocol
from uuid import uuid4

from dataverse_sandbox.web_api.routing import Organization


class SandboxClock(Protocol):
    """Time as Unix seconds, and a sleep on the same time: a test brings one that it turns by hand."""

    def now(self) -> float:
        """Unix seconds."""

    async def sleep(self, seconds: float) -> None:
        """Return when so much of this time has passed."""


class RealClock:
    """The machine's time."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxIdentity:
    """A tenant, one application, one environment; and what a local service needs to receive webhooks."""

    tenant_id: str = field(default_factory=lambda: str(uuid4()))
    client_id: str = field(default_factory=lambda: str(uuid4()))
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    user_id: str = field(default_factory=lambda: str(uuid4()))
    business_unit_id: str = field(default_factory=lambda: str(uuid4()))
    organization_id: str = field(default_factory=lambda: str(uuid4()))
    webhook_secret: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    webhook_client_id: str = "didomi"
    webhook_client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def organization(self) -> Organization:
        """What `WhoAmI` tells."""
        return Organization(self.business_unit_id, self.organization_id)

    def document(self) -> dict[str, str]:
        """Every field, secrets included: only for the file that a restart on the same folder reads."""
        return asdict(self)
