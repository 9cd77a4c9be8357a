"""A masked body shows the shape of a webhook and the organization's own words, and nothing of the person."""

import json
from typing import Any

import pytest
from tests.repository import ROOT

from didomi_dataverse.privacy.mask import MASKED
from didomi_dataverse.privacy.webhook_body import masked_body


def masked(body: object) -> Any:  # noqa: ANN401 - any JSON
    return masked_body(json.dumps(body).encode())


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
        pytest.param(b"[" * 100_000, id="nested without end"),
    ],
)
def test_what_is_not_json_has_no_masked_body(body: bytes) -> None:
    assert masked_body(body) is None


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        pytest.param(
            {"type": "event.created", "created_at": "2026-03-01T12:00:00Z", "version": 3},
            {"type": "event.created", "created_at": "2026-03-01T12:00:00Z", "version": 3},
            id="what the schema defines",
        ),
        pytest.param(
            {"purposes": [{"id": "news", "enabled": True, "preferences": [{"id": "t", "value": "call me"}]}]},
            {"purposes": [{"id": "news", "enabled": True, "preferences": [{"id": "t", "value": MASKED}]}]},
            id="choices",
        ),
        pytest.param({"purposes": {"enabled": ["a"]}}, {"purposes": {"enabled": ["a"]}}, id="a list of ids"),
        pytest.param(
            {"purposes": [{"id": "please call me"}]}, {"purposes": [{"id": MASKED}]}, id="free text as an id"
        ),
        pytest.param(
            {"id": "U1", "organization_user_id": "ada@example.com", "user": {"id": "U1"}},
            {"id": MASKED, "organization_user_id": MASKED, "user": {"id": MASKED}},
            id="the person's ids",
        ),
        pytest.param(
            {"metadata": {"age": 36, "vip": True}, "proofs": ["scan"]},
            {"metadata": {"age": MASKED, "vip": True}, "proofs": [MASKED]},
            id="metadata and proofs",
        ),
        pytest.param(
            {
                "metadata": {
                    "channels": ["0612345678"],
                    "status": "Smith",
                    "version": 36,
                    "a": {"type": "Ada"},
                }
            },
            {"metadata": {"channels": [MASKED], "status": MASKED, "version": MASKED, "a": {"type": MASKED}}},
            id="names of the schema in metadata",
        ),
        pytest.param(
            {"purposes": [{"id": "news", "metadata": {"purposes": ["ada"]}}], "delegate": {"type": "Ada"}},
            {"purposes": [{"id": "news", "metadata": {"purposes": [MASKED]}}], "delegate": {"type": MASKED}},
            id="metadata of a purpose, and a delegate",
        ),
        pytest.param({"ada lovelace": None}, {MASKED: None}, id="a name as a key"),
        pytest.param({"status": "call me"}, {"status": MASKED}, id="free text where the schema has a word"),
    ],
)
def test_what_is_shown_of_a_body(body: object, shown: object) -> None:
    assert masked(body) == shown


def test_of_the_published_example_only_the_organization_s_words_are_left() -> None:
    shown = json.dumps(masked_body((ROOT / "notification.example.json").read_bytes()))

    for personal in ("customer-0001", "L-0001", "FR", "0000000000d1", "00000000e001", "sport", "weekly"):
        assert personal not in shown
    for ours in ("event.created", "gdpr", "acme", "2026-01-15T09:30:00Z", "confirmed", "newsletter", "sms"):
        assert ours in shown
