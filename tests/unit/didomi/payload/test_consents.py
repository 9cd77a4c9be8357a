"""didomi.md 2.3, row by row: what of `consents` is a choice."""

from typing import Any

import pytest

from didomi_dataverse.consent.model import Basis, Item, Selection, Value
from didomi_dataverse.didomi.payload.consents import parse_consents
from didomi_dataverse.didomi.payload.warnings import ParseWarnings

NEWS = Item("gdpr", "news")
NEWS_LI = Item("gdpr", "news", basis=Basis.LEGITIMATE_INTEREST)
TOPICS = Item("gdpr", "news", "topics")


def news(**members: object) -> dict[str, Any]:
    return {"purposes": [{"id": "news", **members}]}


def values(written: object) -> dict[str, Any]:
    return news(values={"topics": {"value": written}})


def chosen(text: str, *ids: str) -> Selection:
    return Selection(ids=ids, text=text)


@pytest.mark.parametrize(
    ("consents", "expected"),
    [
        pytest.param(None, {}, id="no consents"),
        pytest.param({}, {}, id="empty consents"),
        pytest.param({"purposes": None, "channels": None}, {}, id="null lists"),
        pytest.param({"purposes": []}, {}, id="no purposes"),
        pytest.param(news(enabled=True), {NEWS: True}, id="enabled true"),
        pytest.param(news(enabled=False), {NEWS: False}, id="enabled false"),
        pytest.param(news(enabled=None), {}, id="enabled null is not a choice"),
        pytest.param(news(), {}, id="enabled absent is not a choice"),
        pytest.param(news(enabled_li=False), {NEWS_LI: False}, id="objection to legitimate interest"),
        pytest.param(news(enabled_li=True), {NEWS_LI: True}, id="no objection"),
        pytest.param(news(enabled_li=None), {}, id="enabled_li null is not a choice"),
        pytest.param(
            news(enabled=True, enabled_li=False), {NEWS: True, NEWS_LI: False}, id="both bases are two items"
        ),
        pytest.param(values("sport"), {TOPICS: chosen("sport", "sport")}, id="v2: one value"),
        pytest.param(
            values("sport,culture"),
            {TOPICS: chosen("sport,culture", "culture", "sport")},
            id="v2: two values",
        ),
        pytest.param(
            values(" sport ,, culture,sport "),
            {TOPICS: chosen(" sport ,, culture,sport ", "culture", "sport")},
            id="v2: trimmed, without empties and repeats",
        ),
        pytest.param(values(""), {TOPICS: chosen("")}, id="v2: empty text chooses none"),
        pytest.param(values(" , "), {TOPICS: chosen(" , ")}, id="v2: nothing but commas chooses none"),
        pytest.param(values(None), {}, id="v2: null value is not a choice"),
        pytest.param(news(values={"topics": {}}), {}, id="v2: no value is not a choice"),
        pytest.param(news(values={"topics": None}), {}, id="v2: null entry is not a choice"),
        pytest.param(news(values=None), {}, id="v2: null values"),
        pytest.param(news(values={}), {}, id="v2: empty values"),
        pytest.param(
            news(enabled=None, values={"topics": {"value": "sport"}}),
            {TOPICS: chosen("sport", "sport")},
            id="v2: a value below a purpose without a choice",
        ),
        pytest.param(
            news(values={"topics": {"value": "sport", "from_propagation": True}}, propagation=True),
            {TOPICS: chosen("sport", "sport")},
            id="v2: propagated values are values",
        ),
        pytest.param(
            values(["sport", "culture"]),
            {TOPICS: chosen("sport,culture", "culture", "sport")},
            id="v2: a list where text belongs",
        ),
        pytest.param(
            values("caf\u0000e"), {TOPICS: chosen("caf\ufffde", "caf\ufffde")}, id="v2: NUL is replaced"
        ),
        pytest.param(
            news(channels=[{"id": "email", "enabled": False}]),
            {Item("gdpr", "news", channel="email"): False},
            id="v1: channel of a purpose",
        ),
        pytest.param(
            news(preferences=[{"id": "weekly", "enabled": True}]),
            {Item("gdpr", "news", "weekly"): True},
            id="v1: preference",
        ),
        pytest.param(
            news(
                preferences=[{"id": "weekly", "enabled": None, "channels": [{"id": "sms", "enabled": True}]}]
            ),
            {Item("gdpr", "news", "weekly", "sms"): True},
            id="v1: channel of a preference",
        ),
        pytest.param(
            news(
                enabled=True,
                preferences=[{"id": "weekly", "enabled": True}],
                values={"topics": {"value": "sport"}},
            ),
            {NEWS: True, Item("gdpr", "news", "weekly"): True, TOPICS: chosen("sport", "sport")},
            id="v1 and v2 together",
        ),
        pytest.param(
            {"channels": [{"id": "sms", "enabled": False, "metadata": {"x": 1}}]},
            {Item("gdpr", channel="sms"): False},
            id="channel of the whole",
        ),
        pytest.param(
            {"vendors": {"enabled": ["c:a"], "disabled": []}, "tcfcs": "CP...", "new": {}},
            {},
            id="vendors, TCF string and unknown members are ignored",
        ),
        pytest.param(
            {"purposes": [{"id": " news ", "enabled": True}]}, {NEWS: True}, id="id with blanks around"
        ),
        pytest.param(
            {"purposes": [{"id": "News", "enabled": True}]}, {Item("gdpr", "News"): True}, id="case counts"
        ),
        pytest.param(news(enabled=True, metadata="text", extra=[1]), {NEWS: True}, id="unknown extras"),
    ],
)
def test_what_is_certain_becomes_an_answer(consents: object, expected: dict[Item, Value]) -> None:
    answers, left_out = parse_consents(consents, regulation="gdpr", warnings=ParseWarnings())

    assert answers == expected
    assert not left_out


