"""The fold is a join, and what it resolves to follows the rules of design section 5."""

import random
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from didomi_dataverse.consent.change import compare_states
from didomi_dataverse.consent.model import (
    UNSET,
    Basis,
    Choice,
    Fact,
    Item,
    Kind,
    Selection,
    Value,
    restrictiveness,
)
from didomi_dataverse.consent.registers import Registers, fold, resolve, retract
from didomi_dataverse.consent.tombstones import Tombstones
from didomi_dataverse.ledger.delivery_state import MOVES, DeliveryState, Move, next_state

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NEWS = Item("gdpr", "newsletter")
TOPICS = Item("gdpr", "profiling", "topics")
COUNTRY = Fact("gdpr", "country")

SPORT = Selection(("sport",), "sport")
BOTH = Selection(("culture", "sport"), "sport,culture")
NONE = Selection((), "")


def choice(
    value: Value,
    *,
    minutes: float = 0,
    user: str = "phone",
    kind: Kind = Kind.STATEMENT,
    subject: Item | Fact = NEWS,
    source: str = "E1",
    notification: str = "n1",
) -> Choice:
    """A choice made `minutes` after noon."""
    return Choice(
        subject=subject,
        value=value,
        made_at=NOON + timedelta(minutes=minutes),
        didomi_user=user,
        kind=kind,
        source_id=source,
        notification=notification,
    )


OBJECTION = Item("gdpr", "newsletter", basis=Basis.LEGITIMATE_INTEREST)

subjects = st.sampled_from([NEWS, TOPICS, OBJECTION, COUNTRY])
values = st.sampled_from([True, False, SPORT, BOTH, NONE, "FR", 7])
choices = st.builds(
    choice,
    values,
    minutes=st.integers(0, 3),
    user=st.sampled_from(["phone", "laptop", ""]),
    kind=st.sampled_from(Kind),
    subject=subjects,
    source=st.sampled_from(["E1", "E2"]),
    notification=st.sampled_from(["n1", "n2"]),
)
many_choices = st.lists(choices, max_size=12)
deleted = st.builds(
    Tombstones,
    events=st.frozensets(st.sampled_from(["E1", "E2"])),
    users=st.dictionaries(
        st.sampled_from(["phone", "laptop"]),
        st.integers(0, 3).map(lambda minutes: NOON + timedelta(minutes=minutes)),
    ),
)


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
    """Idempotent, and recognisably so: the ledger relies on the identity to see that nothing changed."""
    once = fold({}, said)
    assert fold(once, said) is once


@given(many_choices)
def test_nothing_is_granted_that_nobody_granted(said: list[Choice]) -> None:
    """A value is only ever one that was said of that very subject."""
    for subject, resolved in resolve(fold({}, said)).items():
        assert resolved.choice in [heard for heard in said if heard.subject == subject]


@given(st.lists(choices.filter(lambda heard: heard.value is not True), max_size=12))
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
            [choice(False), choice(True, minutes=9, user="laptop", kind=Kind.ASSERTION)],
            False,
            id="another device's snapshot overrules no statement",
        ),
        pytest.param(
            [choice(True), choice(False, minutes=9, kind=Kind.ASSERTION)],
            False,
            id="the same device's later snapshot heals a missed no",
        ),
        pytest.param(
            [choice(False, minutes=5), choice(True, minutes=4, kind=Kind.ASSERTION)],
            False,
            id="the same device's earlier snapshot is old news",
        ),
        pytest.param(
            [choice(False, minutes=5), choice(True, minutes=5, kind=Kind.ASSERTION)],
            False,
            id="a snapshot of the same instant does not overrule",
        ),
        pytest.param(
            [
                choice(True, kind=Kind.ASSERTION),
                choice(False, minutes=1, user="laptop", kind=Kind.ASSERTION),
            ],
            False,
            id="with no statement the newest snapshot counts",
        ),
        pytest.param(
            [
                choice(True, minutes=1),
                choice(False, minutes=2, user="laptop"),
                choice(True, minutes=3, kind=Kind.ASSERTION),
            ],
            False,
            id="only the device that spoke last can correct itself",
        ),
    ],
)
def test_an_item_resolves_as_the_rules_say(said: list[Choice], *, expected: bool) -> None:
    """Design section 5, "What a contact holds", case by case and in every order of arrival."""
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
    registers = fold({}, [choice(True), choice(False, minutes=9, kind=Kind.ASSERTION)])
    assert resolve(registers)[NEWS].stated_at == NOON


