"""The credentials that Didomi presents to a webhook outlive a restart of the sandbox."""

from pathlib import Path

from dataverse_sandbox import SandboxIdentity
from didomi_dataverse.demo.sandbox_config import write_config
from didomi_sandbox.webhook_credentials import (
    CREDENTIALS_FILE,
    WebhookCredentials,
    load_or_create_credentials,
)


def test_a_restart_keeps_the_credentials(tmp_path: Path) -> None:
    first = load_or_create_credentials(tmp_path)

    assert load_or_create_credentials(tmp_path) == first
    assert first.client_secret != WebhookCredentials().client_secret


def test_an_unreadable_file_is_replaced(tmp_path: Path) -> None:
    for content in ("", "{", "[]", '{"unknown": 1}'):
        (tmp_path / CREDENTIALS_FILE).write_text(content)

        assert load_or_create_credentials(tmp_path) == load_or_create_credentials(tmp_path)


def test_secrets_are_for_their_owner_only(tmp_path: Path) -> None:
    credentials = load_or_create_credentials(tmp_path)

    assert (tmp_path / CREDENTIALS_FILE).stat().st_mode & 0o077 == 0
    assert credentials.client_secret not in repr(credentials)
    assert credentials.header_value not in repr(credentials)


def test_a_restarted_sandbox_writes_the_same_configuration_again(tmp_path: Path) -> None:
    identity = SandboxIdentity()
    written = [
        write_config(tmp_path, "https://localhost:4711", identity, service_port=8123).read_text()
        for _ in range(2)
    ]

    credentials = load_or_create_credentials(tmp_path)
    assert written[0] == written[1]
    assert credentials.client_secret in written[0]
    assert credentials.header_value in written[0]
