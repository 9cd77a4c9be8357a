"""The fold is a join, and registers resolve by the rules of docs/how-choices-are-decided.md."""

import random
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.consent.choices import BOTH, NEWS, NONE, NOON, SPORT, TOPICS, any_choice, choice, many_choices

from didomi_dataverse.consent.model import Choice, ChoiceKind, Fact, Item, Value
from didomi_dataverse.consent.registers import fold, resolve


@given(many_choices, st.randoms())
def test_fold_does_not_depend_on_the_order(said: list[Choice], dice: random.Random) -> None:
    """Commutative: any order of arrival gives the same registers."""
    shuffled = list(said)
    dice.shuffle(shuffled)
    assert fold({}, shuffled) == fold({}, said)


@given(many_choices, many_choices)
def test_fold_does_not_depend_on_how_notifications_are_grouped(one: list[Choice], two: list[Choice]) -> None:
    """Associative: one by one or all at once is the same."""
    assert fold(fold({}, one), two) == fold({}, one + two)


@given(many_choices)
def test_folding_again_changes_nothing_and_returns_the_same_registers(said: list[Choice]) -> None:
    """Idempotent, and the same object comes back: by it the ledger sees that nothing changed."""
    once = fold({}, said)
    assert fold(once, said) is once


@given(many_choices)
def test_nothing_is_granted_that_nobody_granted(said: list[Choice]) -> None:
    """A value is only ever one that was said of that very subject."""
    for subject, resolved in resolve(fold({}, said)).items():
        assert resolved.choice in [heard for heard in said if heard.subject == subject]


@given(st.lists(any_choice.filter(lambda heard: heard.value is not True), max_size=12))
def test_without_a_grant_there_is_no_grant(said: list[Choice]) -> None:
    """No sequence that contains no yes can produce one."""
    assert all(resolved.choice.value is not True for resolved in resolve(fold({}, said)).values())


def settled(*said: Choice, subject: Item | Fact = NEWS) -> Value:
    """The value after every order of arrival, which must be one."""
    results = {resolve(fold({}, order))[subject].choice.value for order in permutations(said)}
    assert len(results) == 1
    return results.pop()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param([choice(True), choice(False, minutes=1)], False, id="a later no follows a yes"),
        pytest.param([choice(False), choice(True, minutes=1)], True, id="a later yes follows a no"),
        pytest.param([choice(True), choice(False, source="E2")], False, id="equal times: no wins"),
        pytest.param(
            [choice(True), choice(False, user="laptop")], False, id="equal times on two devices: no wins"
        ),
        pytest.param(
            [choice(False), choice(True, minutes=9, user="laptop", kind=ChoiceKind.ASSERTION)],
            False,
            id="another device's snapshot overrules no statement",
        ),
        pytest.param(
            [choice(True), choice(False, minutes=9, kind=ChoiceKind.ASSERTION)],
            False,
            id="the same device's later snapshot heals a missed no",
        ),
        pytest.param(
            [choice(False, minutes=5), choice(True, minutes=4, kind=ChoiceKind.ASSERTION)],
            False,
            id="the same device's earlier snapshot is old news",
        ),
        pytest.param(
            [choice(False, minutes=5), choice(True, minutes=5, kind=ChoiceKind.ASSERTION)],
            False,
            id="a snapshot of the same instant does not overrule",
        ),
        pytest.param(
            [
                choice(True, kind=ChoiceKind.ASSERTION),
                choice(False, minutes=1, user="laptop", kind=ChoiceKind.ASSERTION),
            ],
            False,
            id="with no statement the newest snapshot counts",
        ),
        pytest.param(
            [
                choice(True, minutes=1),
                choice(False, minutes=2, user="laptop"),
                choice(True, minutes=3, kind=ChoiceKind.ASSERTION),
            ],
            False,
            id="only the device that spoke last can correct itself",
        ),
    ],
)
def test_an_item_resolves_as_the_rules_say(said: list[Choice], *, expected: bool) -> None:
    """docs/how-choices-are-decided.md, "Which choice counts", case by case and in every order of arrival."""
    assert settled(*said) is expected


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        pytest.param(SPORT, BOTH, SPORT, id="fewer values win"),
        pytest.param(SPORT, NONE, NONE, id="none is fewest"),
        pytest.param(SPORT, False, False, id="refusing a preference beats choosing one of its values"),
        pytest.param(SPORT, True, SPORT, id="choosing one value says less than accepting the preference"),
    ],
)
def test_equal_times_give_the_restrictive_value(one: Value, two: Value, expected: Value) -> None:
    """didomi.md 1.6."""
    assert settled(choice(one, subject=TOPICS), choice(two, subject=TOPICS), subject=TOPICS) == expected


def test_stated_at_is_the_newest_statement_even_when_a_snapshot_decides() -> None:
    """The diff must not take a repeated snapshot for a person repeating a choice."""
    registers = fold({}, [choice(True), choice(False, minutes=9, kind=ChoiceKind.ASSERTION)])
    assert resolve(registers)[NEWS].stated_at == NOON


def test_a_snapshot_that_repeats_a_statement_does_not_move_its_time() -> None:
    """A column that tells when the person chose must not tell when a device last reported its state."""
    registers = fold({}, [choice(True), choice(True, minutes=9, kind=ChoiceKind.ASSERTION)])
    assert resolve(registers)[NEWS].choice.made_at == NOON


def test_stated_at_is_none_when_only_snapshots_speak() -> None:
    """No decision of a person is known."""
    assert resolve(fold({}, [choice(True, kind=ChoiceKind.ASSERTION)]))[NEWS].stated_at is None


def test_one_action_told_by_both_families_is_one_statement() -> None:
    """A user snapshot that names its event takes the event's time and id
    (docs/how-choices-are-decided.md, "One action, told twice").
    """
    event = choice(False, notification="n1")
    registers = fold({}, [event])
    again = fold(registers, [choice(False, notification="n2")])
    assert resolve(again)[NEWS].stated_at == resolve(registers)[NEWS].stated_at
    assert resolve(again)[NEWS].choice.source_id == event.source_id
