"""What every notification of didomi.md 1.2 to 3.2 means (docs/how-choices-are-decided.md)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.didomi.bodies import (
    CREATED_AT,
    NEWS,
    RECEIVED_AT,
    SOURCE_AT,
    UPDATED_AT,
    Json,
    created,
    describe_disposition,
    encode,
    event,
    interpret_envelope,
    iso,
    updated,
    user,
    values_by_subject,
)

from didomi_dataverse.consent.model import ChoiceKind, Item
from didomi_dataverse.didomi.identity import Normalization
from didomi_dataverse.didomi.interpret import MAX_CHOICES, InterpretationPolicy, OnUserDeleted
from didomi_dataverse.didomi.interpreted import DeletionScope, Disposition, Identity

SOURCE = {"id": "E9", "created_at": iso(SOURCE_AT)}
ANONYMOUS = {"id": "U1"}


def kinds_of(envelope: Json) -> dict[str, tuple[ChoiceKind, datetime, str]]:
    """Per purpose: kind, time and source of its choice."""
    return {
        choice.subject.purpose: (choice.kind, choice.made_at, choice.source_id)
        for choice in interpret_envelope(envelope).choices
        if isinstance(choice.subject, Item)
    }


@pytest.mark.parametrize(
    ("envelope", "disposition"),
    [
        # 1.2, 1.3: envelope and types
        pytest.param(created(event()), "applied", id="event.created"),
        pytest.param(
            updated(event(), event(), kind="event.updated", source=SOURCE), "applied", id="event.updated"
        ),
        pytest.param(created(event(), kind="event.deleted"), "applied", id="event.deleted"),
        pytest.param(
            created({"id": "E1", "created_at": iso(CREATED_AT)}, kind="event.deleted"),
            "applied",
            id="event.deleted as in the example",
        ),
        pytest.param(created(user(), kind="user.created"), "applied", id="user.created"),
        pytest.param(updated(user(), user(), kind="user.updated"), "applied", id="user.updated"),
        pytest.param(created(user(), kind="user.deleted"), "applied", id="user.deleted"),
        pytest.param(created(event(id=None), kind="event.deleted"), "parked malformed", id="deleted, no id"),
        pytest.param(
            created(user(id=None), kind="user.deleted"), "parked malformed", id="a deleted user without an id"
        ),
        pytest.param(
            created(event([{"id": f"p{n}", "enabled": True} for n in range(MAX_CHOICES + 1)])),
            "parked too_large",
            id="more choices than one person makes",
        ),
        pytest.param(created(event(), kind="event.archived"), "parked unknown_type", id="unknown type"),
        pytest.param(created(event(), kind="EVENT.CREATED"), "parked unknown_type", id="type in capitals"),
        pytest.param({}, "parked malformed", id="empty object"),
        pytest.param({"parameters": {"entity": event()}}, "parked malformed", id="no type"),
        pytest.param(created(event(), type=7), "parked malformed", id="type is a number"),
        pytest.param({"type": "event.created"}, "parked malformed", id="no parameters"),
        pytest.param(
            {"type": "event.created", "parameters": []}, "parked malformed", id="parameters is a list"
        ),
        pytest.param({"type": "event.created", "parameters": {}}, "parked malformed", id="no entity"),
        pytest.param(
            {"type": "event.created", "parameters": {"entity": "E1"}}, "parked malformed", id="entity is text"
        ),
        pytest.param(
            {"type": "event.deleted", "parameters": {}}, "parked malformed", id="deleted without entity"
        ),
        pytest.param(
            {"type": "event.updated", "parameters": {"old_entity": event()}},
            "parked malformed",
            id="update without a new entity",
        ),
        pytest.param(
            {"type": "event.updated", "parameters": {"entity": event()}},
            "applied",
            id="update under `entity`",
        ),
        pytest.param(
            updated(user(), kind="user.updated", source="E9"), "applied", id="a source of another type"
        ),
        pytest.param(
            {**updated(event(), kind="event.updated"), "unknown": {"deep": [1]}},
            "applied",
            id="unknown extras",
        ),
        # 1.10: regulation
        pytest.param(created(event(), regulation="GDPR"), "applied", id="regulation in capitals"),
        pytest.param(created(event(), regulation=None), "applied", id="regulation null"),
        pytest.param(created(event(regulation="gdpr")), "applied", id="envelope and entity agree"),
        pytest.param(
            created(event(regulation="GDPR")), "applied", id="envelope and entity agree but for case"
        ),
        pytest.param(
            created(event(regulation="cpra")), "parked regulation_mismatch", id="envelope and entity disagree"
        ),
        pytest.param(
            created(event(), regulation=7), "parked regulation_mismatch", id="regulation of another type"
        ),
        pytest.param(
            created(event(), regulation="cpra"), "skipped regulation_not_mapped", id="another regulation"
        ),
        # 2.1: organization
        pytest.param(created(event(organization_id=None)), "applied", id="no organization"),
        pytest.param(
            created(event(organization_id="other")), "parked foreign_organization", id="another one"
        ),
        pytest.param(
            created(event(organization_id={})), "parked foreign_organization", id="organization unreadable"
        ),
        # 3.1: status
        pytest.param(created(event(status=None)), "applied", id="no status is confirmed"),
        pytest.param(created(event(status="pending_approval")), "skipped pending_approval", id="pending"),
        pytest.param(created(event(status="rejected")), "parked unknown_status", id="unknown status"),
        pytest.param(created(event(status=1)), "parked unknown_status", id="status of another type"),
        pytest.param(
            updated(event(), event(status="pending_approval"), kind="event.updated"),
            "applied",
            id="pending → confirmed",
        ),
        pytest.param(
            updated(event(status="pending_approval"), event(), kind="event.updated"),
            "parked confirmation_revoked",
            id="confirmed → pending",
        ),
        pytest.param(
            updated(event(status="pending_approval"), {"id": "E1"}, kind="event.updated"),
            "parked confirmation_revoked",
            id="no status, so confirmed → pending",
        ),
        pytest.param(
            updated(event(status="pending_approval"), event(status="pending_approval"), kind="event.updated"),
            "skipped pending_approval",
            id="pending → pending",
        ),
        pytest.param(
            updated(event(status="pending_approval"), kind="event.updated"),
            "skipped pending_approval",
            id="pending, nothing known of before",
        ),
        pytest.param(
            created(user(status="pending_approval"), kind="user.created"),
            "applied",
            id="users have no status",
        ),
        # 2.5: identity
        pytest.param(created(event(user=ANONYMOUS)), "skipped anonymous", id="no person named"),
        pytest.param(created(event(user=None)), "skipped anonymous", id="no user at all"),
        pytest.param(
            created(event(user={"id": "U1", "organization_user_id": ""})), "skipped anonymous", id="empty id"
        ),
        pytest.param(
            created(event(user={"id": "U1", "organization_user_id": 42})), "applied", id="the id is a number"
        ),
        pytest.param(
            created(event(user={"id": "U1", "organization_user_id": {}})),
            "parked identity_unusable",
            id="the id is an object",
        ),
        pytest.param(
            created(event(user={"id": "U1", "organization_user_id": True})),
            "parked identity_unusable",
            id="the id is true",
        ),
        pytest.param(created(event(user="U1")), "skipped anonymous", id="user is text"),
        pytest.param(
            created(user(organization_user_id=None), kind="user.created"),
            "skipped anonymous",
            id="user without id",
        ),
        pytest.param(
            created(user(user={"organization_user_id": "b"}, organization_user_id=None), kind="user.created"),
            "skipped anonymous",
            id="a user.* names the person at the top only",
        ),
        # 2.3: choices
        pytest.param(created(event([])), "skipped no_choices", id="no purposes"),
        pytest.param(created(event([{"id": "news", "enabled": None}])), "skipped no_choices", id="null only"),
        pytest.param(
            created(event(consents={"vendors": {"enabled": ["x"]}})), "skipped no_choices", id="vendors only"
        ),
        pytest.param(created(event(consents=None)), "skipped no_choices", id="no consents"),
        pytest.param(
            created(event([{"id": "news", "enabled": "false"}])), "parked malformed", id="nothing readable"
        ),
        pytest.param(
            created(
                event(
                    [{"id": "news", "enabled": "false"}],
                    user={"id": "U1", "organization_user_id": "a", "country": "FR"},
                )
            ),
            "parked malformed",
            id="no readable choice, though a fact",
        ),
        pytest.param(
            created(event([{"id": "news", "enabled": "false"}, {"id": "b", "enabled": True}])),
            "applied",
            id="one readable choice",
        ),
        pytest.param(
            created(event([], user={"id": "U1", "organization_user_id": "a", "country": "FR"})),
            "applied",
            id="a fact only",
        ),
    ],
)
def test_a_notification_has_one_disposition(envelope: Json, disposition: str) -> None:
    assert describe_disposition(interpret_envelope(envelope)) == disposition


@pytest.mark.parametrize(
    ("envelope", "disposition"),
    [
        pytest.param(
            created(event(status="pending_approval", organization_id="other")),
            "parked foreign_organization",
            id="foreign before pending",
        ),
        pytest.param(
            created(event(organization_id="other"), kind="event.deleted"),
            "parked foreign_organization",
            id="foreign before deleted",
        ),
        pytest.param(
            created(event(status="pending_approval", user=ANONYMOUS)),
            "skipped pending_approval",
            id="pending before anonymous",
        ),
        pytest.param(
            created(event(user=ANONYMOUS), regulation="cpra"),
            "skipped anonymous",
            id="anonymous before not mapped",
        ),
    ],
)
def test_the_weightier_reason_is_told(envelope: Json, disposition: str) -> None:
    assert describe_disposition(interpret_envelope(envelope)) == disposition


@pytest.mark.parametrize(
    "envelope",
    [
        pytest.param(created(event(status="pending_approval")), id="pending"),
        pytest.param(created(event(status="rejected")), id="unknown status"),
        pytest.param(updated(event(status="pending_approval"), event(), kind="event.updated"), id="revoked"),
        pytest.param(created(event(organization_id="other")), id="foreign"),
        pytest.param(created(event(regulation="cpra")), id="regulation mismatch"),
        pytest.param(created(event(user=ANONYMOUS)), id="anonymous"),
        pytest.param(created(event(), kind="event.deleted"), id="event deleted"),
        pytest.param(created(user(), kind="user.deleted"), id="user deleted"),
    ],
)
def test_what_is_set_aside_folds_nothing(envelope: Json) -> None:
    assert interpret_envelope(envelope).choices == ()


def test_a_key_named_twice_parks_the_notification() -> None:
    body = encode(created(event())).replace(b'"enabled": true', b'"enabled": true, "enabled": false')

    interpreted = interpret_envelope(body)

    assert (describe_disposition(interpreted), interpreted.choices) == ("parked malformed", ())
    assert interpreted.warnings == ("duplicate_key",)


def test_a_regulation_without_mapping_keeps_its_choices() -> None:
    """They are known, so that a mapping added later finds them."""
    interpreted = interpret_envelope(created(event(), regulation="CPRA"))

    assert values_by_subject(interpreted) == {Item("cpra", "news"): True}
    assert interpreted.disposition is Disposition.SKIPPED


def test_gdpr_is_meant_when_no_regulation_is_named() -> None:
    """didomi.md 1.2: every older example leaves it out."""
    envelope = created(event())
    del envelope["regulation"]

    assert values_by_subject(interpret_envelope(envelope)) == {NEWS: True}


def test_any_organization_is_accepted_when_none_is_configured() -> None:
    interpreted = interpret_envelope(created(event(organization_id="other")), InterpretationPolicy())

    assert interpreted.disposition is Disposition.APPLIED


def test_an_interpretation_says_what_it_is_about() -> None:
    body = encode(created(event(user={"id": "U1", "organization_user_id": " Anna@Example.com"})))

    interpreted = interpret_envelope(body)

    assert interpreted.body == body
    assert interpreted.type == "event.created"
    assert interpreted.caller == "oauth"
    assert interpreted.received_at == RECEIVED_AT
    assert interpreted.organization_id == "acme"
    assert interpreted.didomi_user == "U1"
    assert interpreted.source_id == "E1"
    assert interpreted.effective_at == CREATED_AT
    assert interpreted.identity == Identity(key="anna@example.com", identifier="Anna@Example.com")
    (choice,) = interpreted.choices
    assert choice.didomi_user == "U1"
    assert choice.notification == interpreted.digest


def test_a_pending_notification_can_be_found_by_its_person_and_event() -> None:
    interpreted = interpret_envelope(created(event(status="pending_approval")))

    assert interpreted.identity is not None
    assert (interpreted.didomi_user, interpreted.source_id) == ("U1", "E1")


def test_a_deleted_event_is_kept_with_its_id() -> None:
    """didomi.md 8.2, question 10: it may name no user, so the id is what leads to the contact."""
    interpreted = interpret_envelope(
        created({"id": "E1", "created_at": iso(CREATED_AT)}, kind="event.deleted")
    )

    assert (interpreted.deletes, interpreted.source_id, interpreted.identity) == (
        DeletionScope.EVENT,
        "E1",
        None,
    )


@pytest.mark.parametrize(
    ("policy", "expected", "deletes"),
    [
        pytest.param(OnUserDeleted.UNSET, "applied", DeletionScope.USER, id="unset"),
        pytest.param(OnUserDeleted.IGNORE, "skipped user_deletion_ignored", None, id="ignore"),
        pytest.param(OnUserDeleted.PARK, "parked deleted", None, id="park"),
    ],
)
def test_a_deleted_user_is_treated_as_configured(
    policy: OnUserDeleted, expected: str, deletes: DeletionScope | None
) -> None:
    """didomi.md 8.2, question 11: it does not say why."""
    interpreted = interpret_envelope(
        created(user(), kind="user.deleted"), InterpretationPolicy(on_user_deleted=policy)
    )

    assert (describe_disposition(interpreted), interpreted.deletes, interpreted.didomi_user) == (
        expected,
        deletes,
        "U1",
    )


@pytest.mark.parametrize("policy", OnUserDeleted)
def test_a_deleted_event_is_followed_whatever_happens_to_users(policy: OnUserDeleted) -> None:
    interpreted = interpret_envelope(
        created(event(), kind="event.deleted"), InterpretationPolicy(on_user_deleted=policy)
    )

    assert (describe_disposition(interpreted), interpreted.deletes) == ("applied", DeletionScope.EVENT)


def test_the_identity_follows_the_configured_spelling() -> None:
    policy = InterpretationPolicy(normalize=Normalization.GUID)

    interpreted = interpret_envelope(created(event(user={"organization_user_id": "42"})), policy)

    assert describe_disposition(interpreted) == "parked identity_unusable"


@pytest.mark.parametrize(
    ("entity", "made_at", "warning"),
    [
        pytest.param(event(), CREATED_AT, None, id="created_at"),
        pytest.param(event(updated_at=iso(UPDATED_AT)), UPDATED_AT, None, id="updated_at wins"),
        pytest.param(event(created_at=None), RECEIVED_AT, "missing_time", id="neither: arrival"),
        pytest.param(
            event(updated_at="soon"), RECEIVED_AT, "unreadable_time updated_at", id="unreadable: arrival"
        ),
        pytest.param(
            event(created_at=7), RECEIVED_AT, "unreadable_time created_at", id="of another type: arrival"
        ),
        pytest.param(
            event(created_at="soon", updated_at=iso(UPDATED_AT)),
            UPDATED_AT,
            "unreadable_time created_at",
            id="the unreadable one is not needed",
        ),
        pytest.param(
            event(created_at=iso(RECEIVED_AT + timedelta(minutes=4))),
            RECEIVED_AT + timedelta(minutes=4),
            None,
            id="clocks that disagree",
        ),
        pytest.param(
            event(created_at="2036-01-01T00:00:00Z"), RECEIVED_AT, "future_time", id="the future: arrival"
        ),
        pytest.param(
            event(created_at="1999-01-01T00:00:00Z"),
            datetime(1999, 1, 1, tzinfo=UTC),
            None,
            id="an import of old choices",
        ),
    ],
)
def test_an_event_is_ordered_by_its_effective_time(
    entity: Json, made_at: datetime, warning: str | None
) -> None:
    """didomi.md 1.6."""
    interpreted = interpret_envelope(created(entity))

    assert [choice.made_at for choice in interpreted.choices] == [made_at]
    assert interpreted.effective_at == made_at
    assert interpreted.warnings == (() if warning is None else (warning,))


def test_an_event_states_everything_it_holds() -> None:
    assert kinds_of(created(event())) == {"news": (ChoiceKind.STATEMENT, CREATED_AT, "E1")}


def test_an_updated_event_states_its_new_entity_at_the_update() -> None:
    new = event([{"id": "news", "enabled": False}], updated_at=iso(UPDATED_AT))
    envelope = updated(new, event(), kind="event.updated", source=SOURCE)

    assert kinds_of(envelope) == {"news": (ChoiceKind.STATEMENT, UPDATED_AT, "E1")}
    assert values_by_subject(interpret_envelope(envelope)) == {NEWS: False}


def test_an_updated_event_states_what_it_repeats_too() -> None:
    """A corrected event is one action as a whole; only snapshots repeat what was decided before."""
    new = event(updated_at=iso(UPDATED_AT))

    assert kinds_of(updated(new, event(), kind="event.updated"))["news"][0] is ChoiceKind.STATEMENT


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(SOURCE, (ChoiceKind.STATEMENT, SOURCE_AT, "E9"), id="time and id from the source"),
        pytest.param({"id": "E9"}, (ChoiceKind.STATEMENT, UPDATED_AT, "E9"), id="a source without time"),
        pytest.param(
            {"created_at": iso(SOURCE_AT)},
            (ChoiceKind.STATEMENT, SOURCE_AT, "U1:7"),
            id="a source without id",
        ),
        pytest.param(
            {**SOURCE, "created_at": iso(CREATED_AT), "updated_at": iso(SOURCE_AT)},
            (ChoiceKind.STATEMENT, SOURCE_AT, "E9"),
            id="the source was updated",
        ),
        pytest.param(
            {"id": "E9", "created_at": "soon"},
            (ChoiceKind.STATEMENT, UPDATED_AT, "E9"),
            id="the source's time is unreadable",
        ),
        pytest.param(None, (ChoiceKind.STATEMENT, UPDATED_AT, "U1:7"), id="no source"),
        pytest.param([], (ChoiceKind.STATEMENT, UPDATED_AT, "U1:7"), id="a source of another type"),
    ],
)
def test_what_changed_in_a_snapshot_is_a_statement_of_its_source(source: object, expected: object) -> None:
    """docs/how-choices-are-decided.md, "One action, told twice": both families tell of one action under one
    time and id.
    """
    old = user([{"id": "news", "enabled": False}], version=6)

    assert kinds_of(updated(user(), old, kind="user.updated", source=source)) == {"news": expected}


def test_what_a_snapshot_repeats_is_an_assertion_at_its_own_time() -> None:
    old = user([{"id": "news", "enabled": True}, {"id": "ads", "enabled": True}], version=6)
    new = user(
        [{"id": "news", "enabled": True}, {"id": "ads", "enabled": False}, {"id": "new", "enabled": True}]
    )

    assert kinds_of(updated(new, old, kind="user.updated", source=SOURCE)) == {
        "news": (ChoiceKind.ASSERTION, UPDATED_AT, "U1:7"),
        "ads": (ChoiceKind.STATEMENT, SOURCE_AT, "E9"),
        "new": (ChoiceKind.STATEMENT, SOURCE_AT, "E9"),
    }


def test_facts_follow_the_same_rule() -> None:
    old = user([], country="FR", metadata={"a": 1, "b": 1})
    new = user([], country="FR", metadata={"a": 1, "b": True})

    interpreted = interpret_envelope(updated(new, old, kind="user.updated", source=SOURCE))

    kinds = {
        choice.subject.path: choice.kind
        for choice in interpreted.choices
        if not isinstance(choice.subject, Item)
    }
    assert kinds == {
        "country": ChoiceKind.ASSERTION,
        "metadata.a": ChoiceKind.ASSERTION,
        "metadata.b": ChoiceKind.STATEMENT,  # 1 is not true
    }


@pytest.mark.parametrize(
    "new",
    [
        pytest.param([], id="absent now"),
        pytest.param([{"id": "news", "enabled": None}], id="null now"),
    ],
)
def test_what_a_snapshot_no_longer_holds_is_not_cleared(new: list[Any]) -> None:
    """didomi.md 8.2, questions 13 and 14."""
    old = user([{"id": "news", "enabled": True}])

    assert values_by_subject(interpret_envelope(updated(user(new), old, kind="user.updated"))) == {}


def test_the_first_snapshot_of_a_user_states_everything() -> None:
    assert kinds_of(created(user(), kind="user.created")) == {
        "news": (ChoiceKind.STATEMENT, UPDATED_AT, "U1:7")
    }


@pytest.mark.parametrize("enabled", [True, False], ids=["yes", "no"])
@pytest.mark.parametrize(
    "past",
    [
        pytest.param({}, id="no old entity"),
        pytest.param({"old_entity": None}, id="a null old entity"),
        pytest.param({"old_entity": "x"}, id="an unreadable old entity"),
        pytest.param({"old_entity": user(organization_user_id=None)}, id="a login"),
    ],
)
def test_where_the_past_is_unknown_a_no_is_new_and_a_yes_is_old(past: Json, *, enabled: bool) -> None:
    """Taken for new, a stale yes would overrule another device's no; taken for old, a no would be lost."""
    news = [{"id": "news", "enabled": enabled}]
    if isinstance(past.get("old_entity"), dict):
        past = {"old_entity": {**past["old_entity"], "consents": {"purposes": news}}}
    envelope = {"type": "user.updated", "parameters": {"new_entity": user(news), **past}}
    kind = ChoiceKind.ASSERTION if enabled else ChoiceKind.STATEMENT
    assert kinds_of(envelope) == {"news": (kind, UPDATED_AT, "U1:7")}


