"""Each configured way to log in becomes the credential of the client."""

from pathlib import Path
from typing import Any

import pytest

from didomi_dataverse.config.credentials import ApplicationUser
from didomi_dataverse.dataverse.auth.credentials import (
    ClientCertificate,
    ClientSecret,
    Credential,
    FederatedToken,
    ManagedIdentity,
)
from didomi_dataverse.wiring.delivery import build_credential

HERE = Path(__file__)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param({"client_secret": "s"}, ClientSecret("s"), id="secret"),
        pytest.param(
            {"client_certificate": {"file": HERE, "passphrase": "p", "send_chain": True}},
            ClientCertificate(file=HERE, passphrase="p", send_chain=True),
            id="certificate",
        ),
        pytest.param({"federated_token_file": HERE}, FederatedToken(HERE), id="token file"),
        pytest.param({"managed_identity": True}, ManagedIdentity(), id="the machine's own identity"),
        pytest.param(
            {"managed_identity": {"client_id": "i"}}, ManagedIdentity("i"), id="an identity of its own"
        ),
    ],
)
def test_a_user_has_the_credential_that_is_configured(written: dict[str, Any], expected: Credential) -> None:
    user = ApplicationUser.model_validate({"client_id": "c", **written})

    assert build_credential(user) == expected
