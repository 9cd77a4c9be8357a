"""The settings of an application user: its id, and exactly one credential for Microsoft Entra."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from didomi_dataverse.config.types import ExistingFile, NonEmptyStr, Secret, Section


class ClientCertificate(Section):
    """A certificate that is registered with the application in Microsoft Entra."""

    file: ExistingFile
    """PEM file with private key and certificate, or PFX file. It is read again for every token, so it may be
    renewed in place."""

    passphrase: Secret | None = Field(default=None, repr=False)
    """The passphrase of the private key. Unset: the key is not encrypted."""

    send_chain: bool = False
    """true: send the certificate with each token request. Needed where the app registration trusts a subject
    name and issuer instead of one certificate."""


class ManagedIdentity(Section):
    """The identity that Azure gives to the machine or container this service runs on."""

    client_id: NonEmptyStr | None = None
    """The client id of a user-assigned identity. Unset: the system-assigned one."""


_CREDENTIALS = ("client_secret", "client_certificate", "federated_token_file", "managed_identity")


def _parse_identity(written: object) -> object:
    """`managed_identity: true` means the system-assigned identity."""
    if isinstance(written, bool) or (isinstance(written, str) and written.lower() in {"true", "false"}):
        return {} if str(written).lower() == "true" else None
    return written


def _has_credential(written: Mapping[str, object], key: str) -> bool:
    return written.get(key) is not None and str(written[key]).lower() != "false"


class ApplicationUser(Section):
    """One application user of Dataverse. It has exactly one of the four credentials."""

    client_id: NonEmptyStr
    """The application (client) id. The environment must have an application user with this id."""

    client_secret: Secret | None = Field(repr=False)
    """The application's secret value, not the id of the secret. None with another credential."""

    client_certificate: ClientCertificate | None = None
    """Instead of a secret: a certificate."""

    federated_token_file: Path | None = None
    """Instead of a secret: the file of a token that the app registration trusts (workload identity). It is
    read again for every token."""

    managed_identity: Annotated[ManagedIdentity | None, BeforeValidator(_parse_identity)] = Field(
        default=None, examples=["true"]
    )
    """Instead of a secret: `true`, or the client id of a user-assigned managed identity."""

    @model_validator(mode="before")
    @classmethod
    def _check_one_credential(cls, written: object) -> object:
        if not isinstance(written, Mapping):
            return written
        given = [key for key in _CREDENTIALS if _has_credential(written, key)]
        if len(given) > 1:
            raise ValueError(f"has {' and '.join(given)}. Keep exactly one of them")
        if given and given != ["client_secret"]:
            written = {"client_secret": None, **written}
        if given == ["managed_identity"]:
            # The platform knows the identity; this name is for people.
            written = {"client_id": "managed-identity", **written}
        return written