def test_a_created_user_takes_time_and_id_from_a_source_that_is_named() -> None:
    envelope = created(user(), kind="user.created")
    envelope["parameters"]["source"] = SOURCE

    assert kinds_of(envelope) == {"news": (ChoiceKind.STATEMENT, SOURCE_AT, "E9")}


def test_a_source_in_the_future_is_bounded_too() -> None:
    """A choice from the future must not freeze an item."""
    source = {"id": "E9", "created_at": "2036-01-01T00:00:00Z"}

    before = user([{"id": "news", "enabled": False}])
    interpreted = interpret_envelope(updated(user(), before, kind="user.updated", source=source))

    assert [choice.made_at for choice in interpreted.choices] == [RECEIVED_AT]
    assert interpreted.warnings == ("future_time source",)


@pytest.mark.parametrize(
    ("kind", "made_at"),
    [
        pytest.param("user.created", CREATED_AT, id="a new user was created then"),
        pytest.param("user.updated", RECEIVED_AT, id="a later state was not"),
    ],
)
def test_a_snapshot_without_update_time(kind: str, made_at: datetime) -> None:
    snapshot = user(updated_at=None)
    envelope = created(snapshot, kind=kind) if kind == "user.created" else updated(snapshot, kind=kind)

    assert [choice.made_at for choice in interpret_envelope(envelope).choices] == [made_at]


