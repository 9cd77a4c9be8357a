"""What the token endpoint answers: client credentials in every form that Didomi may use (didomi.md 1.8, RFC
6749 4.4).
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qsl, unquote_plus

from didomi_dataverse.didomi.auth.access_tokens import AccessTokenIssuer
from didomi_dataverse.didomi.auth.credentials import MAX_CREDENTIAL_CHARACTERS

MAX_TOKEN_REQUEST_BYTES = 32_768
"""Too small: two credentials of the greatest length do not fit. Too large: memory for unknown callers."""

_MAX_FIELDS = 50
_CLIENT_CREDENTIALS = "client_credentials"

# Didomi's own names come first; the others are common in JSON clients.
_SPELLINGS = {
    "grant_type": ("grant_type", "grantType"),
    "client_id": ("client_id", "clientId"),
    "client_secret": ("client_secret", "clientSecret"),
    "scope": ("scope",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenResponse:
    """The response to a token request (RFC 6749, 5.1 and 5.2)."""

    status: int
    """The HTTP status."""
    members: Mapping[str, str | int] = field(repr=False)
    """The JSON body."""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_failed_login(self) -> bool:
        """Whether the request presented credentials that are not the client's."""
        return self.status == 401


class _TokenRequestError(Exception):
    """The request is not granted. `code` and `description` are those of RFC 6749, 5.2."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description


@dataclass(frozen=True, slots=True, kw_only=True)
class _Credentials:
    client_id: bytes
    secret: bytes = field(repr=False)


def answer_token_request(
    issuer: AccessTokenIssuer, *, content_type: str, authorization: str | None, body: bytes, now: datetime
) -> TokenResponse:
    """The response to a token request. `authorization` is the header of that name; None when absent."""
    try:
        return _grant(issuer, content_type=content_type, authorization=authorization, body=body, now=now)
    except _TokenRequestError as error:
        return _refuse(error, with_basic=authorization is not None)


def _grant(
    issuer: AccessTokenIssuer, *, content_type: str, authorization: str | None, body: bytes, now: datetime
) -> TokenResponse:
    fields = _parse_fields(body, content_type)
    scope = _parse_scope(fields)
    candidates = [*_credentials_from_basic(authorization), *_credentials_from_fields(fields)]
    if not candidates:
        raise _TokenRequestError(
            "invalid_request", "No client credentials in the body or as Authorization: Basic."
        )
    # Every candidate is checked, so that the time does not tell which one was right.
    keys = [issuer.find_signing_key(candidate.client_id, candidate.secret) for candidate in candidates]
    key = next((key for key in keys if key is not None), None)
    if key is None:
        raise _TokenRequestError("invalid_client", "Unknown client id, or wrong client secret.")
    # A missing grant type can only mean the one that is supported (didomi.md 1.8).
    if fields.get("grant_type", _CLIENT_CREDENTIALS) != _CLIENT_CREDENTIALS:
        raise _TokenRequestError("unsupported_grant_type", "Only client_credentials is supported.")
    members: dict[str, str | int] = {
        "access_token": issuer.issue(key, now),
        "token_type": "Bearer",
        "expires_in": int(issuer.lifetime.total_seconds()),
    }
    if scope:
        members["scope"] = scope
    return TokenResponse(status=200, members=members, headers=_NOT_STORED)


_NOT_STORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def too_many_failures(wait_seconds: int) -> TokenResponse:
    """The response to an address that has failed too often."""
    return TokenResponse(
        status=429,
        members={
            "error": "invalid_client",
            "error_description": "Too many failures from this address. Try later.",
        },
        headers={**_NOT_STORED, "Retry-After": str(wait_seconds)},
    )


def invalid_request(description: str, *, status: int = 400) -> TokenResponse:
    """The response to a request that cannot be parsed at all."""
    return TokenResponse(
        status=status,
        members={"error": "invalid_request", "error_description": description},
        headers=_NOT_STORED,
    )


def _refuse(error: _TokenRequestError, *, with_basic: bool) -> TokenResponse:
    is_login = error.code == "invalid_client"
    headers = dict(_NOT_STORED)
    if is_login and with_basic:
        headers["WWW-Authenticate"] = 'Basic realm="didomi-dataverse"'  # RFC 6749, 5.2
    return TokenResponse(
        status=401 if is_login else 400,
        members={"error": error.code, "error_description": error.description},
        headers=headers,
    )


def _parse_fields(body: bytes, content_type: str) -> dict[str, str]:
    """The fields that we know, by their first spelling, from a form or from JSON."""
    if not body.strip():
        return {}
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _TokenRequestError("invalid_request", "The body is not UTF-8.") from None
    media_type = content_type.partition(";")[0].strip().lower()
    is_form_first = media_type == "application/x-www-form-urlencoded"
    for parse in (_parse_form, _parse_json) if is_form_first else (_parse_json, _parse_form):
        written = parse(text)
        known = {name: _get_single(written, spellings) for name, spellings in _SPELLINGS.items()}
        fields = {name: value for name, value in known.items() if value}
        if fields:
            return fields
    return {}


def _parse_form(text: str) -> dict[str, list[object]]:
    fields: dict[str, list[object]] = {}
    try:
        pairs = parse_qsl(text.strip(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise _TokenRequestError(
            "invalid_request", f"The form holds more than {_MAX_FIELDS} fields."
        ) from None
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def _parse_json(text: str) -> dict[str, list[object]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {name: [value] for name, value in found.items()} if isinstance(found, dict) else {}


def _get_single(fields: Mapping[str, list[object]], spellings: tuple[str, ...]) -> str:
    values = {
        value if isinstance(value, str) else None for name in spellings for value in fields.get(name, ())
    }
    values.discard("")
    if not values:
        return ""
    value = values.pop()
    if values:
        raise _TokenRequestError("invalid_request", f"{spellings[0]} is given twice.")
    if value is None:
        raise _TokenRequestError("invalid_request", f"{spellings[0]} is not text.")
    if len(value) > MAX_CREDENTIAL_CHARACTERS:
        raise _TokenRequestError("invalid_request", f"{spellings[0]} is too long.")
    return value


def _parse_scope(fields: Mapping[str, str]) -> str:
    """The requested scope. Every scope is granted: there is only one thing that a token allows."""
    scope = fields.get("scope", "")
    if not scope.isascii() or not scope.isprintable() or '"' in scope or "\\" in scope:
        raise _TokenRequestError("invalid_scope", "The scope holds characters that no scope has.")
    return scope


def _credentials_from_fields(fields: Mapping[str, str]) -> Iterator[_Credentials]:
    client_id, secret = fields.get("client_id"), fields.get("client_secret")
    if client_id and secret:
        yield _Credentials(client_id=_encode(client_id), secret=_encode(secret))


def _credentials_from_basic(authorization: str | None) -> Iterator[_Credentials]:
    """Both meanings of id:secret: percent-encoded as RFC 6749 wants it (2.3.1), and raw as many send it."""
    scheme, _, encoded = (authorization or "").strip().partition(" ")
    if scheme.lower() != "basic":
        return
    if len(encoded) > 2 * MAX_CREDENTIAL_CHARACTERS:
        raise _TokenRequestError("invalid_request", "The Authorization header is too long.")
    try:
        id_and_secret = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        raise _TokenRequestError(
            "invalid_request", "The Authorization header is not Basic as RFC 7617 has it."
        ) from None
    client_id, separator, secret = id_and_secret.partition(":")
    if not separator:
        raise _TokenRequestError("invalid_request", "The Authorization header holds no id and secret.")
    yield _Credentials(client_id=client_id.encode(), secret=secret.encode())
    yield _Credentials(client_id=_encode(unquote_plus(client_id)), secret=_encode(unquote_plus(secret)))


def _encode(text: str) -> bytes:
    return text.encode(
        "utf-8", "surrogatepass"
    )  # JSON can spell half a surrogate pair, which matches no secret
