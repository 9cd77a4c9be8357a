"""From the configuration to the parts that receive: who may call, and how a notification is read."""

from collections.abc import Callable

from didomi_dataverse.config.settings import Auth
from didomi_dataverse.didomi.auth.access_tokens import create_issuer
from didomi_dataverse.didomi.auth.authenticator import WebhookAuthenticator
from didomi_dataverse.didomi.auth.credentials import StaticHeader
from didomi_dataverse.didomi.auth.ip_allowlist import IpAllowlist
from didomi_dataverse.didomi.auth.jwks import Fetch, JwksVerifier


def build_authenticator(auth: Auth, *, fetch: Fetch, monotonic: Callable[[], float]) -> WebhookAuthenticator:
    """The authenticator of a configuration. `fetch` gets an identity provider's keys when they are needed."""
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
