"""What holds for every ring: a clean environment, no way off this machine, the same examples every time."""

import os
import socket
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# A developer's own settings, proxies, certificates and terminal must not decide whether a test passes.
_SETTING_PREFIXES = ("DATAVERSE", "DIDOMI")
_AMBIENT = {
    "ALL_PROXY",
    "COLUMNS",
    "CURL_CA_BUNDLE",
    "FORCE_COLOR",
    "FTP_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LINES",
    "NO_COLOR",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
}

# `--hypothesis-profile=search` looks for new counter-examples; the gate tries the same ones each time.
settings.register_profile(
    "search", deadline=None, max_examples=2_000, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("gate", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("gate")


def pytest_configure() -> None:
    """Clean the environment before any fixture reads it; processes that tests start inherit it clean."""
    for name in list(os.environ):
        if name.upper().startswith(_SETTING_PREFIXES) or name.upper() in _AMBIENT:
            del os.environ[name]


@pytest.fixture(autouse=True)
def _names_resolve_on_this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin refuses connections beyond loopback; a look-up alone would leave the machine all the same."""
    look_up = socket.getaddrinfo

    def look_up_here(host: str | bytes | None, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is Python's
        name = host.decode() if isinstance(host, bytes) else host
        if name not in {None, "", "localhost", "127.0.0.1", "::1", "0.0.0.0"}:  # noqa: S104 - compared, not bound
            message = f"A test tried to look up {name!r}; only loopback has names here."
            raise RuntimeError(message)
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_here)
