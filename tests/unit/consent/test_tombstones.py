"""Deletions keep the fold a join, and never grant (docs/how-choices-are-decided.md, "Deletions")."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.clocks import START
from tests.notifications import NEWSLETTER, choice
from tests.reference_fold import Deletion, Told, expected_values
from tests.unit.consent.choices import any_deletion, any_told, fold_history, histories

from didomi_dataverse.consent.model import UNSET, Choice, ChoiceKind, Fact, Item, Value
from didomi_dataverse.consent.registers import Resolved, fold, resolve
from didomi_dataverse.consent.tombstones import Tombstones

SECOND = timedelta(seconds=1)


@given(histories)
def test_choices_and_deletions_may_come_in_any_order(
    history: tuple[list[Told | Deletion], list[Told | Deletion]],
) -> None:
    assert fold_history(history[0]) == fold_history(history[1])


@given(histories)
def test_the_value_is_what_the_slow_way_finds(
    history: tuple[list[Told | Deletion], list[Told | Deletion]],
) -> None:
    seen, otherwise = history
    found = {
        subject.purpose: None if resolved.choice.value is UNSET else resolved.choice.value
        for subject, resolved in resolve(fold_history(otherwise)).items()
        if isinstance(subject, Item)
    }
    assert found == expected_values(
        [one for one in seen if isinstance(one, Told)], [one for one in seen if isinstance(one, Deletion)]
    )


@given(st.lists(any_told | any_deletion, max_size=10), any_deletion)
def test_no_deletion_makes_anything_less_restrictive(history: list[Told | Deletion], last: Deletion) -> None:
    strictness: dict[Value, int] = {UNSET: 0, False: 1, True: 2}
    before, after = resolve(fold_history(history)), resolve(fold_history([*history, last]))

    for subject, was in before.items():
        assert strictness[after[subject].choice.value] <= strictness[was.choice.value]


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
            [
                choice(True, source_id="E1"),
                choice(True, source_id="S", after=SECOND, kind=ChoiceKind.ASSERTION),
            ],
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
