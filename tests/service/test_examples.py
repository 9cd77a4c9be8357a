"""What the README tells people to try works as it stands."""

import json
from pathlib import Path

from click.testing import CliRunner

from didomi_dataverse.cli import main

ROOT = Path(__file__).parents[2]
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
    told = CliRunner().invoke(main, words, env=ENVIRONMENT)
    assert told.exit_code == 0, told.output
    (view,) = json.loads(told.stdout)
    assert view["disposition"] == "applied"
    columns = {name: column["value"] for name, column in view["columns"].items()}
    assert columns["new_newsletter"] is True
    assert columns["donotbulkemail"] is True
    assert columns["donotphone"] is True


def test_every_command_has_help_and_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, command in main.commands.items():
        assert CliRunner().invoke(main, [name, "--help"]).exit_code == 0
        assert command.help, name
        assert f"didomi-dataverse {name}" in readme, name
