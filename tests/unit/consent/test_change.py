"""What a fold did to a contact: what has to be delivered, and what is urgent."""

import pytest
from hypothesis import given
from tests.unit.consent.choices import (
    BOTH,
    COUNTRY,
    SPORT,
    TOPICS,
    any_tombstones,
    choice,
    many_choices,
)

from didomi_dataverse.consent.change import compare_states
from didomi_dataverse.consent.model import UNSET, Choice, Fact, restrictiveness
from didomi_dataverse.consent.registers import Registers, fold, resolve, retract
from didomi_dataverse.consent.tombstones import Tombstones

E1 = Tombstones(events=frozenset({"E1"}))


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


@given(many_choices, any_tombstones, many_choices, any_tombstones)
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


def test_becoming_unset_is_a_withdrawal() -> None:
    registers = fold({}, [choice(False, source="E1")])

    assert compare_states(registers, retract(registers, E1)[0]).withdrawal


def test_a_fact_that_becomes_unset_is_no_withdrawal() -> None:
    registers = fold({}, [choice("FR", subject=COUNTRY, source="E1")])

    found = compare_states(registers, retract(registers, E1)[0])

    assert (found.changed, found.withdrawal) == (True, False)
