"""The command `send`: act as Didomi would, with the credentials that the configuration gives to Didomi."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from didomi_dataverse.config.settings import Auth, Settings
from didomi_sandbox.webhook_client import (
    ClientCredentials,
    Receipt,
    StaticHeader,
    authenticate,
    post_notification,
)

_TIMEOUT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Sent:
    """What the service answered to one file."""

    file: Path
    receipt: Receipt

    @property
    def is_stored(self) -> bool:
        """It was acknowledged, and so is kept for good."""
        return self.receipt.is_accepted

    def view(self) -> dict[str, Any]:
        """For a program to read."""
        return {"file": str(self.file), "status": self.receipt.status, "answer": self.receipt.answer}

    def text(self) -> str:
        """For a person to read."""
        return f"{self.file}: {self.receipt.status} {json.dumps(self.receipt.answer)}"


async def send_files(settings: Settings, files: Sequence[Path], *, url: str | None) -> list[Sent]:
    """Posts each file as one webhook body, in the order given, and returns the answers.

    `url` is the service's address; by default where these settings make it listen. Raises httpx.HTTPError
    when the service cannot be reached, and WebhookLoginError when it gives no token.
    """
    base_url = url or f"http://{_reachable(settings.server.host)}:{settings.server.port}"
    # To the service itself, never through a proxy of the environment.
    async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=url is not None) as client:
        headers = await authenticate(client, base_url, credentials_of(settings.didomi.auth))
        return [
            Sent(file, await post_notification(client, base_url, file.read_bytes(), headers))
            for file in files
        ]


def credentials_of(auth: Auth) -> StaticHeader | ClientCredentials | None:
    """One of the ways that the configuration accepts: OAuth, which Didomi prefers, else the static header."""
    if auth.oauth is not None:
        secret = auth.oauth.client_secret[0].get_secret_value()
        return ClientCredentials(auth.oauth.client_id, secret)
    if auth.header is not None:
        return StaticHeader(auth.header.name, auth.header.value[0].get_secret_value())
    return None


def _reachable(host: str) -> str:
    """An address to call for one to listen on: "everywhere" is no place to call."""
    if host in {"0.0.0.0", ""}:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host
