"""The authenticator is built from the configuration (config.example.yaml, `didomi.auth`)."""

from typing import Any

import pytest
from tests.unit.didomi.auth.keys import Provider

from didomi_dataverse.config.settings import Auth
from didomi_dataverse.wiring.receiving import build_authenticator

SECRET = "a-long-secret-of-the-client"
OAUTH = {"client_id": "didomi", "client_secret": SECRET}
JWT = {
    "issuer": "https://login.example.com",
    "audience": "api://x",
    "jwks_url": "https://login.example.com/keys",
}
HEADER = {"name": "X-Webhook-Secret", "value": [SECRET, "another-long-secret"]}


@pytest.mark.parametrize(
    ("auth", "methods"),
    [
        pytest.param({"oauth": OAUTH}, ["access_tokens"], id="oauth"),
        pytest.param({"jwt": JWT}, ["verify_jwt"], id="jwt"),
        pytest.param({"header": HEADER}, ["static_header"], id="header"),
        pytest.param({"anonymous": True}, ["allow_anonymous"], id="anonymous"),
        pytest.param(
            {"oauth": OAUTH, "jwt": JWT, "header": HEADER},
            ["access_tokens", "verify_jwt", "static_header"],
            id="all",
        ),
    ],
)
def test_every_configured_method_is_accepted(auth: dict[str, Any], methods: list[str]) -> None:
    authenticator = build_authenticator(
        Auth.model_validate(auth), fetch=Provider().fetch, monotonic=lambda: 0.0
    )

    known = ("access_tokens", "verify_jwt", "static_header", "allow_anonymous")
    assert [method for method in known if getattr(authenticator, method)] == methods


def test_addresses_and_both_secrets_reach_the_authenticator() -> None:
    auth = Auth.model_validate(
        {
            "oauth": OAUTH,
            "header": HEADER,
            "allowed_addresses": ["35.159.1.63"],
            "trusted_proxies": ["10.0.0.0/8"],
        }
    )

    authenticator = build_authenticator(auth, fetch=Provider().fetch, monotonic=lambda: 0.0)

    assert authenticator.access_tokens is not None
    assert authenticator.access_tokens.find_signing_key(b"didomi", SECRET.encode()) is not None
    assert authenticator.static_header is not None
    assert [authenticator.static_header.accepts([value]) for value in (SECRET, "another-long-secret")] == [
        True,
        True,
    ]
    assert [str(network) for network in authenticator.ip_allowlist.allowed] == ["35.159.1.63/32"]
    assert [str(network) for network in authenticator.ip_allowlist.trusted_proxies] == ["10.0.0.0/8"]
    assert SECRET not in repr(authenticator)