@pytest.mark.parametrize(
    ("consents", "expected", "warning"),
    [
        pytest.param([], {}, "wrong_type consents", id="consents is a list"),
        pytest.param({"purposes": {}}, {}, "wrong_type consents.purposes", id="purposes is an object"),
        pytest.param({"purposes": ["news"]}, {}, "wrong_type consents.purposes[0]", id="purpose is text"),
        pytest.param({"purposes": [None]}, {}, "wrong_type consents.purposes[0]", id="purpose is null"),
        pytest.param(
            {"purposes": [{"enabled": True}]},
            {},
            "wrong_type consents.purposes[0].id",
            id="purpose without id",
        ),
        pytest.param(
            {"purposes": [{"id": 7, "enabled": True}]},
            {},
            "wrong_type consents.purposes[0].id",
            id="purpose id is a number",
        ),
        pytest.param(
            {"purposes": [{"id": " ", "enabled": True}]},
            {},
            "unusable_id consents.purposes[0].id",
            id="purpose id is blank",
        ),
        pytest.param(
            {"purposes": [{"id": "a\u0000", "enabled": True}]},
            {},
            "unusable_id consents.purposes[0].id",
            id="purpose id cannot be stored",
        ),
        pytest.param(
            {"purposes": [{"id": "a" * 501, "enabled": True}]},
            {},
            "unusable_id consents.purposes[0].id",
            id="purpose id is endless",
        ),
        pytest.param(news(enabled="true"), {}, "wrong_type consents.purposes[0].enabled", id="text true"),
        pytest.param(news(enabled=1), {}, "wrong_type consents.purposes[0].enabled", id="1"),
        pytest.param(news(enabled=0), {}, "wrong_type consents.purposes[0].enabled", id="0"),
        pytest.param(news(enabled={}), {}, "wrong_type consents.purposes[0].enabled", id="object"),
        pytest.param(
            news(enabled=False, enabled_li="no"),
            {NEWS: False},
            "wrong_type consents.purposes[0].enabled_li",
            id="the readable one beside an unreadable one",
        ),
        pytest.param(
            {"purposes": [{"id": "a", "enabled": "yes"}, {"id": "news", "enabled": False}]},
            {NEWS: False},
            "wrong_type consents.purposes[0].enabled",
            id="the readable purpose beside an unreadable one",
        ),
        pytest.param(values(7), {}, "wrong_type consents.purposes[0].values.topics.value", id="v2: number"),
        pytest.param(values(True), {}, "wrong_type consents.purposes[0].values.topics.value", id="v2: true"),
        pytest.param(
            values(["sport", 7]),
            {},
            "wrong_type consents.purposes[0].values.topics.value",
            id="v2: a list that is not all text",
        ),
        pytest.param(
            news(values={"topics": "sport"}),
            {},
            "wrong_type consents.purposes[0].values.topics",
            id="v2: text where an object belongs",
        ),
        pytest.param(
            news(values=[]), {}, "wrong_type consents.purposes[0].values", id="v2: values is a list"
        ),
        pytest.param(
            news(values={" ": {"value": "x"}}),
            {},
            "unusable_id consents.purposes[0].values[0]",
            id="v2: blank preference id",
        ),
        pytest.param(
            news(channels={"email": True}),
            {},
            "wrong_type consents.purposes[0].channels",
            id="v1: channels is an object",
        ),
        pytest.param(
            news(preferences=[{"id": "weekly", "enabled": "no"}]),
            {},
            "wrong_type consents.purposes[0].preferences[0].enabled",
            id="v1: text no",
        ),
    ],
)
def test_what_is_not_certain_is_left_out_with_a_warning(
    consents: object, expected: dict[Item, Value], warning: str
) -> None:
    warnings = ParseWarnings()

    answers, left_out = parse_consents(consents, regulation="gdpr", warnings=warnings)

    assert answers == expected
    assert left_out
    assert warnings.to_tuple() == (warning,)