def test_a_snapshot_that_repeats_a_statement_does_not_move_its_time() -> None:
    """A column that tells when somebody chose must not tell when a device last phoned home."""
    registers = fold({}, [choice(True), choice(True, minutes=9, kind=Kind.ASSERTION)])
    assert resolve(registers)[NEWS].choice.made_at == NOON


def test_stated_at_is_none_when_only_snapshots_speak() -> None:
    """Nobody is known to have decided."""
    assert resolve(fold({}, [choice(True, kind=Kind.ASSERTION)]))[NEWS].stated_at is None


def test_one_action_told_by_both_families_is_one_statement() -> None:
    """A user snapshot that names its event takes the event's time and id (design section 5, "Diff")."""
    event = choice(False, notification="n1")
    registers = fold({}, [event])
    again = fold(registers, [choice(False, notification="n2")])
    assert resolve(again)[NEWS].stated_at == resolve(registers)[NEWS].stated_at
    assert resolve(again)[NEWS].choice.source_id == event.source_id


@pytest.mark.parametrize(
    ("before", "said", "expected"),
    [
        pytest.param([], [choice(False)], True, id="a first no"),
        pytest.param([], [choice(True)], False, id="a first yes"),
        pytest.param([choice(True)], [choice(False, minutes=1)], True, id="yes to no"),
        pytest.param([choice(False)], [choice(True, minutes=1)], False, id="no to yes"),
        pytest.param([choice(True, minutes=1)], [choice(False)], False, id="an old no"),
        pytest.param(
            [choice(BOTH, subject=TOPICS)],
            [choice(SPORT, minutes=1, subject=TOPICS)],
            True,
            id="fewer values",
        ),
        pytest.param(
            [choice("FR", subject=COUNTRY)],
            [choice("DE", minutes=1, subject=COUNTRY)],
            False,
            id="another fact",
        ),
    ],
)
def test_a_withdrawal_is_recognised(before: list[Choice], said: list[Choice], *, expected: bool) -> None:
    """Withdrawals are written before everything else."""
    registers: Registers = fold({}, before)
    assert compare_states(registers, fold(registers, said)).withdrawal is expected


@given(many_choices, deleted, many_choices, deleted)
def test_a_difference_is_what_two_whole_resolutions_differ_in(
    before: list[Choice], gone: Tombstones, said: list[Choice], going: Tombstones
) -> None:
    """It looks only at what was spoken of or deleted, and misses nothing by that."""
    registers: Registers = fold({}, before, gone)
    after = fold(retract(registers, going)[0], said, going)
    was, now = resolve(registers), resolve(after)

    found = compare_states(registers, after)

    meant = {subject: (repr(one.choice.value), one.stated_at) for subject, one in was.items()}
    means = {subject: (repr(one.choice.value), one.stated_at) for subject, one in now.items()}
    assert found.changed is (meant != means)
    restricted = [
        subject
        for subject, one in now.items()
        if not isinstance(subject, Fact)
        and (
            (one.choice.value is False or one.choice.value is UNSET)
            if subject not in was
            else restrictiveness(one.choice.value) < restrictiveness(was[subject].choice.value)
        )
    ]
    assert found.withdrawal is bool(restricted)


def test_every_state_can_be_changed_and_left() -> None:
    """No state is a dead end: a new choice is heard in each, and each but the waiting ones can be claimed or
    left.
    """
    for state in DeliveryState:
        assert (state, Move.CHANGED) in MOVES


def test_a_move_that_is_not_in_the_table_is_refused() -> None:
    """A bug must not be able to settle what nobody claimed."""
    with pytest.raises(KeyError):
        next_state(DeliveryState.DUE, Move.SETTLED)
