"""The token for Dataverse: a copy of the last good one, renewed ahead of its expiry by an unmodified MSAL.

MSAL blocks, makes a request for every thread, and raises on a failing server even while it holds a usable
token (dataverse.md 10). So it runs in a thread, one request at a time, and what it returned is kept here.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from didomi_dataverse.clock import Clock
from didomi_dataverse.dataverse.auth.credentials import Application, BlockingHttp, CredentialUnreadableError
from didomi_dataverse.dataverse.keys import GUID_PATTERN
from didomi_dataverse.dataverse.tls import find_tls_error
from didomi_dataverse.errors import DataverseError, TokenRefusedError, TokenUnavailableError

PUBLIC_AUTHORITY: Final = "https://login.microsoftonline.com"

_RENEW_AHEAD: Final = timedelta(minutes=10)
"""A token is renewed when less than this is left (dataverse.md 10, "Wrapper"). Too small: a failing Entra
stops delivery sooner. Too large: more requests."""

_STOP_AHEAD: Final = timedelta(seconds=60)
"""A token is used until this close to its end (dataverse.md 10, "Wrapper"). Too small: it may end during a
call. Too large: a failing Entra stops delivery sooner."""

_REFUSAL_INTERVAL: Final = timedelta(minutes=1)
"""How often, at most, a token is renewed because Dataverse refused it. Too small: Entra throttles. Too large:
a right that was granted counts late."""

_BACKGROUND_INTERVAL: Final = timedelta(seconds=30)
"""How often, at most, a renewal is tried while the token is still good. Too small: Entra throttles. Too
large: few tries before the token ends."""

# dataverse.md 10, "Frequent token errors".
_ADVICE: Final = {
    7000215: "The client secret is wrong. Copy the secret's value (not its id) from the app registration.",
    7000222: "The client secret has expired. Create a new one in the app registration.",
    7000218: "No credential was sent. Set `dataverse.client_secret`, or another way to log in.",
    # General knowledge of Entra, like the others; the words are in its own error pages.
    700024: "The clock of this machine is wrong, or the federated token has ended.",
    700027: "The app registration does not know this certificate. Upload it there (or, with "
    "`client_certificate.send_chain`, let it trust the certificate's subject).",
    70021: "The app registration has no federated credential for this token's issuer and subject.",
    700213: "The app registration has no federated credential for this token's issuer and subject.",
    700016: "The tenant has no such application. Check `dataverse.client_id` and `dataverse.tenant_id`.",
    90002: "There is no such tenant. Check `dataverse.tenant_id`.",
    500011: "The tenant has no such environment. Check `dataverse.url` and `dataverse.tenant_id`.",
}
_OTHER_ADVICE: Final = "Check the app registration, `dataverse.tenant_id`, `client_id` and the credential."
_AUTHORITY_ADVICE: Final = (
    "Microsoft Entra does not know the tenant, or this is not its address. Check `dataverse.tenant_id` and "
    "`dataverse.authority`."
)
# OAuth's words for a refusal that repeating cannot change. Any other (temporarily_unavailable, server_error,
# ...) may pass.
_REFUSALS: Final = frozenset(
    {
        "access_denied",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_resource",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)


def authority_url(authority: str | None, tenant_id: str) -> str:
    """The authority with its path. Raises ValueError unless it is https, as MSAL demands (dataverse.md 10).

    >>> authority_url(None, "acme")
    'https://login.microsoftonline.com/acme'
    """
    base = (authority or PUBLIC_AUTHORITY).rstrip("/")
    parts = urlsplit(base)
    if parts.scheme != "https" or not parts.netloc:
        raise ValueError("the authority must be an https URL")
    return base if parts.path.strip("/") else f"{base}/{tenant_id}"


@dataclass(frozen=True, slots=True)
class _Held:
    """A token that was good when it came, when to renew it, and until when to use it."""

    token: str = field(repr=False)
    renew_from: datetime
    usable_until: datetime


class TokenCache:
    """Returns a token that is good now, or raises an error that says who must act. For one event loop.

    Callers share one request to Microsoft Entra. While a token is good, no caller waits: it is renewed in the
    background, and a failing Entra is noticed only when the token ends.
    """

    def __init__(
        self,
        open_application: Callable[[], Application],
        *,
        scope: str,
        clock: Clock,
        http: BlockingHttp | None = None,
    ) -> None:
        """`open_application` may block and fail: it is called in a thread, and again until it succeeds.

        `http` are the connections that it uses; they are closed with the cache.
        """
        self._open = open_application
        self._http = http
        self._scope = scope
        self._clock = clock
        self._application: Application | None = None
        self._held: _Held | None = None
        self._flight: asyncio.Task[_Held] | None = None
        self._tried_at: datetime | None = None
        self._refused_s: float | None = None

    async def bearer(self) -> str:
        """The token.

        Raises TokenRefusedError when a person must act, TokenUnavailableError when the failure may pass.
        """
        held, now = self._held, self._clock.now()
        if held is None or now >= held.usable_until:
            return (await self._renewal()).token
        if now >= held.renew_from and (
            self._tried_at is None or now - self._tried_at >= _BACKGROUND_INTERVAL or now < self._tried_at
        ):
            self._start()
        return held.token

    async def renew(self, rejected: str) -> bool:
        """Renews the token because Dataverse refused this one. Whether there is another to try with.

        At most once a minute: a token that is refused for missing rights is refused again, and each new one
        costs Entra a request. Raises as `bearer`.
        """
        if self._flight is not None:
            return (await self._renewal()).token != rejected
        if self._held is not None and self._held.token != rejected:
            return True
        now_s = self._clock.monotonic()
        if self._refused_s is not None and now_s - self._refused_s < _REFUSAL_INTERVAL.total_seconds():
            return False
        self._refused_s = now_s
        self._held = None
        return (await self._renewal()).token != rejected

    async def aclose(self) -> None:
        """Aborts a request under way and closes the connections."""
        if self._flight is not None:
            self._flight.cancel()
            with suppress(asyncio.CancelledError, DataverseError):
                await self._flight
        if self._http is not None:
            self._http.close()

    async def _renewal(self) -> _Held:
        # Shielded: a caller that is cancelled must not cancel the request of the others.
        return await asyncio.shield(self._start())

    def _start(self) -> "asyncio.Task[_Held]":
        if self._flight is None:
            self._tried_at = self._clock.now()
            self._flight = asyncio.create_task(self._fetch())
            self._flight.add_done_callback(self._end_flight)
        return self._flight

    def _end_flight(self, flight: "asyncio.Task[_Held]") -> None:
        self._flight = None
        if not flight.cancelled():
            # asyncio warns of an exception that is never read; without a caller nothing else reads it.
            flight.exception()

    async def _fetch(self) -> _Held:
        asked_at = self._clock.now()
        answer = await asyncio.to_thread(self._ask)
        token = answer.get("access_token")
        if not isinstance(token, str) or not token:
            raise _build_error(answer)
        life = timedelta(seconds=float(answer.get("expires_in", 300)))
        self._held = _Held(
            token,
            # A share of its life where that is short: otherwise a new token could be too old to use at once.
            renew_from=asked_at + life - min(_RENEW_AHEAD, life / 2),
            usable_until=asked_at + life - min(_STOP_AHEAD, life / 10),
        )
        return self._held

    def _ask(self) -> Mapping[str, Any]:
        """Runs in a thread, never two at once."""
        if self._application is None:
            try:
                self._application = self._open()
            except CredentialUnreadableError as unreadable:
                raise TokenRefusedError(str(unreadable)) from unreadable
            except ValueError as unknown:
                raise TokenRefusedError(_AUTHORITY_ADVICE) from unknown
            # Opening asks Entra for its metadata, and fails as the request below does.
            except Exception as failure:
                raise _unreachable(failure) from failure
        try:
            # MSAL would return its own copy until 300 s before its end. The copy kept here outlives a failure
            # of this request.
            self._application.remove_tokens_for_client()
            return self._application.acquire_token_for_client([self._scope])
        except CredentialUnreadableError as unreadable:
            raise TokenRefusedError(str(unreadable)) from unreadable
        # MSAL raises its own errors, and passes on those of its HTTP client and JSON parser.
        except Exception as failure:
            raise _unreachable(failure) from failure


def _unreachable(failure: Exception) -> TokenUnavailableError:
    # Only the kind: the text may hold addresses and bodies.
    kind = type(find_tls_error(failure) or failure).__name__
    return TokenUnavailableError(
        f"Microsoft Entra cannot be reached or is failing ({kind}). It is tried again. "
        "If it stays so, check the network, the proxy, `dataverse.authority` and `dataverse.ca_bundle`."
    )


def _build_error(answer: Mapping[str, Any]) -> DataverseError:
    """The error that MSAL's error dictionary stands for (dataverse.md 10), without the ids and names that it
    quotes.
    """
    error = str(answer.get("error") or "no token in the answer")
    description = str(answer.get("error_description") or "")
    codes = [code for code in answer.get("error_codes") or () if isinstance(code, int)]
    codes += [int(code) for code in re.findall(r"AADSTS(\d{4,8})", description)]
    known = next((code for code in codes if code in _ADVICE), None)
    word = re.sub(r"[^A-Za-z_ ]", "", error)[:40]
    sign = ", ".join([word, *(f"AADSTS{code}" for code in dict.fromkeys(codes))])
    if known is not None or error in _REFUSALS:
        advice = _OTHER_ADVICE if known is None else _ADVICE[known]
        quoted = f" {_first_sentence(description)}" if known is None and description else ""
        return TokenRefusedError(f"Microsoft Entra refuses the credential ({sign}). {advice}{quoted}")
    return TokenUnavailableError(f"Microsoft Entra gives no token now ({sign}). It is tried again.")


def _first_sentence(description: str) -> str:
    line = re.split(r"Trace ID|Correlation ID|[\r\n]", description)[0]
    line = re.sub(rf"'[^']*'|\"[^\"]*\"|{GUID_PATTERN}", "***", line)
    return f'Entra says: "{line.strip()[:200]}"'
