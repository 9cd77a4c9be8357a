"""What an envelope says, before its meaning is decided (didomi.md 1.2)."""

import pytest
from tests.unit.didomi.bodies import Json, created, encode, event

from didomi_dataverse.didomi.interpreted import NotificationType
from didomi_dataverse.didomi.notification import Notification, parse_notifications


def parse_one(envelope: Json) -> Notification:
    (notification,) = parse_notifications(encode(envelope))
    return notification


@pytest.mark.parametrize("known_type", NotificationType)
def test_a_type_says_what_its_entity_is(known_type: NotificationType) -> None:
    family, verb = known_type.value.split(".")

    assert known_type.is_event == (family == "event")
    assert (known_type.is_update, known_type.is_deletion) == (verb == "updated", verb == "deleted")


def test_the_entity_names_the_regulation_when_the_envelope_does_not() -> None:
    envelope = created(event(regulation="CPA"))
    del envelope["regulation"]

    assert parse_one(envelope).regulation == "cpa"


def test_words_of_the_caller_are_bounded_and_storable() -> None:
    notification = parse_one(created(event(), kind="x\u0000" * 1_000, regulation="y\ud800" * 1_000))

    for word in (notification.type, notification.regulation):
        assert len(word) <= 100
        assert "\x00" not in word
        word.encode()


def test_a_notification_shows_neither_person_nor_choice() -> None:
    person = {"id": "U-secret", "organization_user_id": "anna@example.com", "country": "FR-secret"}

    shown = repr(parse_one(created(event([{"id": "secret-purpose", "enabled": True}], user=person))))

    assert "secret" not in shown
    assert "anna" not in shown
