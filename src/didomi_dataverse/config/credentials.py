"""How an application user proves to Microsoft Entra who it is: exactly one of four ways."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from didomi_dataverse.config.types import ExistingFile, NonEmptyStr, Secret, Section


class ClientCertificate(Section):
    """A certificate that the app registration knows."""

    file: ExistingFile
    """PEM file with private key and certificate, or PFX file. Read again for every token, so it may be
    renewed in place."""

    passphrase: Secret | None = Field(default=None, repr=False)
    """What the private key is encrypted with."""

    send_chain: bool = False
    """true: send the certificate along, for an app registration that trusts a subject name and issuer
    instead of one certificate."""


class ManagedIdentity(Section):
    """The identity that Azure gives to what this runs on."""

    client_id: NonEmptyStr | None = None
    """The client id of a user-assigned identity. Unset: the system-assigned one."""


_CREDENTIALS = ("client_secret", "client_certificate", "federated_token_file", "managed_identity")


def _identity_written(written: object) -> object:
    """`managed_identity: true` is the system-assigned one."""
    if isinstance(written, bool) or (isinstance(written, str) and written.lower() in {"true", "false"}):
        return {} if str(written).lower() == "true" else None
    return written


def _has(written: Mapping[str, object], key: str) -> bool:
    return written.get(key) is not None and str(written[key]).lower() != "false"


class ApplicationUser(Section):
    """One application user: its application (client) id, and exactly one way to prove it."""

    client_id: NonEmptyStr
    """The application (client) id; the environment must have an application user for it."""

    client_secret: Secret | None = Field(repr=False)
    """The application's secret value, not the secret's id."""

    client_certificate: ClientCertificate | None = None
    """Instead of a secret: a certificate."""

    federated_token_file: Path | None = None
    """Instead of a secret: the file of a token that the app registration trusts (workload identity). Read
    again for every token."""

    managed_identity: Annotated[ManagedIdentity | None, BeforeValidator(_identity_written)] = Field(
        default=None, examples=["true"]
    )
    """Instead of a secret: `true`, or the client id of a user-assigned managed identity."""

    @model_validator(mode="before")
    @classmethod
    def _one_credential(cls, written: object) -> object:
        if not isinstance(written, Mapping):
            return written
        given = [key for key in _CREDENTIALS if _has(written, key)]
        if len(given) > 1:
            raise ValueError(f"has {' and '.join(given)}. Keep exactly one of them")
        if given and given != ["client_secret"]:
            written = {"client_secret": None, **written}
        if given == ["managed_identity"]:
            # The platform knows who it is; the name is for people.
            written = {"client_id": "managed-identity", **written}
        return written
