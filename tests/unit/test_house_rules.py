"""The rules that `tests/conftest.py` and `pyproject.toml` promise every test."""

import os
import socket
import warnings

import pytest
from pytest_socket import SocketConnectBlockedError

import didomi_dataverse

# RFC 5737: an address for documentation, which nobody has.
ELSEWHERE = "192.0.2.1"


def test_a_connection_beyond_loopback_is_refused() -> None:
    """UDP, because connecting it sends nothing even if the rule were broken."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        # The plugin warns before it raises, and warnings are errors.
        pytest.raises((SocketConnectBlockedError, UserWarning), match=ELSEWHERE),
    ):
        sock.connect((ELSEWHERE, 9))


def test_a_connection_on_loopback_is_allowed() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        assert client.getpeername() == server.getsockname()


def test_a_name_beyond_loopback_is_not_looked_up() -> None:
    with pytest.raises(RuntimeError, match="only loopback"):
        socket.getaddrinfo("consent.invalid", 443)


def test_a_warning_is_an_error() -> None:
    with pytest.raises(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)


def test_the_environment_holds_no_settings_and_no_proxy() -> None:
    foreign = [
        name for name in os.environ if name.upper().startswith("DIDOMI") or name.upper().endswith("_PROXY")
    ]

    assert foreign == []


def test_the_package_names_its_version() -> None:
    assert didomi_dataverse.__version__.count(".") == 2
