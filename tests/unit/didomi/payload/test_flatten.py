"""The flatten option (didomi.md 1.7): undone where one structure is possible, parked where two are."""

from typing import Any

import pytest
from tests.unit.didomi.bodies import (
    CREATED_AT,
    NEWS,
    created,
    describe_disposition,
    event,
    interpret_envelope,
    iso,
    user,
    values_by_subject,
)

from didomi_dataverse.consent.model import Basis, Item, Selection
from didomi_dataverse.didomi.interpreted import InterpretedNotification

PERSON = {"entity__user__id": "U1", "entity__user__organization_user_id": "a@example.com"}
WEEKLY = Selection(ids=("weekly",), text="weekly")


def flat(*, kind: str = "event.updated", prefix: str = "", **members: object) -> InterpretedNotification:
    """An envelope with these keys, below `consents__purposes` unless they name an entity, interpreted."""
    spelt = {
        f"{prefix}{key}"
        if key.startswith(("entity", "new_entity"))
        else f"{prefix}entity__consents__purposes__{key}": value
        for key, value in {**PERSON, **members}.items()
    }
    return interpret_envelope({"type": kind, "regulation": "gdpr", **spelt})


@pytest.mark.parametrize(
    "members",
    [
        pytest.param(
            {"0__id": "news", "0__enabled": True, "0__values__freq__value": "weekly"},
            id="positions, as on the page",
        ),
        pytest.param(
            {"news__enabled": True, "news__values__freq__value": "weekly"}, id="ids, as on the page"
        ),
        pytest.param(
            {
                "entity__consents__purposes": [
                    {"id": "news", "enabled": True, "values": {"freq": {"value": "weekly"}}}
                ]
            },
            id="lists kept whole",
        ),
        pytest.param(
            {
                "entity__consents": {
                    "purposes": [{"id": "news", "enabled": True, "values": {"freq": {"value": "weekly"}}}]
                }
            },
            id="consents kept whole",
        ),
        pytest.param(
            {
                "0": {"id": "news", "enabled": True},
                "1__id": "news",
                "1__values": {"freq": {"value": "weekly"}},
            },
            id="elements kept whole",
        ),
        pytest.param(
            {"news__enabled": True, "news__values": {"freq": {"value": "weekly"}}}, id="values kept whole"
        ),
        pytest.param(
            {"news__enabled": True, "news__values__freq": {"value": "weekly"}}, id="a preference kept whole"
        ),
        pytest.param(
            {
                "news__enabled": True,
                "news__id": "news",
                "news__enabled_li": None,
                "news__propagation": True,
                "news__values__other": None,
                "news__metadata__campaign": "spring",
                "news__values__freq__value": "weekly",
                "news__values__freq__from_propagation": True,
            },
            id="with everything else that a purpose holds",
        ),
        pytest.param(
            {
                "news__enabled": True,
                "news__values__freq__value": "weekly",
                "entity__proofs_id__0": "P1",
                "entity__delegate__id": "agent",
                "entity__consents__vendors__enabled__0": "c:a",
                "entity__consents__tcfcs": None,
                "entity__new__thing": 1,
            },
            id="with everything else that an event holds",
        ),
    ],
)
def test_a_flat_body_is_rebuilt(members: dict[str, Any]) -> None:
    interpreted = flat(**members)

    assert values_by_subject(interpreted) == {NEWS: True, Item("gdpr", "news", "freq"): WEEKLY}
    assert describe_disposition(interpreted) == "applied"
    assert "flattened" in interpreted.warnings


@pytest.mark.parametrize("prefix", ["", "parameters__"])
def test_the_wrapper_may_be_part_of_the_keys(prefix: str) -> None:
    assert values_by_subject(flat(prefix=prefix, news__enabled=False)) == {NEWS: False}


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param(
            {**PERSON, "entity__consents__purposes__news__enabled": False}, id="keys inside parameters"
        ),
        pytest.param(
            {
                "entity": {
                    "user__id": "U1",
                    "user__organization_user_id": "a@example.com",
                    "consents__purposes__news__enabled": False,
                }
            },
            id="keys inside the entity",
        ),
        pytest.param(
            {
                "new_entity__user__organization_user_id": "a@example.com",
                "new_entity__consents__purposes__news__enabled": False,
                "source": {"id": "E1"},
            },
            id="new_entity, with its source as it is",
        ),
    ],
)
def test_the_flat_keys_may_stand_inside_the_parameters(parameters: dict[str, Any]) -> None:
    interpreted = interpret_envelope(
        {"type": "event.updated", "regulation": "gdpr", "parameters": parameters}
    )

    assert values_by_subject(interpreted) == {NEWS: False}


def test_an_entity_without_its_wrapper_is_read() -> None:
    interpreted = interpret_envelope({"type": "event.created", "regulation": "gdpr", "entity": event()})

    assert values_by_subject(interpreted) == {NEWS: True}


def test_a_flat_user_is_read() -> None:
    interpreted = interpret_envelope(
        {
            "type": "user.updated",
            "entity__id": "U1",
            "entity__organization_user_id": "a@example.com",
            "entity__version": 7,
            "entity__updated_at": iso(CREATED_AT),
            "entity__metadata__loyalty__id": "x-1",
            "entity__consents__purposes__news__enabled_li": False,
        }
    )

    item = Item("gdpr", "news", basis=Basis.LEGITIMATE_INTEREST)
    assert {
        getattr(subject, "path", subject): value for subject, value in values_by_subject(interpreted).items()
    } == {
        item: False,
        "metadata.loyalty.id": "x-1",
    }
    assert (interpreted.source_id, interpreted.effective_at) == ("U1:7", CREATED_AT)


