"""POST /oauth/token: Didomi fetches its access token here (didomi.md 1.8)."""

import json
from dataclasses import dataclass
from datetime import timedelta

import structlog
from starlette.requests import Request
from starlette.responses import Response

from didomi_dataverse.clock import Clock
from didomi_dataverse.didomi.auth.access_tokens import AccessTokenIssuer
from didomi_dataverse.didomi.auth.authenticator import WebhookAuthenticator, peer_of
from didomi_dataverse.didomi.auth.rate_limit import LoginRateLimiter
from didomi_dataverse.didomi.auth.token_request import (
    MAX_TOKEN_REQUEST_BYTES,
    TokenAnswer,
    answer_token_request,
    invalid_request,
    too_many_failures,
)
from didomi_dataverse.didomi.http.body import read_body
from didomi_dataverse.didomi.http.problem import problem_of
from didomi_dataverse.errors import CallerError


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEndpoint:
    """Answers token requests, and lets an address that guesses wait."""

    tokens: AccessTokenIssuer
    gate: WebhookAuthenticator
    clock: Clock
    failures: LoginRateLimiter
    body_timeout: timedelta

    async def answer(self, request: Request) -> Response:
        """The answer of RFC 6749, 5; a problem (RFC 9457) when the request does not get that far."""
        log = structlog.get_logger(__name__)
        try:
            address = self.gate.check_address(peer=peer_of(request), headers=request.headers)
            wait_seconds = self.failures.wait_seconds(address, self.clock.monotonic())
            if wait_seconds:
                log.warning("token_refused", status=429)
                return _response(too_many_failures(wait_seconds))
            body = await read_body(request, max_bytes=MAX_TOKEN_REQUEST_BYTES, timeout=self.body_timeout)
        except CallerError as error:
            log.warning("token_refused", status=error.status, cause=type(error).__name__, detail=str(error))
            return problem_of(error)
        answer = self._answer(request, body)
        if answer.is_failed_login:
            self.failures.failed(address, self.clock.monotonic())
        if answer.status == 200:
            log.info("token_issued")
        else:
            log.warning("token_refused", status=answer.status, cause=answer.members["error"])
        return _response(answer)

    def _answer(self, request: Request, body: bytes) -> TokenAnswer:
        authorization = request.headers.getlist("authorization")
        if len(authorization) > 1:
            return invalid_request("More than one Authorization header.")
        return answer_token_request(
            self.tokens,
            content_type=request.headers.get("content-type", ""),
            authorization=authorization[0] if authorization else None,
            body=body,
            now=self.clock.now(),
        )


def _response(answer: TokenAnswer) -> Response:
    return Response(
        json.dumps(dict(answer.members)),
        status_code=answer.status,
        media_type="application/json",
        headers=dict(answer.headers),
    )
