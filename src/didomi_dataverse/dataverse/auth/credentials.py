"""The ways to log in to Microsoft Entra, in the form that MSAL takes (dataverse.md 10).

Files are read again for each token, so that a renewed certificate or a rotated token needs no restart.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, assert_never

import httpx
import msal  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key, pkcs12
from msal.oauth2cli import JwtAssertionCreator  # type: ignore[import-untyped]

# Seconds. Entra takes assertions of up to an hour; they are used at once.
_ASSERTION_S: Final = 600


class CredentialUnreadableError(Exception):
    """A credential's file is missing or not what it should be. The text says what a person must do."""


class BlockingHttp(Protocol):
    """The connections that MSAL uses: an `httpx.Client`, whose `get` and `post` are what MSAL expects."""

    def close(self) -> None:
        """Closes all connections."""
        ...


class Application(Protocol):
    """What is used of `msal.ConfidentialClientApplication`. Every method blocks."""

    def acquire_token_for_client(self, scopes: list[str]) -> Mapping[str, Any]:
        """MSAL's dictionary: with `access_token`, or with `error`."""
        ...

    def remove_tokens_for_client(self) -> None:
        """Empties MSAL's own cache of tokens."""
        ...


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A text that both sides know."""

    value: str = field(repr=False)
    """The secret's value, not its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """A private key with its certificate."""

    file: Path
    """A PEM file (key and certificate, in any order) or a PFX file."""

    passphrase: str | None = field(default=None, repr=False)
    """The file's passphrase; None for a file without one."""

    send_chain: bool = False
    """Whether the certificates are sent along, for applications that trust a subject name instead of one
    certificate."""


@dataclass(frozen=True, slots=True)
class FederatedToken:
    """Another identity provider's token (workload identity in Kubernetes)."""

    file: Path
    """The file that holds it. The platform replaces it now and then."""


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """The identity that Azure gives to the machine or the container."""

    client_id: str | None = None
    """The client id of a user-assigned identity; None for the system-assigned one."""


Credential = ClientSecret | ClientCertificate | FederatedToken | ManagedIdentity


def open_application(
    *, client_id: str, credential: Credential, authority: str, http: BlockingHttp
) -> Application:
    """MSAL's application. Blocks: it reads the authority's configuration over the network (not for a managed
    identity).

    Raises ValueError when the tenant or the authority does not exist.
    """
    match credential:
        case ManagedIdentity():
            return ManagedIdentityApplication(credential, http)
        case ClientSecret(value):
            return _confidential(client_id, value, authority, http)
        case FederatedToken(file):
            return _confidential(client_id, {"client_assertion": lambda: read_token(file)}, authority, http)
        case ClientCertificate():
            signer = _Signer(client_id, credential)
            opened = _confidential(client_id, {"client_assertion": signer.assertion}, authority, http)
            signer.set_audience(opened)
            return opened
        case _:
            assert_never(credential)


def _confidential(
    client_id: str, credential: str | Mapping[str, Any], authority: str, http: BlockingHttp
) -> Application:
    application: Application = msal.ConfidentialClientApplication(
        client_id,
        authority=authority,
        client_credential=credential,
        # Discovery asks login.microsoftonline.com about the authority and its other names. The authority is
        # the operator's own setting, a national cloud or AD FS may not reach that host, and one application
        # with one authority has no use for other names.
        instance_discovery=False,
        # MSAL's own client has no time-outs (dataverse.md 10), and prefers REQUESTS_CA_BUNDLE of the
        # environment to the certificates it is told to trust.
        http_client=http,
    )
    return application


class ManagedIdentityApplication:
    """A managed identity in the form of the other applications. It keeps no token: the token cache does, and
    so does the platform.
    """

    def __init__(self, identity: ManagedIdentity, http: BlockingHttp) -> None:
        named = identity.client_id
        self._identity = (
            msal.SystemAssignedManagedIdentity()
            if named is None
            else msal.UserAssignedManagedIdentity(client_id=named)
        )
        self._http = http

    def acquire_token_for_client(self, scopes: list[str]) -> Mapping[str, Any]:
        """Asks the platform. The resource is the scope without its `/.default` (dataverse.md 10)."""
        client = msal.ManagedIdentityClient(self._identity, http_client=self._http)
        answer: Mapping[str, Any] = client.acquire_token_for_client(
            resource=scopes[0].removesuffix("/.default")
        )
        return answer

    def remove_tokens_for_client(self) -> None:
        """Nothing is kept here."""


