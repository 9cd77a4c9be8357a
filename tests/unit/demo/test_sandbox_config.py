"""The configuration that `sandbox` writes."""

from pathlib import Path

import yaml

from dataverse_sandbox import SandboxIdentity
from didomi_dataverse.demo.sandbox_config import write_config
from didomi_dataverse.wiring.configuration import load_configuration


def test_it_is_a_whole_configuration_that_points_at_the_sandbox(tmp_path: Path) -> None:
    identity = SandboxIdentity()
    (tmp_path / "ca.pem").touch()
    path = write_config(tmp_path, "https://localhost:4711", identity, service_port=8123)

    written = yaml.safe_load(path.read_text())
    assert written["server"] == {"host": "127.0.0.1", "port": 8123}
    assert written["dataverse"] == {
        "url": "https://localhost:4711",
        "authority": f"https://localhost:4711/{identity.tenant_id}",
        "tenant_id": identity.tenant_id,
        "client_id": identity.client_id,
        "client_secret": identity.client_secret,
        "ca_bundle": str(tmp_path / "ca.pem"),
    }
    assert written["didomi"]["auth"].keys() == {"oauth", "header"}
    assert written["mapping"]["gdpr"]["person"]["metadata.loyalty_id"] == "new_loyaltyid"
    assert load_configuration(path, {}).settings.dataverse.url == "https://localhost:4711"
    assert path.stat().st_mode & 0o077 == 0
