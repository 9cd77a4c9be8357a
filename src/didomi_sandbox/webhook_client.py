"""Acts as Didomi: logs in at a token endpoint or sets a static header, then posts (didomi.md 1)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

WEBHOOK_PATH = "/webhooks/didomi"
TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path


@dataclass(frozen=True, slots=True)
class StaticHeader:
    """A custom request header, as the Didomi console lets a customer set it: name and value."""

    name: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """The OAuth client that the customer chose for Didomi."""

    client_id: str

    client_secret: str = field(repr=False)

    scope: str | None = None
    """Requested scope; None: the request has no scope."""

    as_json: bool = False
    """Whether the token request is JSON instead of a form."""


Credentials = StaticHeader | ClientCredentials


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the receiver answered to a notification."""

    status: int
    """HTTP status."""

    answer: object
    """The parsed JSON body; None when the body is not JSON."""

    headers: Mapping[str, str]
    """Response headers."""

    @property
    def is_accepted(self) -> bool:
        """Whether Didomi takes it for delivered. Which statuses count is not documented: 2xx, we assume.

        didomi.md 1.5.
        """
        return 200 <= self.status < 300


class WebhookLoginError(Exception):
    """The token endpoint of the receiver gave no token."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(f"The token endpoint answered {status} ({error}): {_advice(status)}")
        self.status = status
        """HTTP status."""
        self.error = error
        """OAuth error, or the title of a problem document."""


def _advice(status: int) -> str:
    match status:
        case 400 | 401:
            return "check client id and secret (didomi.auth.oauth)."
        case 403:
            return "this machine's address is not on didomi.auth.allowed_addresses."
        case 404:
            return "check the service's address, and that didomi.auth.oauth is set."
        case 429:
            return "too many failed logins; wait, and check client id and secret."
        case _:
            return "look at the service's log."


async def authenticate(
    client: "httpx.AsyncClient", base_url: str, credentials: Credentials | None
) -> dict[str, str]:
    """The request headers that prove Didomi; OAuth fetches a token for them. None: no headers.

    `base_url` is the address of the receiver. Raises WebhookLoginError, and httpx.HTTPError if it is silent.
    """
    match credentials:
        case None:
            return {}
        case StaticHeader(name, value):
            return {name: value}
        case ClientCredentials():
            return {"Authorization": f"Bearer {await fetch_token(client, base_url, credentials)}"}


async def fetch_token(client: "httpx.AsyncClient", base_url: str, credentials: ClientCredentials) -> str:
    """An access token from the receiver. Raises as `authenticate`."""
    fields = {
        "grant_type": "client_credentials",
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
    }
    if credentials.scope is not None:
        fields["scope"] = credentials.scope
    url = base_url.rstrip("/") + TOKEN_PATH
    if credentials.as_json:
        response = await client.post(url, json=fields)
    else:
        response = await client.post(url, data=fields)
    answer = _parse_json(response)
    if response.status_code != 200 or not isinstance(answer, dict) or "access_token" not in answer:
        # What is refused before the login is read is a problem (RFC 9457) with a title, not an OAuth error.
        error = "no JSON"
        if isinstance(answer, dict):
            error = next((answer[name] for name in ("error", "title") if name in answer), "no error given")
        raise WebhookLoginError(response.status_code, str(error))
    return str(answer["access_token"])


async def post_notification(
    client: "httpx.AsyncClient",
    base_url: str,
    body: bytes | Mapping[str, object] | Sequence[Mapping[str, object]],
    headers: Mapping[str, str] | None = None,
) -> Receipt:
    """POST one notification with the headers from `authenticate`; bytes are sent unchanged.

    Raises httpx.HTTPError when there is no answer.
    """
    content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    response = await client.post(
        base_url.rstrip("/") + WEBHOOK_PATH,
        content=content,
        headers={"Content-Type": "application/json", **(headers or {})},
    )
    return Receipt(response.status_code, _parse_json(response), dict(response.headers))


def _parse_json(response: "httpx.Response") -> object:
    try:
        return response.json()
    except ValueError:
        return None
