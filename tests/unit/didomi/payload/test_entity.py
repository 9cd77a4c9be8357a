"""Facts: what Didomi says of the person beside their choices (didomi.md 2.1, 2.2, 2.4)."""

from typing import Any

import pytest
from tests.unit.didomi.bodies import created, event, interpret_envelope, user, values_by_subject

from didomi_dataverse.consent.model import Fact, Value
from didomi_dataverse.didomi.payload.entity import MAX_FACT_CHARACTERS, MAX_FACTS


def facts_of(envelope: dict[str, Any]) -> dict[str, Value]:
    values = values_by_subject(interpret_envelope(envelope))
    return {subject.path: value for subject, value in values.items() if isinstance(subject, Fact)}


def of_person(**members: object) -> dict[str, Value]:
    return facts_of(created(event(user={"id": "U1", "organization_user_id": "a@example.com", **members})))


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param({"country": "FR"}, {"country": "FR"}, id="country"),
        pytest.param({"country": None}, {}, id="null country"),
        pytest.param({"country": " "}, {}, id="blank country"),
        pytest.param({"last_seen_country": "DE"}, {"last_seen_country": "DE"}, id="country last seen"),
        pytest.param(
            {"organization_user_id_type": "crm"}, {"organization_user_id_type": "crm"}, id="type of the id"
        ),
        pytest.param({"metadata": {"loyalty": "x-1"}}, {"metadata.loyalty": "x-1"}, id="text"),
        pytest.param({"metadata": {"points": 12}}, {"metadata.points": 12}, id="integer"),
        pytest.param({"metadata": {"rate": 1.5}}, {"metadata.rate": 1.5}, id="decimal"),
        pytest.param({"metadata": {"vip": True}}, {"metadata.vip": True}, id="true"),
        pytest.param({"metadata": {"empty": ""}}, {"metadata.empty": ""}, id="empty text is said"),
        pytest.param({"metadata": {"nothing": None}}, {}, id="null says nothing"),
        pytest.param({"metadata": {"a": {"b": {"c": 1}}}}, {"metadata.a.b.c": 1}, id="nested"),
        pytest.param({"metadata": {"list": [1, 2]}}, {}, id="a list is not a scalar"),
        pytest.param({"metadata": None}, {}, id="null metadata"),
        pytest.param(
            {"metadata": {"a": "x\u0000y\ud800"}}, {"metadata.a": "x\ufffdy\ufffd"}, id="unstorable text"
        ),
        pytest.param({"metadata": {"a": 2**63}}, {}, id="an integer beyond 64 bits"),
        pytest.param({"metadata": {"a": "x" * (MAX_FACT_CHARACTERS + 1)}}, {}, id="endless text"),
        pytest.param({"metadata": {"a" * 300: 1}}, {}, id="endless key"),
        pytest.param({"metadata": {"a.b": 1, "a": {"b": 2}}}, {}, id="one path, two leaves: neither"),
        pytest.param({"metadata": "text"}, {}, id="metadata is text"),
        pytest.param({"country": 33}, {}, id="country is a number"),
    ],
)
def test_scalars_of_the_person_are_facts(members: dict[str, Any], expected: dict[str, Value]) -> None:
    assert of_person(**members) == expected


def test_an_infinite_number_is_no_fact() -> None:
    interpreted = interpret_envelope(
        b'{"type":"event.created","parameters":{"entity":{"user":{"id":"U","organization_user_id":"a",'
        b'"metadata":{"n":1e999}},"consents":{"purposes":[{"id":"news","enabled":true}]}}}}'
    )

    assert len(interpreted.choices) == 1
    assert "unusable_fact metadata.n" in interpreted.warnings


def test_an_event_has_metadata_of_its_own_that_tells_nothing_of_the_person() -> None:
    """didomi.md 2.4: the same key means two things."""
    assert facts_of(created(event(metadata={"campaign": "spring"}))) == {}


def test_a_user_has_the_metadata_of_the_person() -> None:
    envelope = created(user(metadata={"loyalty": "x-1"}, country="FR"), kind="user.created")

    assert facts_of(envelope) == {"metadata.loyalty": "x-1", "country": "FR"}


def test_no_more_than_a_bounded_number_of_facts_is_kept_and_always_the_same_ones() -> None:
    many = {f"k{number:04}": number for number in range(500)}

    forwards, backwards = of_person(metadata=many), of_person(metadata=dict(reversed(many.items())))

    assert forwards == backwards
    assert len(forwards) == MAX_FACTS


def test_metadata_nested_without_end_is_cut() -> None:
    deep: dict[str, Any] = {"leaf": 1}
    for _ in range(60):
        deep = {"a": deep}

    interpreted = interpret_envelope(created(event(user={"organization_user_id": "a", "metadata": deep})))

    assert [choice.subject for choice in interpreted.choices if isinstance(choice.subject, Fact)] == []
    assert any(warning.startswith("too_deep") for warning in interpreted.warnings)
