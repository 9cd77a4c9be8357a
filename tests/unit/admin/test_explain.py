"""`explain` tells what the code would do, because it is that code which does it."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.clocks import START

from didomi_dataverse.admin.explain import explain, interpret_body, subject_path
from didomi_dataverse.admin.render import render_explanation
from didomi_dataverse.consent.model import Basis, Fact, Item, Subject
from didomi_dataverse.wiring.configuration import Configuration, load_configuration
from didomi_sandbox.bodies import Body, event, event_created, person, purpose

CONFIG = """
didomi: { auth: { anonymous: true } }
dataverse: { url: "https://example.crm4.dynamics.com", tenant_id: t, client_id: c, client_secret: s }
contact: { match: { alternate_key: new_didomikey } }
mapping:
  gdpr:
    purposes:
      newsletter: new_newsletter
      email_ads: { column: donotbulkemail, invert: true }
      profiling: { preferences: { topics: { column: new_topics, as: choices, values: { sport: 1 } } } }
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return load_configuration(path, {})


def explained(configuration: Configuration, body: Body) -> tuple[dict[str, Any], str]:
    """The explanation as JSON, and as text."""
    (reading,) = interpret_body(configuration, json.dumps(body).encode(), now=START)
    view = explain(reading, configuration.mapping)
    return view.to_json(), render_explanation(view)


def test_a_choice_is_shown_with_its_column_and_its_rule(configuration: Configuration) -> None:
    chosen = [
        purpose("newsletter", enabled=False),
        purpose("profiling", None, values={"topics": ["sport", "opera"]}),
    ]
    body = event_created(event("E1", person("u-42"), chosen, created_at=START))
    view, text = explained(configuration, body)
    assert view["disposition"] == "applied"
    assert view["columns"] == {
        "new_newsletter": {
            "value": False,
            "rule": "mapping.gdpr.purposes.newsletter",
            "inverted": False,
            "sources": ["E1"],
        },
        "new_topics": {
            "value": "1",
            "rule": "mapping.gdpr.purposes.profiling.preferences.topics",
            "inverted": False,
            "sources": ["E1"],
        },
    }
    assert "new_newsletter = no    by mapping.gdpr.purposes.newsletter" in text
    assert "finding: unmapped_value at mapping.gdpr.purposes.profiling.preferences.topics" in text
    json.dumps(view)


def test_what_is_not_applied_says_why_and_writes_nothing(configuration: Configuration) -> None:
    body = event_created(event("E1", person(None), [purpose("newsletter", enabled=True)], created_at=START))
    view, text = explained(configuration, body)
    assert (view["disposition"], view["reason"], view["columns"]) == ("skipped", "anonymous", {})
    assert "skipped (anonymous)" in text
    assert "none would be written" in text


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        (Item("gdpr", "news"), "gdpr.purposes.news.consent"),
        (Item("gdpr", "news", basis=Basis.LEGITIMATE_INTEREST), "gdpr.purposes.news.legitimate_interest"),
        (Item("gdpr", "news", "freq", "sms"), "gdpr.purposes.news.preferences.freq.channels.sms"),
        (Item("gdpr", channel="sms"), "gdpr.channels.sms"),
        (Fact("gdpr", "metadata.level"), "gdpr.person.metadata.level"),
    ],
)
def test_a_subject_is_spelt_like_its_place_in_the_mapping(subject: Subject, words: str) -> None:
    assert subject_path(subject) == words


def test_an_inverted_column_says_so(configuration: Configuration) -> None:
    body = event_created(event("E1", person("u-42"), [purpose("email_ads", enabled=False)], created_at=START))
    _, text = explained(configuration, body)
    assert "donotbulkemail = yes    by mapping.gdpr.purposes.email_ads, inverted" in text


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"type": "event.deleted", "parameters": {"entity": {"id": "E1"}}}, id="event"),
        pytest.param({"type": "user.deleted", "parameters": {"entity": {"id": "device"}}}, id="user"),
    ],
)
def test_what_a_deletion_writes_is_not_known_from_it_alone(configuration: Configuration, body: Body) -> None:
    view, text = explained(configuration, body)
    assert view["disposition"] == "applied"
    assert "column:  depends on what else is known of the person: see `contacts show`" in text
    assert "none would be written" not in text
