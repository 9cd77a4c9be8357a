"""An application of the tenant, and the credentials by which it may ask for tokens (dataverse.md 10)."""

import hmac
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRegistration:
    """The credentials of one application."""

    client_secret: str | None = field(default=None, repr=False)
    """Its client secret; None: it has none."""

    certificates: tuple[bytes, ...] = ()
    """PEM texts of the certificates that are registered with it."""

    subject: str | None = None
    """Subject name (RFC 4514). Any certificate of that name is trusted when the assertion carries it."""

    federated_tokens: frozenset[str] = field(default=frozenset(), repr=False)
    """Assertions that are accepted as they are, in place of the tokens of another identity provider."""


@dataclass(frozen=True, slots=True)
class TokenError:
    """An error of the token endpoint."""

    status: int
    """HTTP status."""

    error: str
    """OAuth error word."""

    code: int
    """Number of the AADSTS code."""

    description: str
    """Text for the caller."""


def check_credential(
    application: AppRegistration, form: Mapping[str, str], *, client_id: str, endpoint: str, now: float
) -> TokenError | None:
    """None when the form proves the application: by secret, by signed assertion, or by federated token."""
    assertion = form.get("client_assertion")
    if assertion is None:
        return _check_secret(application, form, client_id)
    if form.get("client_assertion_type") != _ASSERTION_TYPE:
        return TokenError(400, "invalid_request", 900144, "The client assertion type is missing or unknown.")
    if assertion in application.federated_tokens:
        return None
    try:
        header = jwt.get_unverified_header(assertion)
    except jwt.PyJWTError:
        return TokenError(
            400, "invalid_request", 50027, "The client assertion is malformed or no JSON web token."
        )
    if "x5t#S256" not in header:
        return TokenError(
            400, "invalid_client", 700213, "No matching federated identity record found for this assertion."
        )
    certificate = _find_certificate(application, header)
    if certificate is None:
        return _assertion_error("The key was not found among the registered certificates.")
    return _check_claims(assertion, certificate, client_id=client_id, endpoint=endpoint, now=now)


def _check_secret(application: AppRegistration, form: Mapping[str, str], client_id: str) -> TokenError | None:
    secret = form.get("client_secret")
    if secret is None:
        return TokenError(
            401, "invalid_client", 7000218, "The body must contain 'client_assertion' or 'client_secret'."
        )
    if hmac.compare_digest(secret.encode(), (application.client_secret or "").encode()) and secret:
        return None
    return TokenError(
        401,
        "invalid_client",
        7000215,
        "Invalid client secret provided. Ensure the secret being sent in the request is the client "
        f"secret value, not the client secret ID, for a secret added to app '{client_id}'.",
    )


def _find_certificate(application: AppRegistration, header: Mapping[str, object]) -> x509.Certificate | None:
    """The registered certificate that the header names, or the one in it, if its subject is trusted."""
    try:
        thumbprint = urlsafe_b64decode(str(header["x5t#S256"]) + "==")
    except ValueError:
        return None
    for pem in application.certificates:
        known = x509.load_pem_x509_certificate(pem)
        if known.fingerprint(hashes.SHA256()) == thumbprint:
            return known
    chain = header.get("x5c")
    if application.subject is None or not isinstance(chain, list) or not chain:
        return None
    sent = x509.load_der_x509_certificate(b64decode(chain[0]))
    is_trusted = sent.subject.rfc4514_string() == application.subject
    return sent if is_trusted and sent.fingerprint(hashes.SHA256()) == thumbprint else None


def _check_claims(
    assertion: str, certificate: x509.Certificate, *, client_id: str, endpoint: str, now: float
) -> TokenError | None:
    try:
        claims = jwt.decode(
            assertion,
            certificate.public_key(),  # type: ignore[arg-type]
            algorithms=["PS256"],
            audience=endpoint,
            issuer=client_id,
            # The time is checked against the sandbox's own clock.
            options={
                "require": ["exp", "aud", "iss", "sub", "jti"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
    except jwt.InvalidSignatureError:
        return _assertion_error("The assertion contains an invalid signature.")
    except jwt.PyJWTError:
        return _assertion_error("The assertion's claims are not those of this application and endpoint.")
    if claims["sub"] != client_id:
        return _assertion_error("The assertion's subject is not the application.")
    if now >= claims["exp"]:
        return TokenError(
            401, "invalid_client", 700024, "Client assertion is not within its valid time range."
        )
    return None


def _assertion_error(reason: str) -> TokenError:
    return TokenError(
        401, "invalid_client", 700027, f"Client assertion failed signature validation. {reason}"
    )
