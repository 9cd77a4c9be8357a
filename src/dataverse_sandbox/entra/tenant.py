"""A Microsoft Entra tenant: discovery, the token endpoint, and the check of tokens (dataverse.md 10)."""

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from urllib.parse import parse_qs
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from dataverse_sandbox.entra.app_registration import AppRegistration, TokenError, check_credential
from dataverse_sandbox.entra.identity import SandboxIdentity
from dataverse_sandbox.errors import ODataError
from dataverse_sandbox.guid import new_guid
from dataverse_sandbox.messages import Request, Response
from dataverse_sandbox.options import SandboxOptions

_REMEMBERED_TOKENS = 1000
"""Verified tokens that are kept. Too small: signatures are verified again and again. Too large: memory."""


class EntraTenant:
    """The sign-in service. It signs with `key`; without one it creates a key, and refuses older tokens."""

    def __init__(
        self, identity: SandboxIdentity, options: SandboxOptions, key: rsa.RSAPrivateKey | None = None
    ) -> None:
        self._identity = identity
        self._options = options
        self._key = key or rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._key_id = uuid4().hex
        self._verified: dict[str, tuple[float, str]] = {}
        self._applications = {identity.client_id: AppRegistration(client_secret=identity.client_secret)}

    def register(self, client_id: str, application: AppRegistration) -> None:
        """Add an application to the tenant, or replace the credentials of a known one."""
        self._applications[client_id] = application

    def answer(self, request: Request, now: float) -> Response | None:
        """The response to a request of the sign-in service, or None for a path of another service."""
        base = f"https://{request.headers.get('host', 'localhost')}"
        segments = request.path.strip("/").split("/")
        match segments:
            case ["common", "discovery", "instance"] if request.method == "GET":
                return self._discover_instance(base)
            case [tenant, *rest]:
                match rest:
                    case ["v2.0", ".well-known", "openid-configuration"] if request.method == "GET":
                        return self._openid_configuration(base, tenant)
                    case ["discovery", "v2.0", "keys"] if request.method == "GET":
                        return _json_response(200, {"keys": [self._public_key()]})
                    case ["oauth2", "v2.0", "token"] if request.method == "POST":
                        return self._issue_token(request, base, tenant, now)
                    case _:
                        pass
            case _:
                pass
        return None

    def authenticate(self, request: Request, now: float) -> str:
        """The client id of the application that holds the bearer token. Raises 401 (dataverse.md 5.3)."""
        base = f"https://{request.headers.get('host', 'localhost')}"
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise self._unauthorized_error(base, "0x80044302", "No bearer token was given.")
        verified = self._verified.get(token)
        if verified is None:
            verified = self._verify(token, base)
            if len(self._verified) >= _REMEMBERED_TOKENS:
                self._verified.clear()
            self._verified[token] = verified
        expires_at, client_id = verified
        if now >= expires_at:
            raise self._unauthorized_error(base, "0x8004a101", "The token has expired.")
        return client_id

    def _verify(self, token: str, base: str) -> tuple[float, str]:
        """(expiry in Unix seconds, client id) of a token. Raises 401."""
        try:
            claims = jwt.decode(
                token,
                self._key.public_key(),
                algorithms=["RS256"],
                # The time is checked against the sandbox's own clock.
                options={
                    "require": ["exp", "aud", "appid"],
                    "verify_aud": False,
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.PyJWTError:
            raise self._unauthorized_error(
                base, "0x8004a102", "The token is not one of this tenant."
            ) from None
        if claims["aud"] not in _resource_urls(base) or claims["appid"] not in self._applications:
            raise self._unauthorized_error(base, "0x8004a102", "The token is meant for another resource.")
        return float(claims["exp"]), str(claims["appid"])

    def _unauthorized_error(self, base: str, code: str, message: str) -> ODataError:
        authorization_uri = f"{base}/{self._identity.tenant_id}/oauth2/authorize"
        challenge = f"Bearer authorization_uri={authorization_uri}, resource_id={base}/"
        has_challenge = self._options.unauthorized_challenge
        return ODataError(401, code, message, (("WWW-Authenticate", challenge),) if has_challenge else ())

    def _discover_instance(self, base: str) -> Response:
        host = base.removeprefix("https://")
        configuration = f"{base}/{self._identity.tenant_id}/v2.0/.well-known/openid-configuration"
        return _json_response(
            200,
            {
                "tenant_discovery_endpoint": configuration,
                "api-version": "1.1",
                "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
            },
        )

    def _openid_configuration(self, base: str, tenant: str) -> Response:
        if not self._is_tenant(tenant):
            return _error_response(_unknown_tenant(tenant), base)
        root = f"{base}/{tenant}"
        return _json_response(
            200,
            {
                "token_endpoint": f"{root}/oauth2/v2.0/token",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "jwks_uri": f"{root}/discovery/v2.0/keys",
                "response_modes_supported": ["query", "fragment", "form_post"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "response_types_supported": ["code", "id_token", "code id_token"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "issuer": f"{root}/v2.0",
                "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
            },
        )

    def _issue_token(self, request: Request, base: str, tenant: str, now: float) -> Response:
        try:
            form = {
                name: values[0] for name, values in parse_qs(request.body.decode(), max_num_fields=50).items()
            }
        except ValueError:
            form = {}
        error = self._check_token_request(form, base, tenant, now)
        if error is not None:
            return _error_response(error, base)
        issued_at, lifetime = int(now), self._options.token_seconds
        claims = {
            "aud": form["scope"].removesuffix("/.default"),
            "iss": f"{base}/{tenant}/",
            "iat": issued_at,
            "nbf": issued_at,
            "exp": issued_at + lifetime,
            "appid": form["client_id"],
            "oid": self._identity.user_id,
            "tid": self._identity.tenant_id,
            "uti": uuid4().hex,
            "ver": "1.0",
        }
        token = jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._key_id})
        granted: dict[str, object] = {
            "token_type": "Bearer",
            "expires_in": lifetime,
            "ext_expires_in": lifetime,
            "access_token": token,
        }
        if self._options.token_refresh_seconds is not None:
            granted["refresh_in"] = self._options.token_refresh_seconds
        return _json_response(200, granted)

    def _check_token_request(
        self, form: dict[str, str], base: str, tenant: str, now: float
    ) -> TokenError | None:
        if not self._is_tenant(tenant):
            return _unknown_tenant(tenant)
        if form.get("grant_type") != "client_credentials":
            return TokenError(
                400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type."
            )
        client_id = form.get("client_id", "")
        application = self._applications.get(client_id)
        if application is None:
            return TokenError(
                400,
                "unauthorized_client",
                700016,
                f"Application with identifier '{client_id}' was not found in the directory '{tenant}'.",
            )
        endpoint = f"{base}/{tenant}/oauth2/v2.0/token"
        error = check_credential(application, form, client_id=client_id, endpoint=endpoint, now=now)
        if error is not None:
            return error
        scope = form.get("scope", "")
        if not scope.endswith("/.default"):
            return TokenError(
                400, "invalid_scope", 1002012, f"The provided value for scope {scope} is not valid."
            )
        resource = scope.removesuffix("/.default")
        if resource not in _resource_urls(base):
            return TokenError(
                400,
                "invalid_resource",
                500011,
                f"The resource principal named {resource} was not found in the tenant named {tenant}.",
            )
        return None

    def _is_tenant(self, tenant: str) -> bool:
        return tenant.lower() == self._identity.tenant_id

    def _public_key(self) -> dict[str, str]:
        numbers = self._key.public_key().public_numbers()
        return {
            "kty": "RSA",
            "use": "sig",
            "kid": self._key_id,
            "n": _encode_number(numbers.n),
            "e": _encode_number(numbers.e),
        }


def _error_response(error: TokenError, base: str) -> Response:
    trace_id, correlation_id = new_guid(), new_guid()
    timestamp = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}"
    return _json_response(
        error.status,
        {
            "error": error.error,
            "error_description": f"AADSTS{error.code}: {error.description} Trace ID: {trace_id} "
            f"Correlation ID: {correlation_id} Timestamp: {timestamp}",
            "error_codes": [error.code],
            "timestamp": timestamp,
            "trace_id": trace_id,
            "correlation_id": correlation_id,
            "error_uri": f"{base}/error?code={error.code}",
        },
    )


def _unknown_tenant(tenant: str) -> TokenError:
    return TokenError(400, "invalid_request", 90002, f"Tenant '{tenant}' not found.")


def _resource_urls(base: str) -> frozenset[str]:
    """The URL of the environment, by each of its loopback names."""
    port = base.removeprefix("https://").rpartition(":")[2]
    return frozenset({base, f"https://localhost:{port}", f"https://127.0.0.1:{port}"})


def _encode_number(number: int) -> str:
    """Base64url without padding, as a JSON web key writes numbers (RFC 7518, 2).

    >>> _encode_number(65537)
    'AQAB'
    """
    return urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8)).rstrip(b"=").decode()


def _json_response(status: int, document: object) -> Response:
    headers = (("Content-Type", "application/json; charset=utf-8"), ("Cache-Control", "no-store, no-cache"))
    return Response(status, headers, json.dumps(document).encode())
