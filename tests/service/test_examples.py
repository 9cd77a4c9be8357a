"""What the README tells people to try works as it stands."""

import json
import re
from pathlib import Path

import yaml
from click.testing import CliRunner

from didomi_dataverse.cli.main import COMMANDS, main
from tests.repository import ROOT

ENVIRONMENT = {
    "DIDOMI_CLIENT_SECRET": "x" * 32,
    "DIDOMI_WEBHOOK_SECRET": "y" * 32,
    "DATAVERSE_CLIENT_SECRET": "z" * 32,
}


def test_the_example_notification_is_explained_by_the_example_configuration() -> None:
    words = [
        "explain",
        str(ROOT / "notification.example.json"),
        "--config",
        str(ROOT / "config.example.yaml"),
        "--json",
    ]
    result = CliRunner().invoke(main, words, env=ENVIRONMENT)
    assert result.exit_code == 0, result.output
    (view,) = json.loads(result.stdout)
    assert view["disposition"] == "applied"
    columns = {name: column["value"] for name, column in view["columns"].items()}
    assert columns["new_newsletter"] is True
    assert columns["donotbulkemail"] is True
    assert columns["donotphone"] is True


def test_the_pieces_of_the_readme_are_a_whole_configuration(tmp_path: Path) -> None:
    """The five steps, and nothing else, make a service that starts."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    steps = readme.split("## Your first real configuration", 1)[1].split("\n## ", 1)[0]
    pieces = re.findall(r"^```yaml\n(.*?)^```$", steps, re.MULTILINE | re.DOTALL)
    config = tmp_path / "config.yaml"
    config.write_text("\n".join(pieces), encoding="utf-8")

    words = ["explain", str(ROOT / "notification.example.json"), "--config", str(config), "--json"]
    result = CliRunner().invoke(main, words, env=ENVIRONMENT)

    assert result.exit_code == 0, result.output
    (view,) = json.loads(result.stdout)
    assert view["columns"]["new_newsletter"]["value"] is True


def test_the_example_lets_in_whoever_proves_who_it_is() -> None:
    """With an address list in force, step 5 of the README would be answered 403."""
    example = (ROOT / "config.example.yaml").read_text(encoding="utf-8")

    assert "allowed_addresses" not in yaml.safe_load(example)["didomi"]["auth"]


def test_every_command_has_help_and_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert CliRunner().invoke(main, [name, "--help"]).exit_code == 0
        assert f"didomi-dataverse {name}" in readme, name
