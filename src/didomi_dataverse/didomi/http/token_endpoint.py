"""POST /oauth/token: where Didomi fetches its access token (didomi.md 1.8, docs/reference/http.md)."""

import json
from dataclasses import dataclass
from datetime import timedelta

import structlog
from starlette.requests import Request
from starlette.responses import Response

from didomi_dataverse.clock import Clock
from didomi_dataverse.didomi.auth.access_tokens import AccessTokenIssuer
from didomi_dataverse.didomi.auth.authenticator import WebhookAuthenticator
from didomi_dataverse.didomi.auth.rate_limit import LoginRateLimiter
from didomi_dataverse.didomi.auth.token_request import (
    MAX_TOKEN_REQUEST_BYTES,
    TokenResponse,
    answer_token_request,
    invalid_request,
    too_many_failures,
)
from didomi_dataverse.didomi.http.problem import caller_problem
from didomi_dataverse.didomi.http.request import peer_address, read_body
from didomi_dataverse.errors import CallerError

TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEndpoint:
    """Answers token requests, and makes an address that guesses wait."""

    issuer: AccessTokenIssuer
    authenticator: WebhookAuthenticator
    """Checks the caller's address."""
    clock: Clock
    rate_limiter: LoginRateLimiter
    body_timeout: timedelta
    """How long a caller may take to send a body."""

    async def answer(self, request: Request) -> Response:
        """The answer of RFC 6749, 5; a problem (RFC 9457) when the request does not get that far."""
        log = structlog.get_logger(__name__)
        try:
            address = self.authenticator.check_address(
                peer=peer_address(request), get_header=request.headers.getlist
            )
            wait_seconds = self.rate_limiter.wait_seconds(address, self.clock.monotonic())
            if wait_seconds:
                log.warning("token_refused", status=429)
                return _encode(too_many_failures(wait_seconds))
            body = await read_body(request, max_bytes=MAX_TOKEN_REQUEST_BYTES, timeout=self.body_timeout)
        except CallerError as error:
            log.warning("token_refused", status=error.status, cause=type(error).__name__, detail=str(error))
            return caller_problem(error)
        response = self._answer_body(request, body)
        if response.is_failed_login:
            self.rate_limiter.record_failure(address, self.clock.monotonic())
        if response.status == 200:
            log.info("token_issued")
        else:
            log.warning("token_refused", status=response.status, cause=response.members["error"])
        return _encode(response)

    def _answer_body(self, request: Request, body: bytes) -> TokenResponse:
        authorization = request.headers.getlist("authorization")
        if len(authorization) > 1:
            return invalid_request("More than one Authorization header.")
        return answer_token_request(
            self.issuer,
            content_type=request.headers.get("content-type", ""),
            authorization=authorization[0] if authorization else None,
            body=body,
            now=self.clock.now(),
        )


def _encode(response: TokenResponse) -> Response:
    return Response(
        json.dumps(dict(response.members)),
        status_code=response.status,
        media_type="application/json",
        headers=dict(response.headers),
    )