@pytest.mark.parametrize(
    ("consents", "item", "expected"),
    [
        pytest.param(
            {"purposes": [{"id": "news", "enabled": True}, {"id": "news", "enabled": False}]},
            NEWS,
            False,
            id="refused after granted",
        ),
        pytest.param(
            {"purposes": [{"id": "news", "enabled": False}, {"id": "news", "enabled": True}]},
            NEWS,
            False,
            id="granted after refused",
        ),
        pytest.param(
            news(preferences=[{"id": "topics", "enabled": False}], values={"topics": {"value": "sport"}}),
            TOPICS,
            False,
            id="both generations of one preference",
        ),
        pytest.param(
            {
                "purposes": [
                    {"id": "news", "values": {"topics": {"value": "a,b"}}},
                    {"id": "news", "values": {"topics": {"value": "c"}}},
                ]
            },
            TOPICS,
            chosen("c", "c"),
            id="fewer values",
        ),
    ],
)
def test_an_item_that_occurs_twice_keeps_the_restrictive_answer(
    consents: object, item: Item, expected: Value
) -> None:
    """didomi.md 8.2, question 12."""
    warnings = ParseWarnings()

    answers, _ = parse_consents(consents, regulation="gdpr", warnings=warnings)

    assert answers[item] == expected
    assert [warning.split()[0] for warning in warnings.to_tuple()] == ["repeated"]


@pytest.mark.parametrize("order", [1, -1], ids=["readable first", "unreadable first"])
def test_an_item_with_one_unreadable_answer_has_none(order: int) -> None:
    """The unreadable one may be the refusal."""
    purposes = [{"id": "news", "enabled": True}, {"id": "news", "enabled": "false"}]

    answers, left_out = parse_consents(
        {"purposes": purposes[::order]}, regulation="gdpr", warnings=ParseWarnings()
    )

    assert answers == {}
    assert left_out


def test_items_belong_to_their_regulation() -> None:
    answers, _ = parse_consents(news(enabled=True), regulation="cpra", warnings=ParseWarnings())

    assert answers == {Item("cpra", "news"): True}


def test_a_body_full_of_mistakes_makes_a_bounded_number_of_warnings() -> None:
    warnings = ParseWarnings()

    parse_consents({"purposes": [None] * 10_000}, regulation="gdpr", warnings=warnings)

    assert len(warnings.to_tuple()) == 51
    assert warnings.to_tuple()[-1] == "more_notes_left_out"