class _Signer:
    """Signs assertions, which prove that the certificate's key is held here."""

    def __init__(self, client_id: str, certificate: ClientCertificate) -> None:
        self._client_id = client_id
        self._certificate = certificate
        self._authority: Callable[[], Any] | None = None

    def set_audience(self, application: Any) -> None:  # noqa: ANN401 - MSAL has no types
        """Makes assertions for this application's token endpoint only."""
        self._authority = lambda: application.authority

    def assertion(self) -> str:
        """A fresh assertion: SHA-256 thumbprint and PS256, except for AD FS (dataverse.md 10)."""
        if self._authority is None:
            raise CredentialUnreadableError("The certificate is needed before its application is open.")
        authority = self._authority()
        key, certificate, chain = read_certificate(self._certificate)
        headers = {"x5c": [_base64_der(one) for one in (certificate, *chain)]}
        thumbprints = (
            {"algorithm": "RS256", "sha1_thumbprint": certificate.fingerprint(hashes.SHA1()).hex()}  # noqa: S303
            if authority.is_adfs
            else {"algorithm": "PS256", "sha256_thumbprint": certificate.fingerprint(hashes.SHA256()).hex()}
        )
        creator = JwtAssertionCreator(
            key, headers=headers if self._certificate.send_chain else {}, **thumbprints
        )
        signed: bytes = creator.create_normal_assertion(
            authority.token_endpoint, self._client_id, self._client_id, expires_in=_ASSERTION_S
        )
        # Text: MSAL puts it into a form as it is, and httpx writes bytes as Python shows them.
        return signed.decode()


def read_certificate(
    certificate: ClientCertificate,
) -> tuple[Any, x509.Certificate, tuple[x509.Certificate, ...]]:
    """The key, its certificate, and the certificates above it.

    Raises CredentialUnreadableError.
    """
    file = certificate.file
    passphrase = None if certificate.passphrase is None else certificate.passphrase.encode()
    try:
        raw = file.read_bytes()
        key, found = _from_pem(raw, passphrase) if b"-----BEGIN" in raw else _from_pfx(raw, passphrase)
    except OSError as error:
        raise CredentialUnreadableError(f"{file} cannot be read ({error.strerror}).") from error
    except (ValueError, TypeError) as error:
        raise CredentialUnreadableError(
            f"{file} is not a PEM or PFX file with a private key, or its passphrase is wrong or missing. "
            "Check `dataverse.client_certificate`."
        ) from error
    public = key.public_key()
    own = next((one for one in found if one.public_key() == public), None)
    if own is None:
        raise CredentialUnreadableError(
            f"{file} holds no certificate for its private key. Put both into it, the key and the certificate."
        )
    return key, own, tuple(one for one in found if one is not own)


def read_token(file: Path) -> str:
    """The federated token that is in the file now. Raises CredentialUnreadableError."""
    try:
        token = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialUnreadableError(
            f"{file}, the federated token, cannot be read. Check `dataverse.federated_token_file`, and that "
            "the platform writes it (workload identity)."
        ) from error
    if not token:
        raise CredentialUnreadableError(f"{file}, the federated token, is empty.")
    return token


def managed_identity_http(*, timeout: httpx.Timeout) -> httpx.Client:
    """Connections to the platform, whose address is on the machine itself: without the environment's
    proxies.
    """
    return httpx.Client(timeout=timeout, trust_env=False)


def _from_pem(raw: bytes, passphrase: bytes | None) -> tuple[Any, list[x509.Certificate]]:
    return load_pem_private_key(raw, passphrase), x509.load_pem_x509_certificates(raw)


def _from_pfx(raw: bytes, passphrase: bytes | None) -> tuple[Any, list[x509.Certificate]]:
    key, certificate, above = pkcs12.load_key_and_certificates(raw, passphrase)
    if key is None:
        raise ValueError("no private key")
    return key, [one for one in (certificate, *above) if one is not None]


def _base64_der(certificate: x509.Certificate) -> str:
    # RFC 7515 4.1.6: base64, not base64url.
    return "".join(certificate.public_bytes(Encoding.PEM).decode().split("\n")[1:-2])
