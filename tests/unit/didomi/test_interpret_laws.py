"""Every body can be interpreted, and the result can be held by every store."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.didomi.bodies import RECEIVED_AT, created, encode, event, interpret_envelope

from didomi_dataverse.consent.model import Item, Selection
from didomi_dataverse.didomi.identity import Normalization
from didomi_dataverse.didomi.interpret import InterpretationPolicy, interpret
from didomi_dataverse.didomi.interpreted import (
    DeletionScope,
    Disposition,
    InterpretedNotification,
    NotificationType,
    Reason,
)
from didomi_dataverse.didomi.notification import parse_notifications
from didomi_dataverse.errors import NotJsonError
from didomi_dataverse.text import is_storable

KEYS = st.sampled_from(
    [
        "type",
        "regulation",
        "parameters",
        "entity",
        "new_entity",
        "old_entity",
        "source",
        "user",
        "id",
        "organization_id",
        "status",
        "version",
        "organization_user_id",
        "organization_user_id_type",
        "metadata",
        "country",
        "last_seen_country",
        "created_at",
        "updated_at",
        "consents",
        "purposes",
        "channels",
        "preferences",
        "values",
        "value",
        "enabled",
        "enabled_li",
        "vendors",
        "news",
        "entity__consents__purposes__news__enabled",
        "entity__id",
        "parameters__entity__user__id",
        "entity__consents__channels__0__id",
        "new_entity__consents",
    ]
)
WORDS = st.sampled_from(
    [
        *NotificationType,
        "gdpr",
        "cpra",
        "confirmed",
        "pending_approval",
        "acme",
        "2026-10-05T10:00:00Z",
        "news",
    ]
)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(st.characters(), max_size=8)
)
ANYTHING = st.recursive(
    SCALARS,
    lambda below: (
        st.lists(below, max_size=4) | st.dictionaries(KEYS | st.text(max_size=4), below, max_size=6)
    ),
    max_leaves=30,
)
POLICIES = st.builds(
    InterpretationPolicy,
    organization_id=st.sampled_from([None, "acme"]),
    normalize=st.sampled_from(Normalization),
)


def shaped(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Envelopes that get past the first checks, with anything further inside."""
    purposes = st.lists(st.dictionaries(KEYS, below, max_size=5) | below, max_size=4) | below
    consents = st.fixed_dictionaries({}, optional={"purposes": purposes, "channels": purposes}) | below
    person = st.dictionaries(KEYS, below, max_size=5) | st.just({"id": "U1", "organization_user_id": "a"})
    entity = st.fixed_dictionaries(
        {},
        optional={
            "id": below,
            "organization_user_id": below,
            "user": person,
            "metadata": below,
            "consents": consents,
            "created_at": below,
            "updated_at": below,
            "version": below,
            "status": below,
        },
    )
    parameters = st.fixed_dictionaries(
        {}, optional={"entity": entity, "new_entity": entity, "old_entity": entity, "source": below}
    )
    return st.fixed_dictionaries(
        {"type": st.sampled_from(list(NotificationType)), "parameters": parameters},
        optional={"regulation": below},
    )


def texts_of(interpreted: InterpretedNotification) -> list[str]:
    """Every text that becomes a column of its own, or part of one."""
    texts = [
        interpreted.digest,
        interpreted.type,
        interpreted.regulation,
        interpreted.organization_id,
        interpreted.didomi_user,
        interpreted.source_id,
        *interpreted.warnings,
    ]
    if interpreted.identity is not None:
        texts += [interpreted.identity.key, interpreted.identity.identifier]
    for choice in interpreted.choices:
        subject, value = choice.subject, choice.value
        texts += [choice.didomi_user, choice.source_id]
        texts += (
            [subject.purpose, subject.preference, subject.channel]
            if isinstance(subject, Item)
            else [subject.path]
        )
        texts += [value.text, *value.ids] if isinstance(value, Selection) else []
        texts += [value] if isinstance(value, str) else []
    return texts


def check(body: bytes, policy: InterpretationPolicy) -> None:
    try:
        notifications = parse_notifications(body)
    except NotJsonError:
        return
    for notification in notifications:
        interpreted = interpret(notification, received_at=RECEIVED_AT, caller="oauth", policy=policy)
        assert all(is_storable(text) for text in texts_of(interpreted))
        assert (interpreted.reason is None) == (interpreted.disposition is Disposition.APPLIED)
        if interpreted.disposition is not Disposition.APPLIED:
            assert interpreted.choices == () or interpreted.reason is Reason.REGULATION_NOT_MAPPED
        elif interpreted.deletes is not None:
            assert interpreted.choices == ()
            assert (
                interpreted.source_id
                if interpreted.deletes is DeletionScope.EVENT
                else interpreted.didomi_user
            )
        else:
            assert interpreted.choices
            assert interpreted.identity is not None
        assert len({choice.subject for choice in interpreted.choices}) == len(interpreted.choices)
        # Interpreted again from what is kept, it is the same: a replay changes nothing.
        (again,) = parse_notifications(interpreted.body)
        assert interpret(again, received_at=RECEIVED_AT, caller="oauth", policy=policy) == interpreted


@given(st.binary(max_size=300), POLICIES)
def test_arbitrary_bytes_are_read_or_refused(body: bytes, policy: InterpretationPolicy) -> None:
    check(body, policy)


@given(ANYTHING, POLICIES)
def test_arbitrary_json_is_read_or_refused(anything: object, policy: InterpretationPolicy) -> None:
    check(json.dumps(anything).encode(), policy)


@given(shaped(ANYTHING), POLICIES)
def test_an_envelope_with_anything_inside_is_read(envelope: object, policy: InterpretationPolicy) -> None:
    check(json.dumps(envelope).encode(), policy)


@given(
    st.dictionaries(
        st.lists(KEYS | st.text("_0a", max_size=3), max_size=5).map("__".join), SCALARS, max_size=8
    )
)
def test_flat_keys_of_any_kind_are_read(members: dict[str, object]) -> None:
    envelope = {"type": "event.created", **{f"entity__{key}": value for key, value in members.items()}}

    check(json.dumps(envelope).encode(), InterpretationPolicy())


@given(st.permutations(["type", "regulation", "parameters"]), st.booleans())
def test_spelling_makes_no_other_notification(order: list[str], indented: bool) -> None:
    envelope = created(event())
    reordered = {key: envelope[key] for key in order}
    body = json.dumps(reordered, indent=2 if indented else None).encode()

    assert interpret_envelope(body).digest == interpret_envelope(encode(envelope)).digest
