"""Deletions keep the fold a join, and never grant (docs/how-choices-are-decided.md, "Deletions")."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.clocks import START
from tests.notifications import NEWSLETTER, choice
from tests.reference_fold import Deletion, Told, expected

from didomi_dataverse.consent.change import compare_states
from didomi_dataverse.consent.model import UNSET, Choice, Fact, Item, Kind, Value
from didomi_dataverse.consent.registers import Registers, Resolved, fold, resolve, retract
from didomi_dataverse.consent.tombstones import Tombstones
from didomi_dataverse.ledger.codec import decode_registers, encode_registers

SECOND = timedelta(seconds=1)

told = st.builds(
    Told,
    item=st.sampled_from(["newsletter", "profiling"]),
    value=st.booleans(),
    at=st.integers(0, 4),
    user=st.sampled_from(["phone", "laptop"]),
    event=st.sampled_from(["E1", "E2", "E3"]),
    is_snapshot=st.booleans(),
)
deletions = st.builds(Deletion, event=st.sampled_from(["E1", "E2", "E3"])) | st.builds(
    Deletion, user=st.sampled_from(["phone", "laptop"]), at=st.integers(0, 4)
)
histories = st.lists(told | deletions, max_size=10).flatmap(
    lambda seen: st.tuples(st.just(seen), st.permutations(seen))
)


def _choice(one: Told) -> Choice:
    return choice(
        one.value,
        subject=Item("gdpr", one.item),
        after=one.at * SECOND,
        didomi_user=one.user,
        kind=Kind.ASSERTION if one.is_snapshot else Kind.STATEMENT,
        source_id="snapshot" if one.is_snapshot else one.event,
    )


def _tombstones(seen: Sequence[Deletion]) -> Tombstones:
    users: dict[str, int] = {}
    for one in seen:
        if one.user:
            users[one.user] = max(users.get(one.user, 0), one.at)
    return Tombstones(
        events=frozenset(one.event for one in seen if one.event),
        users={user: START + at * SECOND for user, at in users.items()},
    )


def received(history: Sequence[Told | Deletion]) -> Registers:
    """What the ledger does with them, one after the other."""
    registers: Registers = {}
    deleted: list[Deletion] = []
    spoken: list[Choice] = []
    for one in history:
        if isinstance(one, Told):
            spoken.append(_choice(one))
            registers = fold(registers, spoken[-1:], _tombstones(deleted))
        else:
            deleted.append(one)
            registers, is_orphaned = retract(registers, _tombstones([one]))
            if is_orphaned:
                registers = fold(registers, spoken, _tombstones(deleted))
    return registers


@given(histories)
def test_choices_and_deletions_may_come_in_any_order(
    history: tuple[list[Told | Deletion], list[Told | Deletion]],
) -> None:
    assert received(history[0]) == received(history[1])


@given(histories)
def test_the_value_is_what_the_slow_way_finds(
    history: tuple[list[Told | Deletion], list[Told | Deletion]],
) -> None:
    seen, otherwise = history
    found = {
        subject.purpose: None if resolved.choice.value is UNSET else resolved.choice.value
        for subject, resolved in resolve(received(otherwise)).items()
        if isinstance(subject, Item)
    }
    assert found == expected(
        [one for one in seen if isinstance(one, Told)], [one for one in seen if isinstance(one, Deletion)]
    )


@given(st.lists(told | deletions, max_size=10), deletions)
def test_no_deletion_makes_anything_less_restrictive(history: list[Told | Deletion], last: Deletion) -> None:
    strictness: dict[Value, int] = {UNSET: 0, False: 1, True: 2}
    before, after = resolve(received(history)), resolve(received([*history, last]))

    for subject, was in before.items():
        assert strictness[after[subject].choice.value] <= strictness[was.choice.value]


@given(st.lists(told | deletions, max_size=10))
def test_registers_with_deletions_are_read_back_as_they_were(history: list[Told | Deletion]) -> None:
    registers = received(history)

    assert decode_registers(encode_registers(registers)) == registers


def _after(*seen: Choice, deleted: Tombstones, subject: Item | Fact = NEWSLETTER) -> Resolved:
    return resolve(fold({}, seen, deleted))[subject]


E1, E2 = Tombstones(events=frozenset({"E1"})), Tombstones(events=frozenset({"E2"}))


@pytest.mark.parametrize(
    ("seen", "deleted", "value", "withheld"),
    [
        pytest.param([choice(True, source_id="E1")], E1, UNSET, False, id="a yes, and nothing else"),
        pytest.param([choice(False, source_id="E1")], E1, UNSET, False, id="a no, and nothing else"),
        pytest.param(
            [choice(False, source_id="E1"), choice(True, source_id="E2", after=SECOND)],
            E2,
            False,
            False,
            id="a yes after a no",
        ),
        pytest.param(
            [choice(True, source_id="E1"), choice(False, source_id="E2", after=SECOND)],
            E2,
            False,
            True,
            id="a no after a yes stays in force",
        ),
        pytest.param(
            [choice(False, source_id="E1"), choice(True, source_id="E2", after=SECOND)],
            E1,
            True,
            False,
            id="an old no that had no say any more",
        ),
        pytest.param(
            [choice(True, source_id="E1"), choice(True, source_id="S", after=SECOND, kind=Kind.ASSERTION)],
            E1,
            True,
            False,
            id="a snapshot still says it",
        ),
    ],
)
def test_what_a_deleted_event_leaves(
    seen: list[Choice], deleted: Tombstones, value: Value, *, withheld: bool
) -> None:
    resolved = _after(*seen, deleted=deleted)

    assert (resolved.choice.value, resolved.withheld) == (value, withheld)


def test_a_deleted_user_takes_only_what_it_said_until_then() -> None:
    deleted = Tombstones(users={"device-1": START})
    old, new = choice(True), choice(True, after=SECOND)

    assert _after(old, deleted=deleted).choice.value is UNSET
    assert _after(old, new, deleted=deleted).choice == new


def test_another_device_still_counts() -> None:
    deleted = Tombstones(users={"device-1": START + SECOND})
    other = choice(False, didomi_user="device-2")

    assert _after(choice(True, after=SECOND), other, deleted=deleted).choice == other


def test_facts_are_no_refusals_that_could_stay_in_force() -> None:
    country = Fact("gdpr", "country")
    french = choice("FR", subject=country, source_id="E1")
    german = choice("DE", subject=country, source_id="E2", after=SECOND)

    assert _after(french, german, deleted=E2, subject=country).choice.value == "FR"


def test_becoming_unset_is_a_withdrawal() -> None:
    registers = fold({}, [choice(False, source_id="E1")])

    assert compare_states(registers, retract(registers, E1)[0]).withdrawal


def test_a_fact_that_becomes_unset_is_no_withdrawal() -> None:
    registers = fold({}, [choice("FR", subject=Fact("gdpr", "country"), source_id="E1")])

    found = compare_states(registers, retract(registers, E1)[0])

    assert (found.changed, found.withdrawal) == (True, False)


def test_registers_without_deletions_keep_the_form_that_older_programs_read() -> None:
    assert encode_registers(fold({}, [choice()], E1)).startswith('{"v":1,')
    assert encode_registers(fold({}, [choice(source_id="E1")], E1)).startswith('{"v":2,')