@pytest.mark.parametrize(
    ("members", "item"),
    [
        pytest.param({"my__news__enabled": True}, Item("gdpr", "my__news"), id="purpose id"),
        pytest.param(
            {"my__id__enabled": True}, Item("gdpr", "my__id"), id="purpose id with a leaf's name in it"
        ),
        pytest.param(
            {"entity__consents__channels__e__mail__enabled": True},
            Item("gdpr", channel="e__mail"),
            id="channel id",
        ),
    ],
)
def test_an_id_with_the_separator_in_it_survives(members: dict[str, Any], item: Item) -> None:
    assert values_by_subject(flat(**members)) == {item: True}


def test_a_preference_id_with_the_separator_in_it_survives() -> None:
    assert values_by_subject(flat(news__values__how__often__value="weekly")) == {
        Item("gdpr", "news", "how__often"): WEEKLY
    }


@pytest.mark.parametrize(
    ("members", "item"),
    [
        pytest.param(
            {"entity__consents__channels__0__id": "sms", "entity__consents__channels__0__enabled": False},
            Item("gdpr", channel="sms"),
            id="channels of the whole, by position",
        ),
        pytest.param(
            {"entity__consents__channels__sms__enabled": False}, Item("gdpr", channel="sms"), id="by id"
        ),
        pytest.param(
            {"0__id": "news", "0__channels__0__id": "sms", "0__channels__0__enabled": False},
            Item("gdpr", "news", channel="sms"),
            id="channels of a purpose",
        ),
        pytest.param(
            {
                "0__id": "news",
                "0__preferences__0__id": "a",
                "0__preferences__1__id": "b",
                "0__preferences__1__channels__0__id": "sms",
                "0__preferences__1__channels__0__enabled": False,
            },
            Item("gdpr", "news", "b", "sms"),
            id="channels of a preference",
        ),
        pytest.param(
            {
                "0__id": "news",
                "0__unheard__of": 1,
                "0__channels__0__id": "sms",
                "0__channels__0__enabled": False,
            },
            Item("gdpr", "news", channel="sms"),
            id="with something new beside",
        ),
        pytest.param(
            {"0__id": "news", "0__channels__0": {"id": "sms", "enabled": False}},
            Item("gdpr", "news", channel="sms"),
            id="a channel kept whole",
        ),
    ],
)
def test_lists_are_read_by_position(members: dict[str, Any], item: Item) -> None:
    assert values_by_subject(flat(**members)) == {item: False}


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"news__preferences__weekly__enabled": True}, id="preferences of v1 by id"),
        pytest.param({"news__channels__email__enabled": True}, id="channels of v1 by id"),
        pytest.param({"a__values__b__values__c__value": "x"}, id="two places for `values`"),
        pytest.param({"a__metadata__enabled": True}, id="metadata or a purpose id"),
        pytest.param({"7__enabled": True}, id="a position, or an id that is a number"),
        pytest.param({"0__enabled": True}, id="a position without id"),
        pytest.param({"0__id": "a", "2__id": "b"}, id="positions with a gap"),
        pytest.param({"0__id": "a", "news__enabled": True}, id="positions and ids mixed"),
        pytest.param({"news__unheard__of": True}, id="no known leaf"),
        pytest.param({"news": {"enabled": True}}, id="a purpose kept whole under its id"),
        pytest.param({"news__enabled__x": True}, id="more below a scalar"),
        pytest.param({"news__values__freq__score": 1}, id="an unknown key below a preference"),
        pytest.param({"0": {"id": "a"}, "0__id": "b"}, id="an element twice"),
        pytest.param(
            {"entity__consents__purposes": [], "news__enabled": True}, id="the list whole and in parts"
        ),
        pytest.param({"entity__user": {"id": "U2"}}, id="the user whole and in parts, with two ids"),
        pytest.param({"new_entity__id": "E2", "news__enabled": True}, id="both names of the entity"),
        pytest.param({"entity": {"id": "E2"}, "news__enabled": True}, id="the entity whole and in parts"),
        pytest.param({"0__id": "a", "0__channels__1__id": "b"}, id="a list that starts at 1"),
        pytest.param({"0__id": "a", "0__channels__email__enabled": True}, id="a position above, an id below"),
        pytest.param({"entity__consents__channels__enabled": True}, id="a channel without id"),
        pytest.param({"entity__user__id__x": 1}, id="more below a text"),
        pytest.param({"news__values__value": "weekly"}, id="a value without preference"),
        pytest.param({"0": "news", "1__id": "news"}, id="an element that is text"),
        pytest.param(
            {"0__id": "a", "0__channels__0__id": "b", "0__channels__0": {"id": "c"}}, id="a channel twice"
        ),
        pytest.param({"news__channels__email__x": True}, id="something new below a channel of v1"),
    ],
)
def test_two_possible_structures_park_the_notification(members: dict[str, Any]) -> None:
    interpreted = flat(**members)

    assert describe_disposition(interpreted) == "parked malformed"
    assert interpreted.warnings == ("flattened", "flattened_ambiguous")
    assert interpreted.choices == ()


@pytest.mark.parametrize(
    "envelope",
    [
        pytest.param({**created(event()), "x__y": 1}, id="a foreign key at the top"),
        pytest.param(created(event(metadata={"a__b": 1})), id="metadata of the event"),
        pytest.param(created(event([{"id": "my__news", "enabled": True}])), id="a purpose id"),
        pytest.param(created(user(), kind="user.created"), id="nothing special"),
    ],
)
def test_a_body_that_is_not_flat_is_not_taken_for_one(envelope: dict[str, Any]) -> None:
    interpreted = interpret_envelope(envelope)

    assert describe_disposition(interpreted) == "applied"
    assert interpreted.warnings == ()
