"""Choices and histories for the tests of the fold: a builder, and strategies whose choices compete."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from tests.reference_fold import Deletion, Told

from didomi_dataverse.consent.model import Basis, Choice, ChoiceKind, Fact, Item, Selection, Value
from didomi_dataverse.consent.registers import Registers, fold, retract
from didomi_dataverse.consent.tombstones import Tombstones

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
    kind: ChoiceKind = ChoiceKind.STATEMENT,
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
any_choice = st.builds(
    choice,
    values,
    minutes=st.integers(0, 3),
    user=st.sampled_from(["phone", "laptop", ""]),
    kind=st.sampled_from(ChoiceKind),
    subject=subjects,
    source=st.sampled_from(["E1", "E2"]),
    notification=st.sampled_from(["n1", "n2"]),
)
many_choices = st.lists(any_choice, max_size=12)
any_tombstones = st.builds(
    Tombstones,
    events=st.frozensets(st.sampled_from(["E1", "E2"])),
    users=st.dictionaries(
        st.sampled_from(["phone", "laptop"]),
        st.integers(0, 3).map(lambda minutes: NOON + timedelta(minutes=minutes)),
    ),
)


any_told = st.builds(
    Told,
    item=st.sampled_from(["newsletter", "profiling"]),
    value=st.booleans(),
    at=st.integers(0, 4),
    user=st.sampled_from(["phone", "laptop"]),
    event=st.sampled_from(["E1", "E2", "E3"]),
    is_snapshot=st.booleans(),
)
any_deletion = st.builds(Deletion, event=st.sampled_from(["E1", "E2", "E3"])) | st.builds(
    Deletion, user=st.sampled_from(["phone", "laptop"]), at=st.integers(0, 4)
)
histories = st.lists(any_told | any_deletion, max_size=10).flatmap(
    lambda seen: st.tuples(st.just(seen), st.permutations(seen))
)


def _choice(one: Told) -> Choice:
    return choice(
        one.value,
        subject=Item("gdpr", one.item),
        minutes=one.at,
        user=one.user,
        kind=ChoiceKind.ASSERTION if one.is_snapshot else ChoiceKind.STATEMENT,
        source="snapshot" if one.is_snapshot else one.event,
    )


def _tombstones(seen: Sequence[Deletion]) -> Tombstones:
    users: dict[str, int] = {}
    for one in seen:
        if one.user:
            users[one.user] = max(users.get(one.user, 0), one.at)
    return Tombstones(
        events=frozenset(one.event for one in seen if one.event),
        users={user: NOON + timedelta(minutes=at) for user, at in users.items()},
    )


def fold_history(history: Sequence[Told | Deletion]) -> Registers:
    """What the ledger makes of choices and deletions that arrive in this order."""
    registers: Registers = {}
    deleted: list[Deletion] = []
    folded: list[Choice] = []
    for one in history:
        if isinstance(one, Told):
            folded.append(_choice(one))
            registers = fold(registers, folded[-1:], _tombstones(deleted))
        else:
            deleted.append(one)
            registers, is_history_needed = retract(registers, _tombstones([one]))
            if is_history_needed:
                registers = fold(registers, folded, _tombstones(deleted))
    return registers
