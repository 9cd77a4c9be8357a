"""The credentials by which Didomi calls a webhook, and the file that keeps them for a restart."""

import json
import os
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

CREDENTIALS_FILE = "webhook-credentials.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookCredentials:
    """Both ways in which Didomi can prove itself to a receiver (didomi.md 1.8)."""

    client_id: str = "didomi"
    """Client id for the receiver's token endpoint."""

    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    """Client secret for the receiver's token endpoint."""

    header_name: str = "X-Webhook-Secret"
    """Name of the static request header."""

    header_value: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    """Value of the static request header."""


def load_or_create_credentials(directory: Path) -> WebhookCredentials:
    """The credentials kept in the folder, so that a restart keeps them; else new ones.

    A file that cannot be read is replaced. Raises OSError when the folder cannot be written.
    """
    path = directory / CREDENTIALS_FILE
    with suppress(OSError, ValueError, TypeError):
        known: dict[str, Any] = json.loads(path.read_text())
        return WebhookCredentials(**known)
    credentials = WebhookCredentials()
    # Readable by its owner only.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(credentials), file)
    return credentials