@pytest.mark.parametrize(
    ("version", "source_id"),
    [
        pytest.param(7, "U1:7", id="number"),
        pytest.param(7.0, "U1:7", id="decimal that is whole"),
        pytest.param("7", "U1:7", id="text"),
        pytest.param(None, f"U1:{UPDATED_AT.isoformat()}", id="absent: the time stands in"),
        pytest.param([], f"U1:{UPDATED_AT.isoformat()}", id="of another type: the time stands in"),
        pytest.param(True, f"U1:{UPDATED_AT.isoformat()}", id="true: the time stands in"),
    ],
)
def test_a_snapshot_is_named_by_user_and_version(version: object, source_id: str) -> None:
    assert interpret_envelope(created(user(version=version), kind="user.created")).source_id == source_id


@pytest.mark.parametrize(
    "old",
    [
        pytest.param(user(organization_user_id=None, version=6), id="assigned"),
        pytest.param(user(organization_user_id="old@example.com", version=6), id="changed"),
    ],
)
def test_a_new_identity_receives_the_snapshot_as_it_is(old: Json) -> None:
    """didomi.md 2.5: earlier choices become that person's, at the weight of something repeated."""
    interpreted = interpret_envelope(
        updated(user(organization_user_id="new@example.com"), old, kind="user.updated")
    )

    assert interpreted.identity == Identity(key="new@example.com", identifier="new@example.com")
    assert [choice.kind for choice in interpreted.choices] == [ChoiceKind.ASSERTION]


def test_an_identity_taken_away_leaves_no_person() -> None:
    interpreted = interpret_envelope(updated(user(organization_user_id=None), user(), kind="user.updated"))

    assert describe_disposition(interpreted) == "skipped anonymous"


def test_what_was_wrong_before_an_update_is_not_a_warning() -> None:
    old = user([{"id": "news", "enabled": "yes"}], version=[])

    interpreted = interpret_envelope(updated(user(), old, kind="user.updated"))

    assert interpreted.warnings == ()
    assert [choice.kind for choice in interpreted.choices] == [ChoiceKind.STATEMENT]


def test_a_number_for_an_identifier_is_taken_with_a_warning() -> None:
    interpreted = interpret_envelope(created(event(user={"id": "U1", "organization_user_id": 42})))

    assert interpreted.identity == Identity(key="42", identifier="42")
    assert interpreted.warnings == ("number_for_text user.organization_user_id",)
