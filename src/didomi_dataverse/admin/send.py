"""`send`: act as Didomi, with the credentials that the configuration gives to Didomi."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from didomi_dataverse.admin.view import View
from didomi_dataverse.config.settings import Auth, Settings
from didomi_sandbox.webhook_client import (
    ClientCredentials,
    Receipt,
    StaticHeader,
    authenticate,
    post_notification,
)

_TIMEOUT_SECONDS = 30.0
"""How long one request may take. The service answers 503 before that when its store stalls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendResult(View):
    """What the service answered to one file."""

    file: str
    """The file's path as it was given."""

    status: int
    """The HTTP status."""

    answer: object
    """The JSON of the answer; None when it was not JSON."""

    @property
    def is_stored(self) -> bool:
        """Was the body acknowledged, and so durably stored?"""
        return 200 <= self.status < 300


async def send_files(settings: Settings, files: Sequence[Path], *, url: str | None) -> list[SendResult]:
    """Post each file as one webhook body, in the order given.

    `url` is the service's address, by default where these settings make it listen. Raises httpx.HTTPError
    when the service cannot be reached, and webhook_client.WebhookLoginError when it gives no token.
    """
    base_url = url or f"http://{callable_host(settings.server.host)}:{settings.server.port}"
    # A proxy of the environment is used only for an address that was given: the default is this machine.
    async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=url is not None) as client:
        headers = await authenticate(client, base_url, webhook_credentials(settings.didomi.auth))
        return [
            _result(file, await post_notification(client, base_url, file.read_bytes(), headers))
            for file in files
        ]


def webhook_credentials(auth: Auth) -> StaticHeader | ClientCredentials | None:
    """One of the accepted ways to authenticate: OAuth, which Didomi prefers, else the static header; None
    when neither is configured.
    """
    if auth.oauth is not None:
        secret = auth.oauth.client_secret[0].get_secret_value()
        return ClientCredentials(auth.oauth.client_id, secret)
    if auth.header is not None:
        return StaticHeader(auth.header.name, auth.header.value[0].get_secret_value())
    return None


def callable_host(listening: str) -> str:
    """The host to call for an address to listen on.

    >>> callable_host("0.0.0.0"), callable_host("::"), callable_host("::1"), callable_host("example.com")
    ('127.0.0.1', '[::1]', '[::1]', 'example.com')
    """
    if listening in {"0.0.0.0", ""}:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    if listening == "::":
        return "[::1]"
    return f"[{listening}]" if ":" in listening else listening


def _result(file: Path, receipt: Receipt) -> SendResult:
    return SendResult(file=str(file), status=receipt.status, answer=receipt.answer)
