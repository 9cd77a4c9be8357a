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
    ("auth", "ways"),
    [
        pytest.param({"oauth": OAUTH}, ["own_tokens"], id="oauth"),
        pytest.param({"jwt": JWT}, ["customer_tokens"], id="jwt"),
        pytest.param({"header": HEADER}, ["header"], id="header"),
        pytest.param({"anonymous": True}, ["anonymous"], id="anonymous"),
        pytest.param(
            {"oauth": OAUTH, "jwt": JWT, "header": HEADER},
            ["own_tokens", "customer_tokens", "header"],
            id="all",
        ),
    ],
)
def test_every_configured_way_is_a_way_in(auth: dict[str, Any], ways: list[str]) -> None:
    gate = build_authenticator(Auth.model_validate(auth), fetch=Provider().fetch, monotonic=lambda: 0.0)

    known = ("own_tokens", "customer_tokens", "header", "anonymous")
    assert [way for way in known if getattr(gate, way)] == ways


def test_addresses_and_both_secrets_reach_the_gate() -> None:
    auth = Auth.model_validate(
        {
            "oauth": OAUTH,
            "header": HEADER,
            "allowed_addresses": ["35.159.1.63"],
            "trusted_proxies": ["10.0.0.0/8"],
        }
    )

    gate = build_authenticator(auth, fetch=Provider().fetch, monotonic=lambda: 0.0)

    assert gate.own_tokens is not None
    assert gate.own_tokens.key_for(b"didomi", SECRET.encode()) is not None
    assert gate.header is not None
    assert [gate.header.accepts([value]) for value in (SECRET, "another-long-secret")] == [True, True]
    assert [str(network) for network in gate.addresses.allowed] == ["35.159.1.63/32"]
    assert [str(network) for network in gate.addresses.trusted_proxies] == ["10.0.0.0/8"]
    assert SECRET not in repr(gate)
