"""Exit status 0 is fine, 1 a finding or a failure, 2 usage or configuration; a failure says what to do."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from didomi_dataverse.cli.main import main
from tests.acceptance.processes import free_port

CONFIG = """
server: {{ port: {port} }}
store: {{ url: "sqlite:///{folder}/ledger.db" }}
didomi: {{ auth: {{ header: {{ name: X-Webhook-Secret, value: a-long-enough-secret }} }} }}
dataverse: {{ url: "https://example.crm4.dynamics.com", tenant_id: t, client_id: c, client_secret: s }}
contact: {{ match: {{ alternate_key: new_didomikey }} }}
mapping: {{ gdpr: {{ purposes: {{ newsletter: new_newsletter }} }} }}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.format(folder=tmp_path, port=free_port()))
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    result = run("serve", "--config", tmp_path / "nowhere.yaml")
    assert result.exit_code == 2
    assert "nowhere.yaml" in result.stderr


def test_every_problem_of_a_configuration_is_told_at_once(config: Path) -> None:
    text = config.read_text().replace("newsletter: new_newsletter", "newsletter: { colum: new_newsletter }")
    config.write_text(text.replace("client_secret: s", "client_secret: ${NOT_SET_ANYWHERE}"))
    result = run("explain", config, "--config", config)
    assert result.exit_code == 2
    assert "2 problems" in result.stderr
    assert f"{config}:5: dataverse.client_secret" in result.stderr
    assert f"{config}:7: mapping.gdpr.purposes.newsletter" in result.stderr
    assert "`column`" in result.stderr


def test_the_configuration_may_be_named_by_the_environment(config: Path) -> None:
    body = config.parent / "body.json"
    body.write_text('{"type": "what.ever"}')
    result = CliRunner().invoke(main, ["explain", str(body)], env={"DIDOMI_DATAVERSE_CONFIG": str(config)})
    assert result.exit_code == 0, result.output
    assert "parked (unknown_type)" in result.stdout


def test_a_body_that_is_not_json_is_a_failure_and_not_a_traceback(config: Path) -> None:
    body = config.parent / "body.json"
    body.write_text("not json")
    result = run("explain", body, "--config", config)
    assert result.exit_code == 1
    assert "body.json" in result.stderr


def test_a_service_that_does_not_run_is_a_failure_with_advice(config: Path) -> None:
    body = config.parent / "body.json"
    body.write_text(json.dumps({}))
    result = run("send", body, "--config", config)
    assert result.exit_code == 1
    assert "Is `serve` running there?" in result.stderr


def test_an_unknown_identifier_is_a_failure_with_advice(config: Path) -> None:
    result = run("contacts", "show", "unknown", "--config", config)
    assert result.exit_code == 1
    assert "spelt" in result.stderr


def test_a_store_that_cannot_be_opened_is_a_sentence(config: Path) -> None:
    (config.parent / "ledger.db").mkdir()
    result = run("contacts", "show", "customer-0001", "--config", config)
    assert result.exit_code == 1
    assert "ledger.db" in result.stderr
    assert "Traceback" not in result.output
