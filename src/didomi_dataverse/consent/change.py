"""What a fold did to a contact: whether there is something to deliver, and how urgent that is."""

from collections.abc import Collection
from dataclasses import dataclass

from didomi_dataverse.consent.model import UNSET, Fact, Subject, restrictiveness
from didomi_dataverse.consent.registers import Register, Registers, Resolved, is_same, resolve_subject


@dataclass(frozen=True, slots=True)
class StateChange:
    """What a fold did to a contact.

    `changed`: some item's value is another now, or was stated again later: there is something to deliver.
    `withdrawal`: some item became more restrictive; such contacts are written first (docs/promises.md 5).
    """

    changed: bool
    withdrawal: bool


NO_CHANGE = StateChange(changed=False, withdrawal=False)


def compare_states(before: Registers, after: Registers) -> StateChange:
    """What became of `before` by a fold to `after`. Looks only at the subjects that were spoken of."""
    if after is before:
        return NO_CHANGE
    # `fold` and `bury` keep every register that they do not change.
    touched = {key[0] for key, register in after.items() if before.get(key) is not register}
    was, now = _registers_of(touched, before), _registers_of(touched, after)
    changed = withdrawal = False
    for subject in touched:
        found = resolve_subject(subject, now[subject])
        earlier = resolve_subject(subject, was[subject]) if subject in was else None
        changed = changed or (
            earlier is None
            or earlier.stated_at != found.stated_at
            or not is_same(earlier.choice.value, found.choice.value)
        )
        withdrawal = withdrawal or _is_withdrawal(subject, earlier, found)
    return StateChange(changed=changed or withdrawal, withdrawal=withdrawal)


def _is_withdrawal(subject: Subject, earlier: Resolved | None, found: Resolved) -> bool:
    if isinstance(subject, Fact):
        # Nobody takes anything back by it.
        return False
    value = found.choice.value
    if earlier is None:
        return value is False or value is UNSET
    return restrictiveness(value) < restrictiveness(earlier.choice.value)


def _registers_of(subjects: Collection[Subject], registers: Registers) -> dict[Subject, list[Register]]:
    found: dict[Subject, list[Register]] = {}
    for (subject, _), register in registers.items():
        if subject in subjects:
            found.setdefault(subject, []).append(register)
    return found
