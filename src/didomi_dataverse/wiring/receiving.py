"""From the configuration to the parts that receive: who may call, and the two routes."""

from collections.abc import Callable
from datetime import timedelta

import httpx
from fastapi import FastAPI

from didomi_dataverse.clock import Clock
from didomi_dataverse.config.settings import Auth
from didomi_dataverse.didomi.auth.access_tokens import create_issuer
from didomi_dataverse.didomi.auth.authenticator import WebhookAuthenticator
from didomi_dataverse.didomi.auth.credentials import StaticHeader
from didomi_dataverse.didomi.auth.ip_allowlist import IpAllowlist
from didomi_dataverse.didomi.auth.jwks import Fetch, JwksVerifier, fetch_with
from didomi_dataverse.didomi.http.routes import add_routes
from didomi_dataverse.didomi.http.webhook import Ingest, WebhookMetrics
from didomi_dataverse.wiring.configuration import Configuration
from didomi_dataverse.wiring.policies import interpretation_policy

IDENTITY_PROVIDER_TIMEOUT = timedelta(seconds=10)
"""How long one request to your identity provider may take. Too small: a slow provider counts as unavailable.
Too large: callers wait for their answer that long while there is no key.
"""


def open_identity_provider_client() -> httpx.AsyncClient:
    """The HTTP client that fetches an identity provider's keys. The caller closes it."""
    return httpx.AsyncClient(timeout=IDENTITY_PROVIDER_TIMEOUT.total_seconds(), follow_redirects=False)


def add_receiving_routes(
    app: FastAPI,
    configuration: Configuration,
    *,
    ingest: Ingest,
    identity_provider: httpx.AsyncClient,
    metrics: WebhookMetrics,
    clock: Clock,
) -> None:
    """Add the webhook, and the token endpoint where OAuth is configured. `ingest` stores interpreted
    notifications durably; `metrics` counts notifications and refusals.
    """
    settings = configuration.settings
    add_routes(
        app,
        ingest=ingest,
        authenticator=build_authenticator(
            settings.didomi.auth, fetch=fetch_with(identity_provider), monotonic=clock.monotonic
        ),
        policy=interpretation_policy(configuration),
        clock=clock,
        max_body_bytes=settings.server.max_body_bytes,
        metrics=metrics,
    )


def build_authenticator(auth: Auth, *, fetch: Fetch, monotonic: Callable[[], float]) -> WebhookAuthenticator:
    """What decides whether a caller is accepted. `fetch` gets the identity provider's keys when they are
    needed, `monotonic` gives seconds of a clock that never goes back.
    """
    oauth, jwt, header = auth.oauth, auth.jwt, auth.header
    return WebhookAuthenticator(
        access_tokens=None
        if oauth is None
        else create_issuer(
            client_id=oauth.client_id,
            client_secrets=[secret.get_secret_value() for secret in oauth.client_secret],
            lifetime=oauth.token_lifetime,
        ),
        verify_jwt=None
        if jwt is None
        else JwksVerifier(
            issuer=jwt.issuer,
            audience=jwt.audience,
            jwks_url=jwt.jwks_url,
            fetch=fetch,
            monotonic=monotonic,
        ).verify,
        static_header=None
        if header is None
        else StaticHeader(
            name=header.name, values=tuple(secret.get_secret_value() for secret in header.value)
        ),
        ip_allowlist=IpAllowlist(allowed=auth.allowed_addresses, trusted_proxies=auth.trusted_proxies),
        allow_anonymous=auth.anonymous,
    )
